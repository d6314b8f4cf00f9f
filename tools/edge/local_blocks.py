"""Blocks and files out of the store, for commands that walk trees."""

from collections.abc import Iterator
from typing import Final

from blockstore import Store
from content.cid import Cid
from content.unixfs.file import leaves

_PIECE_BYTES: Final = 1 << 20


class LocalBlocks:
    """`tools.edge.tree.Blocks` over an open store."""

    def __init__(self, store: Store) -> None:
        self._dag = store.dag

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing, BlobDamaged."""
        return self._dag.read(cid)

    def pieces(
        self, cid: Cid, block: bytes | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """Bytes [start, stop) of a file, checked, a megabyte at a time. Raises BlockMissing, BadRequest."""
        blob = self._dag.file(cid)
        if blob is not None:
            end = blob.size_bytes if stop is None else min(stop, blob.size_bytes)
            for at in range(start, end, _PIECE_BYTES):
                yield blob.read(at, min(end, at + _PIECE_BYTES))
            return
        for leaf in leaves(cid, self._dag.read, start, stop):
            yield self._dag.read(leaf.cid)[leaf.block_start : leaf.block_stop]
