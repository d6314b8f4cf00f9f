"""Which DAGs reach given blocks: a walk from roots downwards, over which every block is read once."""

from collections.abc import Collection, Iterator
from typing import Final

from blockstore.backing import Backing
from blockstore.dag import Dag
from blockstore.marks import Marks
from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.links import links
from runtime.errors import BadRequest, BlobDamaged

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
_Step = tuple[Cid, int | None, Iterator[Cid]]


class Above:
    """Asked of one root after the other, it remembers what it passed: one bit a block that leads nowhere."""

    def __init__(self, backing: Backing, dag: Dag, multihashes: Collection[bytes]) -> None:
        self._backing, self._dag = backing, dag
        self._sought = multihashes
        self._leads: set[tuple[int, bytes]] = set()
        self._leads_nowhere: dict[int, Marks] = {}  # by codec: the same bytes under another have other links

    def reaches(self, root: Cid) -> bool:
        """Whether `root` is one of the blocks, or leads to one. About 30 us for each block with links.

        What is not here, or cannot be read, leads nowhere.
        """
        path = self._entered(root)
        if self._leads_there(root):
            return True
        while path:
            cid, ordinal, below = path[-1]
            child = next(below, None)
            if child is None:
                path.pop()
                if ordinal is not None:
                    self._leads_nowhere.setdefault(cid.codec, Marks()).add(ordinal)
            elif self._leads_there(child):
                self._leads.update((each.codec, each.multihash) for each, _, _ in path)
                return True
            else:
                path += self._entered(child)
        return False

    def _leads_there(self, cid: Cid) -> bool:
        return cid.multihash in self._sought or (cid.codec, cid.multihash) in self._leads

    def _entered(self, cid: Cid) -> list[_Step]:
        """A step into a block, or nothing where it has no links or they were followed before."""
        if cid.codec in _LEAVES:
            return []
        try:
            ordinal = None if cid.is_identity else self._ordinal(cid)
            marks = self._leads_nowhere.get(cid.codec)
            if ordinal is not None and marks is not None and marks.has(ordinal):
                return []
            return [(cid, ordinal, iter(links(cid, self._dag.read(cid))))]
        except (BlockMissing, BlobDamaged, BadRequest):
            return []

    def _ordinal(self, cid: Cid) -> int:
        with self._backing.index.reading() as txn:
            row = self._dag.rows.block(txn, cid.multihash)
        if row is None:
            raise BlockMissing(cid)
        return row.ordinal
