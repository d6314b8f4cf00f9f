"""Files and directories as a CAR that is written down nowhere: where each byte of it comes from.

The first pass reads everything and knows the root and the length, which an upload must say before it begins.
After that any part of the CAR can be made again from the files, so that an upload goes on where it was.

Invariants
 1. Blocks stand depth first and each once, so that whoever imports them keeps each file as one blob.
 2. Memory: the links of one file, and 300 bytes a block (a GiB of file is 1025 blocks).
"""

import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from content import car, dag_pb
from content.block import Block
from content.cid import Cid
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder, LeafMade, Made
from content.unixfs.profile import Profile
from runtime.errors import Conflict, UsageError
from tools.frame import walk
from tools.frame.output import Progress

_READ_BYTES: Final = 1 << 20
_PIECE_BYTES: Final = 256 << 10  # what a slow line takes well before its time is over
_DEPTH_MAX: Final = 400  # a frame of the stack a level; the deepest source trees have some 30


@dataclass(frozen=True, slots=True)
class _Slice:
    """A leaf: `head`, then `length` bytes of a file from `offset`, then `tail`."""

    cid: Cid
    head: bytes
    path: str
    offset: int
    length: int
    tail: bytes


_Part = Block | _Slice


@dataclass(slots=True)
class _Made:
    """A file or directory: its entry, without a name, and its blocks, depth first."""

    entry: Entry
    parts: list[_Part] = field(default_factory=list)


class CarPlan:
    """A CAR of one root, ready to be sent from any byte on."""

    def __init__(self, root: Cid, parts: list[_Part]) -> None:
        self.root = root
        self._parts = parts
        self._header = car.header((root,))
        self._starts: list[int] = []
        at = len(self._header)
        for part in parts:
            self._starts.append(at)
            size = _size(part)
            at += len(car.frame(part.cid, size)) + size
        self.length_bytes = at

    @property
    def identity(self) -> str:
        """What tells this content from other: the same again is the same upload."""
        return f"{self.root} {self.length_bytes}"

    def pieces(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on, at most 256 KiB a piece.

        Raises Conflict when a file has become shorter; what else has changed its reader notices by the hash.
        """
        if start < len(self._header):
            yield self._header[start:]
        first = max(0, bisect_right(self._starts, start) - 1)
        with _Files() as files:
            for part, at in zip(self._parts[first:], self._starts[first:], strict=True):
                frame = car.frame(part.cid, _size(part))
                if isinstance(part, Block):
                    data = part.data
                else:
                    data = part.head + files.read(part.path, part.offset, part.length) + part.tail
                whole = memoryview(frame + data)[max(0, start - at) :]
                for begin in range(0, len(whole), _PIECE_BYTES):
                    yield bytes(whole[begin : begin + _PIECE_BYTES])


def planned(
    path: str, profile: Profile, progress: Progress, note: Callable[[str], None], *, hidden: bool
) -> CarPlan:
    """The CAR of what is at `path`, a symlink there followed. Raises NotFound, Forbidden, UsageError."""
    planner = _Planner(profile, progress, note, hidden)
    try:
        found = os.stat(path)
        made = planner.folder(path, 0) if stat.S_ISDIR(found.st_mode) else planner.file(path)
    except OSError as fault:
        raise walk.translated(fault, path) from None
    once = {part.cid.raw: part for part in made.parts}  # each where its first one stands
    return CarPlan(made.entry.cid, list(once.values()))


class _Planner:
    """Reads a tree once."""

    def __init__(
        self, profile: Profile, progress: Progress, note: Callable[[str], None], hidden: bool
    ) -> None:
        self._profile, self._progress = profile, progress
        self._note, self._hidden = note, hidden

    def file(self, path: str, *, follow: bool = True) -> _Made:
        builder = FileBuilder(self._profile)
        grown: list[list[_Part]] = []
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        with open(os.open(path, flags), "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UsageError("neither a file nor a directory", where=path)
            while data := file.read(_READ_BYTES):
                _grow(grown, builder.write(data), path)
                self._progress.advance(len(data))
        made, whole = builder.finish()
        _grow(grown, made, path)
        return _Made(Entry("", whole.cid, whole.dag_bytes), [part for tree in grown for part in tree])

    def folder(self, path: str, depth: int) -> _Made:
        if depth > _DEPTH_MAX:
            raise UsageError(f"more than {_DEPTH_MAX} folders inside one another", where=path[:200])
        entries: list[Entry] = []
        below: list[_Part] = []
        with os.scandir(path) as listing:
            children = sorted(listing, key=lambda child: child.name)
        for child in children:
            if not self._hidden and child.name.startswith("."):
                continue
            try:
                made = self._child(child, depth)
            except OSError as fault:
                raise walk.translated(fault, child.path) from None
            if made is not None:
                entries.append(Entry(child.name, made.entry.cid, made.entry.dag_bytes))
                below += made.parts
        built = build_directory(self._profile, entries)
        return _Made(Entry("", built.cid, built.dag_bytes), [*reversed(built.blocks), *below])

    def _child(self, child: "os.DirEntry[str]", depth: int) -> _Made | None:
        if child.is_symlink():
            block = build_symlink(self._profile, os.readlink(child.path))
            return _Made(Entry("", block.cid, len(block.data)), [block])
        if child.is_dir(follow_symlinks=False):
            return self.folder(child.path, depth + 1)
        if child.is_file(follow_symlinks=False):
            return self.file(child.path, follow=False)
        self._note(f"left out: {child.path} (neither a file, a folder nor a symlink)")
        return None


def _grow(grown: list[list[_Part]], made: list[Made], path: str) -> None:
    """Put what a builder made, children before parents, into trees with the parent first."""
    for each in made:
        if isinstance(each, LeafMade):
            grown.append([_Slice(each.cid, each.prefix, path, each.offset, each.length, each.suffix)])
            continue
        count = len(dag_pb.decode(each.data).links)
        tree: list[_Part] = [each]
        for child in grown[len(grown) - count :]:
            tree += child
        del grown[len(grown) - count :]
        grown.append(tree)


def _size(part: _Part) -> int:
    return len(part.data) if isinstance(part, Block) else len(part.head) + part.length + len(part.tail)


class _Files:
    """The file that is read just now, open."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._path: str | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a file. Raises Conflict, NotFound, Forbidden."""
        try:
            if path != self._path or self._file is None:
                self._stack.close()
                self._file = self._stack.enter_context(open(path, "rb", buffering=0))  # noqa: SIM115
                self._path = path
            data = os.pread(self._file.fileno(), length, offset)
        except OSError as fault:
            raise walk.translated(fault, path) from None
        if len(data) != length:
            raise Conflict("the file changed while it was sent", where=path, hint="add it again")
        return data
