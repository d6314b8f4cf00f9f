"""How large a DAG is, told from its root alone, before anything else of it is fetched. Pure."""

from dataclasses import dataclass
from typing import Final

from content import cid as codecs
from content import dag_pb
from content.block import BlockMissing
from content.cid import Cid
from pinning.measure import Blocks, measured
from runtime.errors import EdgeError, QuotaExceeded

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
_BYTES_MAX: Final = (1 << 63) - 1  # a sum of sizes that somebody made up ends here


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of all blocks of a DAG, and how that is known, in words for people.

    Exact where blocks were counted; else what the root says: a block that is linked twice counts twice in it.
    """

    bytes_: int
    how: str
    is_exact: bool


def declared(cid: Cid, blocks: Blocks) -> Size | None:
    """What the root of a DAG says of its size; None when it is not here, or says nothing.

    dag-pb links say how much lies below each (Tsize). Raises BadRequest for a block that is not of its codec,
    BlobDamaged. Cost: one block read.
    """
    if cid.is_identity:
        return Size(0, "the CID holds it", True)
    if cid.codec in _LEAVES:
        size = blocks.size(cid)
        return None if size is None else Size(size, "one block", True)
    if cid.codec != codecs.DAG_PB:
        return None
    try:
        data = blocks.read(cid)
    except BlockMissing:
        return None
    links = dag_pb.Opened(data).links()
    below = [link.size_bytes for link in links]
    if not links:
        return Size(len(data), "one block", True)
    total = len(data) + sum(each or 0 for each in below)
    return None if None in below else Size(min(total, _BYTES_MAX), "as its root says", False)


def counted(cid: Cid, blocks: Blocks) -> Size | None:
    """The size of a DAG that is here, each block once; None when a block lacks. Reads all with links."""
    found = measured(cid, blocks)
    return None if found.missing is not None else Size(found.dag_bytes, "counted", True)


def check_declared(cid: Cid, blocks: Blocks, room_bytes: int | None) -> None:
    """Refuse before it is fetched what its root already says to be too large. Raises QuotaExceeded."""
    if room_bytes is None:
        return
    try:
        found = declared(cid, blocks)
        if found is None or found.bytes_ <= room_bytes:
            return
        if not found.is_exact:
            found = counted(cid, blocks) or found
    except EdgeError:
        return  # whoever reads it next says what is wrong with it
    if found.bytes_ > room_bytes:
        raise QuotaExceeded(
            f"it has {found.bytes_:,} bytes ({found.how}); the account's quota leaves {room_bytes:,}",
            where=cid.text(),
            hint="remove something, or ask the operator for a larger quota",
        )
