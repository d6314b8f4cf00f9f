"""Bytes from somewhere that become the content of a CID again, or nothing at all. Blocking: on a thread.

A URL gives bytes, not blocks. They are cut and hashed as the import profiles would, all that come into
question at once, while the store takes them as one blob; at the end the one whose root is the CID tells which
leaves lie where. When none is, the blob is given up: nothing of it was ever visible.
"""

from collections.abc import Sequence
from typing import Final

from blockstore import Store
from blockstore.adding.reading import NOTHING, Attributes
from blockstore.adding.recipe import BLOCK
from blockstore.flat import MAX_LEAVES, Flat
from blockstore.landings import Landings
from content.block import MAX_BLOCK_BYTES, Block
from content.cid import DAG_PB, Cid
from content.unixfs.build_file import FileBuilder, LeafMade, Made
from content.unixfs.profile import Profile
from runtime.errors import BadRequest, TooLarge, Unverified

# Inner nodes of as many leaves as a file may have take 14 MB; only few leaves over and over have more
_INNER_BYTES_MAX: Final = 32 << 20


class Rebuild:
    """One attempt. `write` what comes, then `finish`; or `abort`. One thread at a time."""

    def __init__(
        self,
        store: Store,
        cid: Cid,
        profiles: Sequence[Profile],
        attributes: Attributes = NOTHING,
        landings: Landings | None = None,
    ) -> None:
        """A CID that is not dag-pb can only be one block. `attributes`: what the DAG says beside the bytes.
        `landings`: hears how it ends, in place of `finish`, which then does not wait.
        """
        self._store, self._cid = store, cid
        self._head: bytearray | None = bytearray()  # all of it, while it may be one block
        self._waits = landings is None
        self._landings = landings or Landings()
        self._flat: Flat | None = None
        self.size_bytes = 0
        building = [_Building(each, attributes) for each in profiles]
        self._builders = building if cid.codec == DAG_PB else []
        if self._builders:
            self._flat = Flat(store.dag, store.dag.new_ingest(), self._landings)

    def write(self, data: bytes) -> None:
        """The next bytes. Raises StoreFull, Unverified when there are too many for what it is, TooLarge when
        there are for every profile.
        """
        self.size_bytes += len(data)
        if self._head is not None:
            self._head += data
            if len(self._head) > MAX_BLOCK_BYTES:
                self._head = None
                if self._flat is None:
                    raise Unverified("there are more bytes than a block has", where=self._cid.text())
        if self._flat is not None:
            self._flat.write(data)
            for each in self._builders:
                each.take(each.builder.write(data))
            self._builders = [each for each in self._builders if each.is_within]
            if not self._builders and self._head is None:
                raise TooLarge(
                    f"a file of more than {MAX_LEAVES:,} leaves is not built again", where=self._cid.text()
                )
            self._landings.check()

    def finish(self) -> str:
        """Have it durable and visible; returns the profile (or BLOCK) that fits. Raises Unverified."""
        fits = self._fit()
        if self._waits:
            self._landings.wait()
        return fits

    def _fit(self) -> str:
        block = self._as_block()
        if block is not None:
            self.abort()
            self._store.dag.put_soon(block, self._landings)
            return BLOCK
        for each in self._builders:
            rest, made = each.builder.finish()
            each.take(rest)
            if made.cid.multihash == self._cid.multihash:
                self._land(each)
                return each.profile.name
        self.abort()
        raise Unverified("the bytes are not what the CID names", where=self._cid.text())

    def abort(self) -> None:
        """Give it up."""
        if self._flat is not None:
            self._flat.abort()
            self._flat = None

    def _as_block(self) -> Block | None:
        if self._head is None:
            return None
        try:
            return Block.verified(self._cid, bytes(self._head))
        except (Unverified, BadRequest):
            return None

    def _land(self, building: "_Building") -> None:
        flat = self._flat
        assert flat is not None, "there are builders only with it"
        for leaf in building.leaves.values():
            flat.leaf(leaf.cid.multihash, leaf.offset, leaf.length, leaf.prefix, leaf.suffix)
        for block in building.inner.values():
            flat.inner(block)
        flat.finish_soon(self._cid)
        self._flat = None


class _Building:
    """One profile's way through the bytes: 200 bytes a different leaf, 60 MB at most, and the inner nodes."""

    def __init__(self, profile: Profile, attributes: Attributes) -> None:
        self.profile = profile
        self.builder = FileBuilder(profile, attributes.mode, attributes.mtime)
        self.leaves: dict[bytes, LeafMade] = {}
        self.inner: dict[bytes, Block] = {}
        self._inner_bytes = 0

    @property
    def is_within(self) -> bool:
        """Whether it can still be kept as one file."""
        return len(self.leaves) <= MAX_LEAVES and self._inner_bytes <= _INNER_BYTES_MAX

    def take(self, made: list[Made]) -> None:
        """Keep what was made."""
        for each in made:
            if isinstance(each, LeafMade):
                self.leaves.setdefault(each.cid.multihash, each)
            elif each.cid.multihash not in self.inner:
                self.inner[each.cid.multihash] = each
                self._inner_bytes += len(each.data)
