"""dag-pb: the protobuf of UnixFS nodes, links and a data field, read strictly and written one way.

    message PBLink { optional bytes Hash = 1; optional string Name = 2; optional uint64 Tsize = 3; }
    message PBNode { repeated PBLink Links = 2; optional bytes Data = 1; }

Source: the DAG-PB specification: links are written before data, a link's fields in the order of their
numbers, Hash is required, nothing may repeat and no other field may occur. Links in one run; the data
field before or behind it (both are in use). Stricter than it: numbers only in their shortest form.

A block is read in one pass of native code, 20 ns a link, and a link becomes objects when it is asked for
(docs/decisions/0012-dag-pb-in-native-code.md). Names that are no UTF-8 come as lone surrogates.
"""

from dataclasses import dataclass
from typing import Final, final

from content import varint
from content.bao._native import PbNode
from content.cid import Cid
from runtime.errors import BadRequest

_WHAT: Final = "not a dag-pb block: "


@dataclass(slots=True, unsafe_hash=True)  # frozen in use; assigning the frozen way costs 1 us a link
class Link:
    """A link. `name` and `size_bytes` (cumulative, as its writer says) may be absent."""

    cid: Cid
    name: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node whole: links in their order, and opaque data."""

    links: tuple[Link, ...] = ()
    data: bytes | None = None


@final
class Opened:
    """A node that was read, over its block. `len()` counts its links."""

    __slots__ = ("block", "native")

    def __init__(self, block: bytes) -> None:
        """Read `block`. Raises BadRequest that says which byte breaks the form."""
        self.block = block
        try:
            self.native = PbNode(block)
        except ValueError as error:
            raise refused(_WHAT, error) from None

    def __len__(self) -> int:
        return len(self.native)

    @property
    def data(self) -> tuple[int, int] | None:
        """Where the data field begins and ends in the block."""
        return self.native.data

    def cid(self, index: int) -> Cid:
        """What a link points to."""
        return Cid.from_bytes(self.native.cid(index))

    def cids(self) -> list[Cid]:
        """What the links point to, in their order."""
        return [Cid.from_bytes(raw) for raw in self.native.cids()]

    def link(self, index: int) -> Link:
        """One link."""
        raw, name, size_bytes = self.native.link(index)
        return Link(Cid.from_bytes(raw), name, size_bytes)

    def links(self) -> list[Link]:
        """All links, in their order. About 1 us each."""
        return [Link(Cid.from_bytes(raw), name, size) for raw, name, size in self.native.links()]

    def find(self, name: str) -> Cid | None:
        """What the first link of that name points to."""
        index = self.native.find(name.encode("utf-8", "surrogateescape"))
        return None if index is None else self.cid(index)


def decode(block: bytes) -> Node:
    """A node with all its links. Raises BadRequest that says which byte breaks the form."""
    opened = Opened(block)
    span = opened.data
    return Node(tuple(opened.links()), None if span is None else block[span[0] : span[1]])


def encode(node: Node) -> bytes:
    """The canonical bytes of a node; links stay in the order given."""
    parts = []
    for link in node.links:
        body = [b"\x0a", varint.encode(len(link.cid.raw)), link.cid.raw]
        if link.name is not None:
            name = link.name.encode("utf-8", "surrogateescape")
            body += [b"\x12", varint.encode(len(name)), name]
        if link.size_bytes is not None:
            body += [b"\x18", varint.encode(link.size_bytes)]
        joined = b"".join(body)
        parts += [b"\x12", varint.encode(len(joined)), joined]
    if node.data is not None:
        parts += [b"\x0a", varint.encode(len(node.data)), node.data]
    return b"".join(parts)


def refused(what: str, error: ValueError) -> BadRequest:
    """What the native reader refuses, said as ours: `error` is (why, at which byte)."""
    why, at = error.args
    return BadRequest(f"{what}{why}", where=f"byte {at}")
