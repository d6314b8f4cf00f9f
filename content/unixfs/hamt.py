"""Sharded directories (HAMT): the way to a name, and all the names.

A shard is a dag-pb node with a bitfield of the slots in use and one link a slot, named by the slot's
number in upper-case hex; a longer link name is an entry, the bare number a sub-shard. The slot at each
level is the next log2(fanout) bits of murmur3-x64-64 of the name. Source: the UnixFS specification.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import mmh3

from content import dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.unixfs.file import node
from content.unixfs.message import Kind, Message
from runtime.errors import BadRequest, Unverified

MURMUR3_X64_64: Final = 0x22
_FANOUT_MAX: Final = 1024  # kubo's own bound: a node of more links is an attack
_HASH_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class Shard:
    """One checked node of the tree."""

    links: tuple[dag_pb.Link, ...]
    fanout: int
    prefix_chars: int
    bits: int


def shard(cid: Cid, block: bytes) -> Shard:
    """Read a shard. Raises BadRequest, Unverified where it contradicts itself."""
    found = node(cid, block)
    return _checked(cid, found.message, found.links)


def _checked(cid: Cid, message: Message, links: tuple[dag_pb.Link, ...]) -> Shard:
    if message.kind is not Kind.HAMT_SHARD:
        raise BadRequest("not a shard of a directory", where=cid.text())
    fanout = message.fanout or 0
    if fanout < 8 or fanout > _FANOUT_MAX or fanout & (fanout - 1):
        raise BadRequest(
            f"a fanout of {fanout} is not a power of two from 8 to {_FANOUT_MAX}", where=cid.text()
        )
    if message.hash_type != MURMUR3_X64_64:
        raise BadRequest(f"hash function {message.hash_type} of a shard is not known", where=cid.text())
    field = int.from_bytes(message.data or b"", "big")
    if field >> fanout or field.bit_count() != len(links):
        raise Unverified("a shard's bitfield and its links disagree", where=cid.text())
    return Shard(links, fanout, len(f"{fanout - 1:X}"), field)


def hash_bits(name: str) -> int:
    """The 64 bits that place a name, most significant first."""
    raw = name.encode("utf-8", "surrogateescape")
    return int.from_bytes(mmh3.hash64(raw, 0, x64arch=True, signed=False)[0].to_bytes(8, "big"), "big")


def slot(bits: int, level: int, fanout: int) -> int:
    """The slot of a name in a shard at `level`. Raises Unverified below the last level there is."""
    width = fanout.bit_length() - 1
    shift = _HASH_BITS - width * (level + 1)
    if shift < 0:
        raise Unverified("a sharded directory has more levels than its hash has bits")
    return bits >> shift & (fanout - 1)


def lookup(cid: Cid, block: bytes, name: str, read: BlockReader) -> tuple[Cid | None, tuple[Cid, ...]]:
    """(the entry's CID or None, shards walked below the root). Raises BlockMissing and as `shard`."""
    bits, level = hash_bits(name), 0
    walked: list[Cid] = []
    while True:
        found = shard(cid, block)
        place = slot(bits, level, found.fanout)
        if not found.bits >> place & 1:
            return None, tuple(walked)
        link = found.links[(found.bits & ((1 << place) - 1)).bit_count()]
        label = link.name or ""
        if label[: found.prefix_chars] != f"{place:0{found.prefix_chars}X}":
            raise Unverified("a shard's link stands in another slot than it says", where=cid.text())
        if len(label) > found.prefix_chars:
            return (link.cid if label[found.prefix_chars :] == name else None), tuple(walked)
        cid = link.cid
        walked.append(cid)
        block, level = read(cid), level + 1


def entries(cid: Cid, block: bytes, read: BlockReader) -> Iterator[dag_pb.Link]:
    """All entries, in the order of the tree; names without their slot. Memory: one shard a level."""
    yield from _entries(cid, block, read, 0)


def shards(cid: Cid, block: bytes, read: BlockReader, level: int = 0) -> Iterator[Cid]:
    """The sub-shards below a shard, depth first."""
    found = shard(cid, block)
    for link in found.links:
        if len(link.name or "") == found.prefix_chars:
            slot(0, level + 1, found.fanout)
            yield link.cid
            yield from shards(link.cid, read(link.cid), read, level + 1)


def _entries(cid: Cid, block: bytes, read: BlockReader, level: int) -> Iterator[dag_pb.Link]:
    found = shard(cid, block)
    width = found.prefix_chars
    for link in found.links:
        label = link.name or ""
        if len(label) > width:
            yield dag_pb.Link(link.cid, label[width:], link.size_bytes)
        else:
            slot(0, level + 1, found.fanout)  # bounds the depth
            yield from _entries(link.cid, read(link.cid), read, level + 1)
