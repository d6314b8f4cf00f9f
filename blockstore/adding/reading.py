"""Reading files into a store as UnixFS, on whichever thread does it.

Files of one segment at most are read and hashed a hand at a time, in one native call; where that has
nothing to say of one, it is read alone: whole, and sealed where it lies. A larger one passes as pieces, each
hashed from the buffer it was read into.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from blockstore import Store
from blockstore.block_rows import BlockRow
from blockstore.bundle import SEAL_BYTES, Bundle
from blockstore.flat import Flat
from blockstore.landings import Landings
from content.bao import _native
from content.bao.geometry import SEGMENT_BYTES
from content.unixfs.build_file import FileBuilder, FileMade, LeafMade, Made, build_raw, build_small
from content.unixfs.message import Mtime
from content.unixfs.profile import Profile
from runtime.errors import UsageError, file_fault

PIECE_BYTES: Final = 1 << 20  # the larger chunk of the profiles, so that chunks lie in one piece
_NOWHERE: Final = bytes(32)  # a blob whose name is not known yet
_NANOS: Final = 1_000_000_000


class Progress(Protocol):
    """Told how far the reading has come."""

    def advance(self, done_bytes: int) -> None:
        """`done_bytes` more are done."""
        ...


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a DAG may say of a file beside its bytes."""

    mode: int | None = None
    mtime: Mtime | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """Which attributes are to be kept."""

    mode: bool
    mtime: bool

    def of(self, mode: int, mtime_ns: int) -> Attributes:
        """Those of a file with this `st_mode` and time."""
        seconds, nanos = divmod(mtime_ns, _NANOS)
        return Attributes(
            stat.S_IMODE(mode) if self.mode else None,
            Mtime(seconds, nanos or None) if self.mtime else None,
        )


NOTHING: Final = Attributes()


@dataclass(frozen=True, slots=True)
class Reader:
    """Where files go and how. All methods may be called from any thread."""

    store: Store
    profile: Profile
    keep: Keep
    landings: Landings
    progress: Progress
    note: Callable[[str], None]
    check: Callable[[], None]  # raises when the work is to be given up

    def told(self, path: str, files: _native.SmallFiles, place: int, bundle: Bundle) -> FileMade | None:
        """File `place` of those read together, which is at `path`; None: it has to be read alone."""
        told = files.told(place)
        if told is None or not told[-1]:
            return None
        mode, (seconds, nanos), announced, sha2_256, blob, nodes, size = told
        if size < announced:
            self._note_change(path)
        attributes = self.keep.of(mode, seconds * _NANOS + nanos)
        made, file = build_raw(self.profile, size, sha2_256, attributes.mode, attributes.mtime)
        rows = self._rows(made, bundle)
        bundle.put_read(files, place, blob, nodes, size, rows, file.cid.multihash)
        self.progress.advance(size)
        return file

    def path(self, path: str, follow: bool, bundle: Bundle) -> FileMade:
        """The file at `path`, a symlink only with `follow`. Raises as `file_fault`, StoreFull."""
        # not blocking: what was a file when the folder was listed may be a pipe by now
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
        try:
            fd = os.open(path, flags)
            try:
                return self._opened(fd, path, bundle)
            finally:
                os.close(fd)
        except OSError as fault:
            raise file_fault(fault, path) from None

    def data(self, data: bytearray, attributes: Attributes, bundle: Bundle) -> FileMade:
        """A file of one segment at most that is in memory; `data` is taken."""
        size = len(data)
        made, file = build_small(self.profile, data, attributes.mode, attributes.mtime)
        rows = self._rows(made, bundle)
        bundle.put(data, rows, file.cid.multihash)
        self.progress.advance(size)
        return file

    def stream(self, file: BinaryIO, path: str, attributes: Attributes = NOTHING) -> FileMade:
        """A file of any size, read to its end. Memory: two pieces, and the store's queue."""
        self.landings.check()
        builder = FileBuilder(self.profile, attributes.mode, attributes.mtime)
        flat = Flat(self.store.dag, self.store.dag.new_ingest(), self.landings)
        now, ahead = bytearray(PIECE_BYTES), bytearray(PIECE_BYTES)
        try:
            held = _fill(file, now, path)
            while held:
                more = _fill(file, ahead, path)
                with memoryview(now) as whole, whole[:held] as piece:
                    _take(flat, builder.write(piece, more=more > 0))
                    flat.write(piece)
                self.progress.advance(held)
                self.check()
                now, ahead, held = ahead, now, more
            rest, made = builder.finish()
            _take(flat, rest)
        except BaseException:
            flat.abort()
            raise
        flat.finish_soon(made.cid)
        return made

    def _rows(self, made: list[Made], bundle: Bundle) -> list[tuple[bytes, BlockRow]]:
        """Where the leaves of a file lie; what is no leaf goes to `bundle`."""
        rows = []
        for each in made:
            if isinstance(each, LeafMade):
                row = BlockRow(_NOWHERE, each.offset, each.length, each.prefix, each.suffix)
                rows.append((each.cid.multihash, row))
            else:
                bundle.block(each)
        return rows

    def _opened(self, fd: int, path: str, bundle: Bundle) -> FileMade:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise UsageError("it was a file and is none any more", where=path, hint="add it again")
        attributes = self.keep.of(found.st_mode, found.st_mtime_ns)
        if found.st_size <= SEGMENT_BYTES:
            data = _whole(fd, found.st_size)
            if data is not None:
                if len(data) < found.st_size:
                    self._note_change(path)
                return self.data(data, attributes, bundle)
        with open(fd, "rb", buffering=0, closefd=False) as file:
            made = self.stream(file, path, attributes)
        after = os.fstat(fd)
        if (after.st_size, after.st_mtime_ns) != (made.size_bytes, found.st_mtime_ns):
            self._note_change(path)
        return made

    def _note_change(self, path: str) -> None:
        self.note(f"changed while it was read: {path} (what was read of it is stored)")


@dataclass(frozen=True, slots=True, eq=False)
class FileWork:
    """The piece of work that is one file; `size_bytes` as it was listed."""

    reader: Reader
    path: str
    size_bytes: int
    follow: bool

    def __call__(self, hand: "Hand") -> FileMade:
        """Do it, on one of the crew's threads."""
        return hand.file(self)


class Hand:
    """What the files of one hand share: a bundle, and what was read of the small ones in one call."""

    def __init__(self, reader: Reader, pieces: Sequence[Callable[["Hand"], FileMade]]) -> None:
        self.bundle = Bundle(reader.store, reader.landings)
        self._places: dict[FileWork, int] = {}
        if not reader.profile.raw_leaves:  # what is hashed is more than the bytes of the file
            return
        small = [each for each in pieces if isinstance(each, FileWork) and _is_small(each)]
        if small:
            self._places = {each: place for place, each in enumerate(small)}
            paths, size_bytes = (
                [os.fsencode(each.path) for each in small],
                sum(each.size_bytes for each in small),
            )
            self._files = _native.SmallFiles(paths, False, size_bytes)
            self.bundle.expect(len(small))

    def file(self, work: FileWork) -> FileMade:
        """One file of the hand."""
        place = self._places.get(work)
        made = None
        if place is not None:
            made = work.reader.told(work.path, self._files, place, self.bundle)
        return made or work.reader.path(work.path, work.follow, self.bundle)

    def submit(self) -> None:
        """Send off what is in the bundle."""
        self.bundle.submit()


def _is_small(work: FileWork) -> bool:
    return work.size_bytes <= SEGMENT_BYTES and not work.follow


def _whole(fd: int, size_bytes: int) -> bytearray | None:
    """All of a small file, with room behind it; None, at its beginning again, when it has grown."""
    data = bytearray(size_bytes + 1 + SEAL_BYTES)
    got = 0
    with memoryview(data) as view:
        while got <= size_bytes:
            more = os.readv(fd, [view[got : size_bytes + 1]])
            got += more
            if not more or got == size_bytes:  # short of one byte more: its end
                break
    if got > size_bytes:
        os.lseek(fd, 0, os.SEEK_SET)
        return None
    del data[got:]
    return data


def _fill(file: BinaryIO, buffer: bytearray, path: str) -> int:
    """Read until `buffer` is full or the file ends; how many bytes."""
    got = 0
    try:
        with memoryview(buffer) as view:
            while got < len(buffer):
                with view[got:] as rest:
                    more = file.readinto(rest)  # type: ignore[attr-defined]
                if not more:
                    break
                got += more
    except OSError as fault:
        raise file_fault(fault, path) from None
    return got


def _take(flat: Flat, made: list[Made]) -> None:
    for each in made:
        if isinstance(each, LeafMade):
            flat.leaf(each.cid.multihash, each.offset, each.length, each.prefix, each.suffix)
        else:
            flat.inner(each)
