"""Files as DAGs: where their bytes lie. Walks only the nodes that a range touches.

A file is a raw block, or a dag-pb node of kind File or Raw with data of its own and links to parts; the
node says how long each part is (`block_bytes`). What nodes say of each other is checked on the way: a DAG
that lies about a length is refused at the node that lies.

Called by the gateway, import, export and the command line. Blocks come through a `BlockReader`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from content import cid as codecs
from content import dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.unixfs.message import Kind, Message
from content.unixfs.message import read as read_message
from runtime.errors import BadRequest, Unverified

# Balanced trees of 2^63 bytes have 8 levels; a longer chain is built to exhaust readers
MAX_DEPTH: Final = 64
MAX_FILE_BYTES: Final = (1 << 63) - 1  # what file systems and Content-Length hold; sums of sizes go beyond


@dataclass(slots=True)  # frozen in use: one is made for every block that is walked
class Node:
    """A dag-pb node with its UnixFS message; `payload_at`: where its own data lies in the block."""

    links: dag_pb.Opened
    message: Message
    payload_at: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A run of file bytes inside one block: block[block_start:block_stop] begins at `file_offset`."""

    cid: Cid
    file_offset: int
    block_start: int
    block_stop: int
    block_bytes: int


def node(cid: Cid, block: bytes) -> Node:
    """Read a UnixFS node. Raises BadRequest."""
    try:
        opened = dag_pb.Opened(block)
        message, payload_at = read_message(opened)
    except BadRequest as error:
        raise BadRequest(error.message, where=f"{cid.text()} {error.where}".strip()) from None
    return Node(opened, message, payload_at)


def is_file(message: Message) -> bool:
    """Whether a node stands for file bytes."""
    return message.kind in (Kind.FILE, Kind.RAW)


def size_of(cid: Cid, block: bytes) -> int:
    """Bytes of the file whose root block is given. Raises BadRequest when it is no file."""
    if cid.codec != codecs.DAG_PB:
        return len(block)
    found = node(cid, block)
    if not is_file(found.message):
        raise BadRequest(f"a {found.message.kind.name.lower()} is not a file", where=cid.text())
    return _node_bytes(cid, found)


def leaves(cid: Cid, read: BlockReader, start: int = 0, stop: int | None = None) -> Iterator[Leaf]:
    """The runs that make bytes [start, stop) of a file, in order.

    Raises Unverified where a DAG lies about a length, BadRequest where it is no file; BlockMissing
    passes through, before the run it concerns. Memory: one node a level.
    """
    yield from _walk(cid, read, 0, None, start, stop, 0)


def parts(cid: Cid, block: bytes) -> tuple[tuple[Cid, int], ...]:
    """The linked parts of a file node and their lengths, in order; () for a leaf."""
    if cid.codec != codecs.DAG_PB:
        return ()
    found = node(cid, block)
    if not is_file(found.message):
        return ()
    _node_bytes(cid, found)
    return tuple(zip(found.links.cids(), found.message.block_bytes, strict=True))


def _walk(
    cid: Cid, read: BlockReader, offset: int, expected: int | None, start: int, stop: int | None, depth: int
) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        raise Unverified(f"a file of more than {MAX_DEPTH} levels", where=cid.text())
    block = read(cid)
    links: dag_pb.Opened | None = None
    sizes: tuple[int, ...] = ()
    own_at, own_bytes = 0, len(block)
    total = own_bytes
    if cid.codec == codecs.DAG_PB:
        found = node(cid, block)
        if not is_file(found.message):
            raise Unverified(f"a part of a file is a {found.message.kind.name.lower()}", where=cid.text())
        total = _node_bytes(cid, found)
        own_at, own_bytes = found.payload_at, len(found.message.data or b"")
        links, sizes = found.links, found.message.block_bytes
    if expected is not None and total != expected:
        raise Unverified(
            f"the DAG lies: a part of {total} bytes was announced with {expected}", where=cid.text()
        )
    last = offset + total if stop is None else min(stop, offset + total)
    low, high = max(start, offset), min(last, offset + own_bytes)
    if low < high:
        yield Leaf(cid, low, own_at + low - offset, own_at + high - offset, len(block))
    at = offset + own_bytes
    for index, size in enumerate(sizes):
        if at >= last:
            return
        if at + size > start and size:
            assert links is not None, "only nodes have sizes"
            yield from _walk(links.cid(index), read, at, size, start, stop, depth + 1)
        at += size


def _node_bytes(cid: Cid, found: Node) -> int:
    sizes = found.message.block_bytes
    if len(sizes) != len(found.links):
        raise Unverified(f"the DAG lies: {len(found.links)} parts and {len(sizes)} sizes", where=cid.text())
    total = sum(sizes) + len(found.message.data or b"")
    if total > MAX_FILE_BYTES:
        raise Unverified("the DAG lies: its parts are more than a file can be", where=cid.text())
    if found.message.file_bytes is not None and found.message.file_bytes != total:
        raise Unverified(
            f"the DAG lies: {found.message.file_bytes} bytes announced, {total} in its parts",
            where=cid.text(),
        )
    return total


def blocks(cid: Cid, read: BlockReader, start: int = 0, stop: int | None = None) -> Iterator[Cid]:
    """The blocks that a reader of bytes [start, stop) needs, the root first, depth first.

    A block is yielded before it is read, raw leaves are never read: who sends them makes sure that they
    are here. Raises as `leaves` does.
    """
    yield from _blocks(cid, read, 0, None, start, stop, 0)


def _blocks(
    cid: Cid, read: BlockReader, offset: int, size: int | None, start: int, stop: int | None, depth: int
) -> Iterator[Cid]:
    if depth > MAX_DEPTH:
        raise Unverified(f"a file of more than {MAX_DEPTH} levels", where=cid.text())
    yield cid
    if cid.codec != codecs.DAG_PB:
        return
    found = node(cid, read(cid))
    if not is_file(found.message):
        raise Unverified(f"a part of a file is a {found.message.kind.name.lower()}", where=cid.text())
    total = _node_bytes(cid, found)
    if size is not None and total != size:
        raise Unverified(f"the DAG lies: a part of {total} bytes was announced with {size}", where=cid.text())
    at = offset + len(found.message.data or b"")
    for index, part in enumerate(found.message.block_bytes):
        if stop is not None and at >= stop:
            return
        if at + part > start and part:
            yield from _blocks(found.links.cid(index), read, at, part, start, stop, depth + 1)
        at += part
