"""Walks over whole DAGs, depth first, in the order in which a CAR holds them."""

from collections.abc import Iterator
from typing import Final

from content import cid as codecs
from content.block import BlockReader
from content.cid import Cid
from content.links import links
from runtime.errors import BadRequest

# Real DAGs are a few dozen levels deep; this bounds the stack of a chain built to exhaust it
MAX_DEPTH: Final = 10_000
# The widest nodes in use have some 20,000 links; that many waiting on one path take 100 MB
MAX_WAITING: Final = 1 << 18
_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))


def walk(root: Cid, read: BlockReader, *, repeats: bool = False) -> Iterator[Cid]:
    """`root` and everything below it, each CID when it is first met (with `repeats`, whenever).

    A block with links is read when the walk goes on behind it, a leaf never: who needs its bytes reads
    them. Identity CIDs are passed over. Raises what `read` raises; BadRequest for a block that is not of
    its codec, and for a DAG above MAX_DEPTH or MAX_WAITING. Memory: one entry for each different block, and
    the links of one path.
    """
    seen: set[bytes] = set()
    waiting: list[tuple[int, Iterator[Cid]]] = [(1, iter((root,)))]
    links_waiting = 1
    while waiting:
        count, below = waiting[-1]
        cid = next(below, None)
        if cid is None:
            waiting.pop()
            links_waiting -= count
            continue
        if not repeats:
            if cid.raw in seen:
                continue
            seen.add(cid.raw)
        if not cid.is_identity:
            yield cid
        if cid.codec not in _LEAVES:
            if len(waiting) > MAX_DEPTH:
                raise BadRequest(f"a DAG of more than {MAX_DEPTH} levels", where=root.text())
            found = links(cid, read(cid))
            links_waiting += len(found)
            if links_waiting > MAX_WAITING:
                raise BadRequest(
                    f"a DAG of more than {MAX_WAITING:,} links above one block", where=f"at {cid.text()}"
                )
            if found:
                waiting.append((len(found), iter(found)))
