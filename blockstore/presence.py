"""Whether blocks are here, for walks that rely on it: one look at the index, and a stay for many at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from blockstore.dag import Dag
from blockstore.store import Store
from content.block import BlockMissing
from content.cid import Cid
from durable import Txn
from runtime.errors import BlobDamaged, NotFound

# A block that was put or asked for within an eighth of the lease stays long enough: it saves the write
_FRESH_SHARE = 8
_SECOND_MS = 1000


@dataclass(frozen=True, slots=True)
class Present:
    """A block that can be read. `ordinal`: its number, of no other block ever. `is_fresh`: see `keep`."""

    ordinal: int
    size_bytes: int
    is_fresh: bool


def present(store: Store, cid: Cid) -> Present | None:
    """What is known of a block; None when it is not here, or its bytes are known to be damaged. 8 us."""
    rows = store.dag.rows
    with store.backing.index.reading() as txn:
        try:
            row = rows.block(txn, cid.multihash)
        except BlobDamaged:
            return None
        if row is None or not rows.is_here(txn, row):
            return None
    age_ms = store.dag.now_ms() - row.touched_ms
    return Present(row.ordinal, row.size_bytes, age_ms * _FRESH_SHARE < store.settings.lease_s * _SECOND_MS)


class SureBlocks:
    """Blocks as the index has them at each look.

    Between the commit of a sweep and the moment at which its new generation is seen, what a `Dag` remembers
    may be gone: who decides that something is here for good must not ask its memory.
    """

    def __init__(self, dag: Dag, check: Callable[[Cid], None] | None = None) -> None:
        """`check` raises what refuses a block; asked at each look."""
        self._dag, self._check = dag, check

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing, BlobDamaged, what `check` raises."""
        if self._check is not None:
            self._check(cid)
        found = None if cid.is_identity else self._dag.find(cid.multihash)
        if found is None:
            if cid.is_identity:
                return cid.digest
            raise BlockMissing(cid)
        try:
            return found.read()
        except NotFound:
            raise BlockMissing(cid) from None

    def size(self, cid: Cid) -> int | None:
        """Length of a block, None when it is not here. Raises what `check` raises."""
        if self._check is not None:
            self._check(cid)
        found = self._dag.find(cid.multihash)
        return None if found is None or found.is_damaged else found.size_bytes


def keep(store: Store, multihashes: Sequence[bytes]) -> bool:
    """Ask blocks to stay for a lease from now, in one commit; False when one of them is not here any more.

    A sweep that marked before the way to a block was whole does not know that a root reaches it; what was
    asked to stay it leaves alone.
    """
    here = [True]

    def index(txn: Txn) -> None:
        now_ms = store.dag.now_ms()
        stays = [store.dag.rows.touch(txn, each, now_ms) for each in multihashes]
        here[0] = all(stays)

    if multihashes:
        store.backing.writer.run(index=index)
    return here[0]
