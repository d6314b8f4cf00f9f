"""Sharded directories (HAMT): the way to a name, and all the names.

A shard is a dag-pb node with a bitfield of the slots in use and one link a slot, named by the slot's
number in upper-case hex; a longer link name is an entry, the bare number a sub-shard. The slot at each
level is the next log2(fanout) bits of murmur3-x64-64 of the name. Source: the UnixFS specification.

What bounds a hostile tree: a shard has at most `_FANOUT_MAX` links, a path at most 64 bits of levels, and no
shard occurs twice in one tree (the names below it would hash to two places), so walking it all never costs
more than what is stored of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import mmh3

from content import dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.unixfs.file import Node, node
from content.unixfs.message import Kind
from runtime.errors import BadRequest, Unverified

Row = tuple[str, bytes, int | None]
"""An entry in a list of many: its name, its binary CID (a sound one), what all its blocks have (Tsize)."""

MURMUR3_X64_64: Final = 0x22
_FANOUT_MAX: Final = 1024  # kubo's own bound: a node of more links is an attack
_HASH_BITS: Final = 64


@dataclass(slots=True)  # frozen in use
class Shard:
    """One checked node of the tree: its links, its fanout, how many digits name a slot, the slots in use."""

    links: dag_pb.Opened
    fanout: int
    prefix_chars: int
    bits: int


def shard(cid: Cid, found: Node) -> Shard:
    """What a node says as a shard. Raises BadRequest, Unverified where it contradicts itself."""
    message = found.message
    if message.kind is not Kind.HAMT_SHARD:
        raise BadRequest("not a shard of a directory", where=cid.text())
    fanout = message.fanout or 0
    if fanout < 8 or fanout > _FANOUT_MAX or fanout & (fanout - 1):
        raise BadRequest(
            f"a fanout of {fanout} is not a power of two from 8 to {_FANOUT_MAX}", where=cid.text()
        )
    if message.hash_type != MURMUR3_X64_64:
        raise BadRequest(f"hash function {message.hash_type} of a shard is not known", where=cid.text())
    field = message.data or b""
    prefix_chars = len(f"{fanout - 1:X}")
    if len(field) > fanout // 8 or not found.links.native.in_slots(field, prefix_chars):
        raise Unverified("a shard's bitfield and its links disagree", where=cid.text())
    return Shard(found.links, fanout, prefix_chars, int.from_bytes(field, "big"))


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


def lookup(cid: Cid, found: Node, name: str, read: BlockReader) -> tuple[Cid | None, tuple[Cid, ...]]:
    """(the entry's CID or None, shards walked below the root). Raises BlockMissing and as `shard`."""
    bits, level = hash_bits(name), 0
    walked: list[Cid] = []
    while True:
        at = shard(cid, found)
        place = slot(bits, level, at.fanout)
        if not at.bits >> place & 1:
            return None, tuple(walked)
        link = at.links.link((at.bits & ((1 << place) - 1)).bit_count())
        label = link.name or ""
        if len(label) > at.prefix_chars:
            return (link.cid if label[at.prefix_chars :] == name else None), tuple(walked)
        cid = link.cid
        walked.append(cid)
        found, level = node(cid, read(cid)), level + 1


def runs(cid: Cid, found: Node, read: BlockReader) -> Iterator[list[Row] | Cid]:
    """The tree depth first: each sub-shard's CID before it is read, and the entries of each shard as a list.

    Entries come without their slot, in the order of their shard. Raises as `shard`; BlockMissing ends the
    walk, unless who takes a CID sees to it that its block is here. Memory: the sub-shards that wait
    (`_FANOUT_MAX` a level at most) and 100 bytes for each that was seen.
    """
    seen = {cid.raw}
    waiting = [(cid, 0)]
    while waiting:
        cid, level = waiting.pop()
        if level:
            yield cid
            found = node(cid, read(cid))
        at = shard(cid, found)
        entries, below = at.links.native.entries(at.prefix_chars)
        if entries:
            yield entries
        if below:
            slot(0, level + 1, at.fanout)  # bounds the depth
            if len(set(below)) < len(below) or not seen.isdisjoint(below):
                raise Unverified("a shard occurs twice in one directory", where=cid.text())
            seen.update(below)
            waiting += [(Cid.from_bytes(raw), level + 1) for raw in reversed(below)]


def entries(cid: Cid, found: Node, read: BlockReader) -> Iterator[dag_pb.Link]:
    """All entries as they stand in the tree, each sub-shard read at its place: the order of a CAR.

    Names without their slot. Raises as `runs`, which is ten times as fast where that order does not matter.
    """
    seen = {cid.raw}
    at = shard(cid, found)
    waiting = [(iter(at.links.links()), at)]
    while waiting:
        links, at = waiting[-1]
        link = next(links, None)
        if link is None:
            waiting.pop()
            continue
        label = link.name or ""
        if len(label) > at.prefix_chars:
            yield dag_pb.Link(link.cid, label[at.prefix_chars :], link.size_bytes)
            continue
        slot(0, len(waiting), at.fanout)  # bounds the depth
        if link.cid.raw in seen:
            raise Unverified("a shard occurs twice in one directory", where=link.cid.text())
        seen.add(link.cid.raw)
        below = shard(link.cid, node(link.cid, read(link.cid)))
        waiting.append((iter(below.links.links()), below))
