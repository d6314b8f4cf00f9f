"""Files as DAGs, built while their bytes pass: chunks of one size, a balanced tree over them.

Memory: one chunk, and the links of one node a level. Nothing is kept of what was handed out. Source: the
UnixFS specification; balanced layout and framing as kubo writes them, so that CIDs are the same.
"""

from dataclasses import dataclass

from content import dag_pb, multihash, varint
from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from content.unixfs.message import Kind, Message, Mtime, encode
from content.unixfs.profile import Profile


@dataclass(frozen=True, slots=True)
class LeafMade:
    """A leaf: its block is `prefix + file[offset:offset + length] + suffix`."""

    cid: Cid
    offset: int
    length: int
    prefix: bytes
    suffix: bytes


@dataclass(frozen=True, slots=True)
class FileMade:
    """The whole file. `dag_bytes`: of all its blocks, as a link to it tells (Tsize)."""

    cid: Cid
    dag_bytes: int
    size_bytes: int


Made = LeafMade | Block


@dataclass(frozen=True, slots=True)
class _Part:
    cid: Cid
    file_bytes: int
    dag_bytes: int


class FileBuilder:
    """Builds one file. Feed it with `write`, end it with `finish`."""

    def __init__(self, profile: Profile, mode: int | None = None, mtime: Mtime | None = None) -> None:
        self._profile = profile
        self._mode, self._mtime = mode, mtime
        self._held = bytearray()
        self._offset = 0
        self._levels: list[list[_Part]] = [[]]

    def write(self, data: bytes | memoryview, *, more: bool = False) -> list[Made]:
        """Take bytes; returns the leaves and inner nodes that they complete.

        With `more`, bytes are known to follow these: then a whole chunk is hashed where it lies.
        """
        made: list[Made] = []
        chunk_bytes = self._profile.chunk_bytes
        start = 0
        with memoryview(data) as view:
            # a whole chunk is kept back until more comes: the only one of a file has a form of its own
            end = len(view) if more else len(view) - 1
            if self._held:
                start = min(len(view), chunk_bytes - len(self._held))
                self._held += view[:start]
                if start > end or len(self._held) < chunk_bytes:
                    return made
                made += self._chunk(self._held, alone=False)
                self._held = bytearray()
            while start + chunk_bytes <= end:
                with view[start : start + chunk_bytes] as chunk:
                    made += self._chunk(chunk, alone=False)
                start += chunk_bytes
            self._held += view[start:]
        return made

    def finish(self) -> tuple[list[Made], FileMade]:
        """What is still to be made, the root last, and the file."""
        made: list[Made] = []
        if self._held or not self._offset:
            made += self._chunk(self._held, alone=not self._offset)
        level = 0
        while True:
            parts, is_top = self._levels[level], not any(self._levels[level + 1 :])
            if is_top and len(parts) == 1 and not (level == 0 and self._needs_root_over_leaf):
                root = parts[0]
                return made, FileMade(root.cid, root.dag_bytes, root.file_bytes)
            if parts:
                made += self._node(level, is_root=is_top)
            level += 1

    @property
    def _needs_root_over_leaf(self) -> bool:
        """A raw leaf has no place for mode and mtime."""
        return self._profile.raw_leaves and (self._mode is not None or self._mtime is not None)

    def _chunk(self, data: bytearray | memoryview, *, alone: bool) -> list[Made]:
        made: list[Made] = [self._leaf(data, alone=alone)]
        part = made[0]
        assert isinstance(part, LeafMade)
        block_bytes = len(part.prefix) + part.length + len(part.suffix)
        self._offset += len(data)
        made += self._push(0, _Part(part.cid, part.length, block_bytes))
        return made

    def _push(self, level: int, part: _Part) -> list[Made]:
        """Add a part to a level; a full level is joined first, and only then: it might be the last."""
        made: list[Made] = []
        if len(self._levels[level]) == self._profile.width:
            made += self._node(level, is_root=False)
        self._levels[level].append(part)
        return made

    def _leaf(self, data: bytearray | memoryview, *, alone: bool) -> LeafMade:
        profile, length = self._profile, len(data)
        if profile.raw_leaves:
            return LeafMade(Cid.v1(RAW, multihash.sha2_256(data)), self._offset, length, b"", b"")
        attributes = _attributes(self._mode, self._mtime) if alone else b""
        prefix, suffix = _framing(length, attributes)
        name = multihash.sha2_256(prefix, data, suffix)
        return LeafMade(_named(profile, name), self._offset, length, prefix, suffix)

    def _node(self, level: int, *, is_root: bool) -> list[Made]:
        """Join the parts of one level into a node of the next."""
        parts, self._levels[level] = self._levels[level], []
        total = sum(part.file_bytes for part in parts)
        message = Message(
            Kind.FILE,
            file_bytes=total,
            block_bytes=tuple(part.file_bytes for part in parts),
            mode=self._mode if is_root else None,
            mtime=self._mtime if is_root else None,
        )
        links = tuple(dag_pb.Link(part.cid, "", part.dag_bytes) for part in parts)
        data = dag_pb.encode(dag_pb.Node(links, encode(message)))
        block = Block.sealed(DAG_PB, data, version=self._profile.cid_version)
        if level + 1 == len(self._levels):
            self._levels.append([])
        dag_bytes = len(data) + sum(part.dag_bytes for part in parts)
        return [block, *self._push(level + 1, _Part(block.cid, total, dag_bytes))]


def build_small(
    profile: Profile, data: bytearray, mode: int | None = None, mtime: Mtime | None = None
) -> tuple[list[Made], FileMade]:
    """A file of at most one chunk that is in memory: as a `FileBuilder` makes it, without copying `data`."""
    if len(data) > profile.chunk_bytes:
        raise ValueError(f"{len(data)} bytes are more than a chunk of {profile.chunk_bytes}")
    builder = FileBuilder(profile, mode, mtime)
    builder._held = data
    return builder.finish()


def build_raw(
    profile: Profile,
    size_bytes: int,
    sha2_256: bytes,
    mode: int | None = None,
    mtime: Mtime | None = None,
) -> tuple[list[Made], FileMade]:
    """A file of one chunk at most, not empty, whose SHA2-256 is known, under a profile with raw leaves."""
    if not (profile.raw_leaves and 0 < size_bytes <= profile.chunk_bytes):
        raise ValueError(f"{size_bytes} bytes are no raw leaf of {profile.name}")
    cid = Cid.v1(RAW, multihash.wrap(multihash.SHA2_256, sha2_256))
    if mode is None and mtime is None:  # nearly all: the leaf is the file
        return [LeafMade(cid, 0, size_bytes, b"", b"")], FileMade(cid, size_bytes, size_bytes)
    builder = FileBuilder(profile, mode, mtime)
    made = builder._push(0, _Part(cid, size_bytes, size_bytes))
    builder._offset = size_bytes
    rest, file = builder.finish()
    return [LeafMade(cid, 0, size_bytes, b"", b""), *made, *rest], file


def _attributes(mode: int | None, mtime: Mtime | None) -> bytes:
    """The last fields of a message, as they stand behind a leaf's size."""
    return encode(Message(Kind.FILE, mode=mode, mtime=mtime))[2:]


def _framing(length: int, attributes: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind `length` file bytes in a dag-pb leaf."""
    suffix = b"\x18" + varint.encode(length) + attributes
    inner = b"\x08\x02" + (b"\x12" + varint.encode(length) if length else b"")
    return b"\x0a" + varint.encode(len(inner) + length + len(suffix)) + inner, suffix


def _named(profile: Profile, name: bytes) -> Cid:
    return Cid.v0(name) if profile.cid_version == 0 else Cid.v1(DAG_PB, name)
