"""Paths: from a root CID and segments to the block they end in, one block at a time.

In UnixFS directories a segment is an entry's name, in dag-pb that is no UnixFS a link's name, in dag-cbor
and dag-json (also read as plain CBOR and JSON they are opaque) a key or an index. Source: the path gateway
and IPLD pathing specifications.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from content import cid as codecs
from content import dag_cbor, dag_json, dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.dag_value import Value, child
from content.unixfs import directory
from content.unixfs.file import node
from content.unixfs.message import Kind
from runtime.errors import BadRequest, NotFound

# A request head has room for about as many one-letter names; each costs the read of a block
MAX_SEGMENTS: Final = 1024


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where a path leads.

    `along`: the CID of the root and of each segment's end, terminal last (X-Ipfs-Roots). `walked`: every
    block that was read, shards of directories included, terminal last (what a CAR of the path begins
    with). `remainder`: segments that lead to a place inside the terminal block.
    """

    terminal: Cid
    along: tuple[Cid, ...]
    walked: tuple[Cid, ...]
    remainder: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One block's share of a path: the next block, what was walked to find it, the segments it took."""

    target: Cid
    walked: tuple[Cid, ...]
    taken: int


def resolve(root: Cid, segments: Sequence[str], read: BlockReader) -> Resolved:
    """Follow `segments` from `root`.

    Raises NotFound where a segment leads nowhere, BadRequest for blocks that are not of their codec;
    BlockMissing passes through. The terminal block itself is not read when it has no segment left.
    """
    if len(segments) > MAX_SEGMENTS:
        raise BadRequest(f"a path of more than {MAX_SEGMENTS} segments", where=root.text())
    at, along, walked, left = root, [root], [root], tuple(segments)
    while left:
        step = _step(at, read(at), left, read)
        if step is None:
            return Resolved(at, tuple(along), tuple(walked), left)
        walked += step.walked
        at, left = step.target, left[step.taken :]
        walked.append(at)
        along.append(at)
    return Resolved(at, tuple(along), tuple(walked))


def _step(at: Cid, block: bytes, segments: tuple[str, ...], read: BlockReader) -> Step | None:
    """The step from one block, None when the rest of the path stays inside it."""
    if at.codec == codecs.DAG_PB:
        return _dag_pb_step(at, block, segments[0], read)
    if at.codec in (codecs.DAG_CBOR, codecs.DAG_JSON):
        value = dag_cbor.decode(block) if at.codec == codecs.DAG_CBOR else dag_json.decode(block)
        return _value_step(at, value, segments)
    raise _no_link(at, segments[0])


def _dag_pb_step(at: Cid, block: bytes, segment: str, read: BlockReader) -> Step:
    walked: tuple[Cid, ...] = ()
    try:
        found = node(at, block)
    except BadRequest:  # dag-pb that is no UnixFS: link names are the names
        target = dag_pb.Opened(block).find(segment)
    else:
        kind = found.message.kind
        if not directory.is_directory(kind):
            what = "a file" if kind in (Kind.FILE, Kind.RAW) else f"a {kind.name.lower()}"
            raise NotFound(f'no link named "{segment[:80]}": {what} has no entries', where=at.text())
        target, walked = directory.lookup(at, found, segment, read)
    if target is None:
        raise _no_link(at, segment)
    return Step(target, walked, 1)


def _value_step(at: Cid, value: Value, segments: tuple[str, ...]) -> Step | None:
    for index, segment in enumerate(segments):
        found, value = child(value, segment)
        if not found:
            raise _no_link(at, segment)
        if isinstance(value, Cid):
            return Step(value, (), index + 1)
    return None


def _no_link(at: Cid, segment: str) -> NotFound:
    return NotFound(f'no link named "{segment[:80]}"', where=f"under {at.text()}")
