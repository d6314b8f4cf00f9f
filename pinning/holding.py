"""What the store holds, as a prover sees it."""

from collections.abc import Callable

from blockstore import Blob, Store
from content.cid import RAW, Cid
from content.multihash import BLAKE3
from pinning.proving import Kept
from runtime.errors import NotFound


class Holding:
    """`proving.Holder` over an open store."""

    def __init__(self, store: Store, check: Callable[[Cid], None] | None = None) -> None:
        """`check` raises what refuses a block (a denylist); None: nothing is refused."""
        self._store, self._check = store, check

    def read(self, cid: Cid) -> bytes:
        """See `Holder.read`. Raises what `check` raises."""
        self._checked(cid)
        return self._store.dag.read(cid)

    def kept(self, cid: Cid) -> Kept | None:
        """See `Holder.kept`. Raises what `check` raises."""
        self._checked(cid)
        found = self._store.dag.slice(cid)
        return None if found is None else Kept(found.blob, found.start, found.stop, len(found.prefix))

    def whole(self, cid: Cid) -> Blob | None:
        """See `Holder.whole`: a blob that is known as a block as well is shown as one.

        Raises what `check` raises.
        """
        self._checked(cid)
        if cid.codec != RAW or cid.hash_code != BLAKE3 or len(cid.digest) != 32 or self._store.dag.has(cid):
            return None
        try:
            blob = self._store.blob(cid.digest)
        except NotFound:
            return None
        return blob if blob.size_bytes else None

    def _checked(self, cid: Cid) -> None:
        if self._check is not None:
            self._check(cid)
