"""How much of a file that an earlier run left is the file's: each leaf of it is hashed, none is fetched."""

from typing import Protocol

from content import multihash
from content.block import MAX_BLOCK_BYTES
from content.cid import DAG_PB, Cid
from content.dag_pb import Node, encode
from content.unixfs.file import node, parts
from content.unixfs.message import Kind, Message
from content.unixfs.message import encode as encode_message
from tools.edge.tree import Blocks


class Left(Protocol):
    """What an earlier run wrote."""

    @property
    def written_bytes(self) -> int:
        """How much there is."""
        ...

    def read(self, start: int, count: int) -> bytes:
        """Up to `count` bytes at `start`, fewer at the end."""
        ...


def proven_bytes(cid: Cid, block: bytes, blocks: Blocks, part: Left) -> int:
    """How much of what `part` begins with is the file's, leaf by leaf: each is hashed and its name compared.

    Inner nodes are read; leaves only where their framing is not the usual one.
    """
    at = 0
    waiting = [*reversed(parts(cid, block))]
    own = node(cid, block).message.data or b"" if cid.codec == DAG_PB else b""
    if part.read(0, len(own)) != own:
        return 0
    at += len(own)
    while waiting:
        each, size = waiting.pop()
        if at + size > part.written_bytes:
            return at
        if size <= MAX_BLOCK_BYTES and is_leaf(each, part.read(at, size)):
            at += size
            continue
        if each.codec != DAG_PB:
            return at
        found = blocks.read(each)
        own = node(each, found).message.data or b""
        if part.read(at, len(own)) != own:
            return at
        at += len(own)
        waiting += reversed(parts(each, found))
    return at


def is_leaf(cid: Cid, data: bytes) -> bool:
    """Whether `data` is the leaf `cid`: raw, or framed as everybody frames one."""
    if cid.codec != DAG_PB:
        return multihash.verify(cid.multihash, data)
    frames = (Message(kind, data or None, len(data)) for kind in (Kind.FILE, Kind.RAW))
    return any(multihash.verify(cid.multihash, encode(Node((), encode_message(frame)))) for frame in frames)
