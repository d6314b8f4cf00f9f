"""How large a DAG is that is here, and the first block of it that is not. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.links import links
from content.unixfs import file as unixfs
from pinning.walk import LINKS_MAX
from runtime.errors import BadRequest, TooLarge

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
# 100 bytes each in memory: a DAG of more blocks is told as too large, not walked until memory ends
BLOCKS_MAX: Final = 20_000_000


class Blocks(Protocol):
    """Where blocks are; `blockstore.dag.Dag` is one."""

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing."""
        ...

    def size(self, cid: Cid) -> int | None:
        """Length of a block, None when it is not here."""
        ...


@dataclass(slots=True)
class Measured:
    """`dag_bytes`: of all different blocks; `raw_bytes`: of what they hold, of UnixFS the bytes of files.

    `is_cut`: the walk ended before the DAG did, because enough was known.
    """

    blocks: int = 0
    dag_bytes: int = 0
    raw_bytes: int = 0
    missing: Cid | None = None
    is_cut: bool = False


def measured(root: Cid, blocks: Blocks, enough: Callable[[Measured], bool] | None = None) -> Measured:
    """Walk a DAG until its end or its first missing block. Reads every block with links.

    `enough` is asked after each block; True ends the walk there. A block counts once under all versions of
    its CID, as in `pinning.walk`. Raises BadRequest (a block not of its codec, more than BLOCKS_MAX),
    TooLarge (as many links wait as `pinning.walk` refuses), BlobDamaged.
    """
    found = Measured()
    seen: set[tuple[int, bytes]] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        name = cid.codec, cid.multihash
        if name in seen:
            continue
        seen.add(name)
        if len(seen) > BLOCKS_MAX:
            raise BadRequest(f"a DAG of more than {BLOCKS_MAX:,} blocks", where=root.text())
        try:
            below = _count(cid, blocks, found)
        except BlockMissing:
            found.missing = cid
            return found
        if enough is not None and enough(found):
            found.is_cut = bool(below) or bool(waiting)
            return found
        if len(waiting) + len(below) > LINKS_MAX:
            raise TooLarge(f"more than {LINKS_MAX:,} links above one block", where=root.text())
        waiting += reversed(below)
    return found


def _count(cid: Cid, blocks: Blocks, found: Measured) -> tuple[Cid, ...]:
    below: tuple[Cid, ...] = ()
    if cid.is_identity:  # takes no room, and may link to what does
        return links(cid, cid.digest)
    if cid.codec in _LEAVES:
        size = blocks.size(cid)
        if size is None:
            raise BlockMissing(cid)
        payload = size
    else:
        data = blocks.read(cid)
        size, payload = len(data), _payload_bytes(cid, data)
        below = links(cid, data)
    found.blocks += 1
    found.dag_bytes += size
    found.raw_bytes += payload
    return below


def _payload_bytes(cid: Cid, data: bytes) -> int:
    if cid.codec != codecs.DAG_PB:
        return len(data)
    try:
        node = unixfs.node(cid, data)
    except BadRequest:
        return len(data)  # dag-pb that is no UnixFS: all of it is content
    return len(node.message.data or b"") if unixfs.is_file(node.message) else 0
