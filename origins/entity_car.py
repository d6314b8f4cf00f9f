"""The CAR of one entity as it arrives: verified blocks, and no other than were asked for. Pure.

Each block must be the root, or linked from a block before it that belongs to the same entity: a part of a
file, or a shard of a directory. So what a source can make us store is bounded by what the root names.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from content import cid as codecs
from content.block import Block
from content.car import CarReader
from content.cid import Cid
from content.unixfs.file import is_file, node
from content.unixfs.hamt import shard
from content.unixfs.message import Kind
from runtime.errors import BadRequest, TooLarge, Unreachable, Unverified

# Links seen of one CAR: 100 bytes each; a window of a file needs hundreds, a directory of millions of
# entries a few thousand shards
_LINKS_MAX: Final = 131_072


class EntityCar:
    """Reads one CAR, fed at any split."""

    def __init__(self, root: Cid) -> None:
        self._reader = CarReader()
        self._linked: set[bytes] = {root.multihash}

    def feed(self, data: bytes) -> Iterator[Block]:
        """The blocks that `data` completes. Raises Unverified, BadRequest, TooLarge; exhaust it."""
        for block in self._reader.feed(data):
            if block.cid.multihash not in self._linked:
                raise Unverified("a block that was not asked for", where=block.cid.text())
            self._linked.update(cid.multihash for cid in parts_of_entity(block))
            if len(self._linked) > _LINKS_MAX:
                raise TooLarge(f"an entity of more than {_LINKS_MAX} blocks comes in parts")
            yield block

    def end(self) -> None:
        """Say that the stream is over. Raises Unreachable when it was cut short."""
        try:
            self._reader.end()
        except BadRequest as error:  # no lie: a server that fails closes, and not each closing can be told
            raise Unreachable(error.message, where=error.where) from None


def _with_inline(parts: Iterable[Cid]) -> Iterator[Cid]:
    """Parts of a file, and of those that are inline nodes theirs: a digest of 128 bytes has a few at most."""
    for cid in parts:
        yield cid
        if cid.is_identity:
            yield from parts_of_entity(Block.verified(cid, cid.digest))


def parts_of_entity(block: Block) -> tuple[Cid, ...]:
    """The blocks right below that belong to the same entity; () for what has none."""
    if block.cid.codec != codecs.DAG_PB:
        return ()
    try:
        found = node(block.cid, block.data)
        if is_file(found.message):
            return tuple(_with_inline(found.links.cids()))
        if found.message.kind is Kind.HAMT_SHARD:
            _, below = found.links.native.entries(shard(block.cid, found).prefix_chars)
            return tuple(map(Cid.from_bytes, below))
    except (BadRequest, Unverified):
        pass  # no sound UnixFS: a block of its own
    return ()
