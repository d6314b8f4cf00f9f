"""Directories and symlinks as blocks: flat while they are small, sharded (HAMT) above the profile's bound.

Source: the UnixFS specification; order, framing and the bound as kubo has them, so that CIDs are the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from content import dag_pb, varint
from content.block import Block
from content.cid import DAG_PB, Cid
from content.unixfs.hamt import MURMUR3_X64_64, hash_bits, slot
from content.unixfs.message import Kind, Message, Mtime, encode
from content.unixfs.profile import Estimate, Profile
from runtime.errors import BadRequest

NAME_BYTES_MAX = 255  # of every file system that matters


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `dag_bytes`: of all blocks below it (Tsize)."""

    name: str
    cid: Cid
    dag_bytes: int


@dataclass(frozen=True, slots=True)
class DirectoryMade:
    """A directory: its blocks, the root last, and the bytes of everything below it."""

    cid: Cid
    dag_bytes: int
    blocks: tuple[Block, ...]


def build_directory(
    profile: Profile, entries: Iterable[Entry], mode: int | None = None, mtime: Mtime | None = None
) -> DirectoryMade:
    """The directory of `entries`, in any order. Raises BadRequest for names that cannot be."""
    ordered = sorted(entries, key=lambda entry: _raw(entry.name))
    for before, entry in zip([None, *ordered], ordered, strict=False):
        _check(entry.name, None if before is None else before.name)
    below = sum(entry.dag_bytes for entry in ordered)
    flat = encode(Message(Kind.DIRECTORY, mode=mode, mtime=mtime))
    if _fits(profile, ordered, len(flat)):
        links = tuple(dag_pb.Link(entry.cid, entry.name, entry.dag_bytes) for entry in ordered)
        data = dag_pb.encode(dag_pb.Node(links, flat))
        block = Block.sealed(DAG_PB, data, version=profile.cid_version)
        return DirectoryMade(block.cid, below + len(data), (block,))
    blocks: list[Block] = []
    placed = [(hash_bits(entry.name), entry) for entry in ordered]
    root, dag_bytes = _shard(profile, placed, 0, blocks, mode, mtime)
    return DirectoryMade(root, dag_bytes, tuple(blocks))


def build_symlink(
    profile: Profile, target: str, mode: int | None = None, mtime: Mtime | None = None
) -> Block:
    """A symlink to `target`."""
    message = Message(Kind.SYMLINK, data=_raw(target), mode=mode, mtime=mtime)
    return Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node((), encode(message))), version=profile.cid_version)


def _shard(
    profile: Profile,
    placed: list[tuple[int, Entry]],
    level: int,
    blocks: list[Block],
    mode: int | None = None,
    mtime: Mtime | None = None,
) -> tuple[Cid, int]:
    """(CID, bytes of all below) of the shard of `placed`; sub-shards go to `blocks` before it."""
    slots: dict[int, list[tuple[int, Entry]]] = {}
    for each in placed:
        slots.setdefault(slot(each[0], level, profile.fanout), []).append(each)
    width = len(f"{profile.fanout - 1:X}")
    links, bits = [], 0
    for place in sorted(slots):
        bits |= 1 << place
        prefix = f"{place:0{width}X}"
        if len(slots[place]) == 1:
            entry = slots[place][0][1]
            links.append(dag_pb.Link(entry.cid, prefix + entry.name, entry.dag_bytes))
        else:
            cid, dag_bytes = _shard(profile, slots[place], level + 1, blocks)
            links.append(dag_pb.Link(cid, prefix, dag_bytes))
    message = Message(
        Kind.HAMT_SHARD,
        data=bits.to_bytes((bits.bit_length() + 7) // 8, "big"),
        hash_type=MURMUR3_X64_64,
        fanout=profile.fanout,
        mode=mode,
        mtime=mtime,
    )
    data = dag_pb.encode(dag_pb.Node(tuple(links), encode(message)))
    block = Block.sealed(DAG_PB, data, version=profile.cid_version)
    blocks.append(block)
    return block.cid, len(data) + sum(link.size_bytes or 0 for link in links)


def _fits(profile: Profile, entries: list[Entry], message_bytes: int) -> bool:
    """Whether the entries stay in one node, by the profile's way of counting."""
    by_links = profile.estimate is Estimate.LINKS
    total = 0 if by_links else 1 + len(varint.encode(message_bytes)) + message_bytes
    for entry in entries:
        name, cid = len(_raw(entry.name)), len(entry.cid.raw)
        if by_links:
            total += name + cid
        else:
            body = 3 + cid + len(varint.encode(cid)) + name + len(varint.encode(name))
            body += len(varint.encode(entry.dag_bytes))
            total += 1 + len(varint.encode(body)) + body
        if total > profile.shard_above_bytes:
            return False
    return True


def _check(name: str, before: str | None) -> None:
    raw = _raw(name)
    if not raw or raw in (b".", b"..") or b"/" in raw or b"\0" in raw:
        raise BadRequest("not the name of a directory entry", where=repr(name)[:80])
    if len(raw) > NAME_BYTES_MAX:
        raise BadRequest(f"a name of more than {NAME_BYTES_MAX} bytes", where=name[:80])
    if name == before:
        raise BadRequest("two entries of a directory have one name", where=name[:80])


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
