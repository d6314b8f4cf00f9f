"""How large a DAG is here, and what of it is not here."""

from dataclasses import dataclass
from typing import Final

from blockstore.dag import Dag
from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.links import links

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))


@dataclass(slots=True)
class Extent:
    """Blocks that are here, each once. `new_…`: those that no DAG measured before had."""

    blocks: int = 0
    size_bytes: int = 0
    missing: int = 0
    first_missing: Cid | None = None
    new_blocks: int = 0
    new_bytes: int = 0


def measured(dag: Dag, root: Cid, together: set[bytes] | None = None) -> Extent:
    """Walk all that is below `root`; what is missing is counted and the walk goes on beside it.

    `together` holds the multihashes of DAGs measured before, and gets this one's. Raises BadRequest for a
    block that is not of its codec, BlobDamaged. Memory: some 100 bytes a block.
    """
    extent = Extent()
    seen: set[bytes] = set()
    known = set() if together is None else together
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid.raw in seen:
            continue
        seen.add(cid.raw)
        if cid.is_identity:  # it takes no room, and may link to what does
            waiting += reversed(links(cid, cid.digest))
            continue
        size = dag.size(cid)
        if size is None:
            extent.missing += 1
            extent.first_missing = extent.first_missing or cid
            continue
        extent.blocks += 1
        extent.size_bytes += size
        if cid.multihash not in known:
            known.add(cid.multihash)
            extent.new_blocks += 1
            extent.new_bytes += size
        if cid.codec not in _LEAVES:
            try:
                waiting += reversed(links(cid, dag.read(cid)))
            except BlockMissing:
                continue  # taken away meanwhile
    return extent
