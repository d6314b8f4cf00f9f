"""dag-pb: the protobuf of UnixFS nodes, links and a data field, read strictly and written one way.

    message PBLink { optional bytes Hash = 1; optional string Name = 2; optional uint64 Tsize = 3; }
    message PBNode { repeated PBLink Links = 2; optional bytes Data = 1; }

Source: the DAG-PB specification: links are written before data, a link's fields in the order of their
numbers, Hash is required, nothing may repeat and no other field may occur. Links in one run; the data
field before or behind it (both are in use). A hand-written reader, because a general protobuf library
accepts unknown and repeated fields; it costs about 1 us a link.
"""

from dataclasses import dataclass, field
from typing import Final

from content import varint
from content.cid import Cid
from runtime.errors import BadRequest

_DATA: Final = 0x0A  # field 1, length-delimited
_LINK: Final = 0x12  # field 2, length-delimited
_HASH: Final = 0x0A
_NAME: Final = 0x12
_TSIZE: Final = 0x18  # field 3, varint


@dataclass(slots=True, unsafe_hash=True)  # frozen in use; assigning the frozen way costs 1 us a link
class Link:
    """A link. `name` and `size_bytes` (cumulative, as its writer says) may be absent."""

    cid: Cid
    name: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node: links in their order, and opaque data. `data_at`: where that lies in the block read."""

    links: tuple[Link, ...] = ()
    data: bytes | None = None
    data_at: int = field(default=0, compare=False)


def decode(block: bytes) -> Node:
    """Read a node. Raises BadRequest that says which byte breaks the form."""
    links: list[Link] = []
    data: bytes | None = None
    at, end = 0, len(block)
    links_over = False
    data_at = 0
    while at < end:
        key = block[at]
        length, start = _varint(block, at + 1)
        stop = start + length
        if stop > end:
            raise _broken("a field is cut short", at)
        if key == _LINK:
            if links_over:
                raise _broken("links are not in one run", at)
            links.append(_link(block, start, stop))
        elif key == _DATA:
            if data is not None:
                raise _broken("the data field occurs twice", at)
            data, data_at = block[start:stop], start
            links_over = bool(links)
        else:
            raise _broken(f"an unknown field (key {key:#x})", at)
        at = stop
    return Node(tuple(links), data, data_at)


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


def _link(block: bytes, at: int, stop: int) -> Link:
    if at >= stop or block[at] != _HASH:
        raise _broken("a link does not begin with its hash", at)
    length, start = _varint(block, at + 1)
    at = start + length
    if at > stop:
        raise _broken("a link's hash is cut short", start)
    try:
        cid = Cid.from_bytes(block[start:at])
    except BadRequest as error:
        raise _broken(f"a link's hash is no CID ({error.message})", start) from None
    name: str | None = None
    size: int | None = None
    if at < stop and block[at] == _NAME:
        length, start = _varint(block, at + 1)
        at = start + length
        if at > stop:
            raise _broken("a link's name is cut short", start)
        # names are bytes to their writers; what is not UTF-8 is kept and given back as it was
        name = block[start:at].decode("utf-8", "surrogateescape")
    if at < stop and block[at] == _TSIZE:
        size, at = _varint(block, at + 1)
    if at != stop:
        raise _broken("a link has a field that is unknown, repeated or out of order", at)
    return Link(cid, name, size)


def _varint(block: bytes, at: int) -> tuple[int, int]:
    if at < len(block) and block[at] < 0x80:
        return block[at], at + 1
    return varint.decode(block, at)


def _broken(what: str, at: int) -> BadRequest:
    return BadRequest(f"not a dag-pb block: {what}", where=f"byte {at}")
