"""A tree on the disk: written to `NAME.part`, which becomes NAME when all of it is there.

Invariants
 1. Nothing is written, followed or changed outside NAME.part: every step is relative to an open folder, no
    symlink is ever followed, and a symlink that leads out of the tree is refused.
 2. NAME appears by rename, whole; it must not exist (an empty folder may). What fails leaves nothing; with
    `keeps`, what was broken off stays in NAME.part, and a later run takes it over, proven anew.
 3. Modes never bring set-user-id, set-group-id or sticky bits; times are those that the DAG records.
 4. One process at a time writes NAME.part (flock); a second one is refused.

The tree is not fsynced, file by file or as a whole: it can be had again. A single file is (`PartialFile`).
"""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from content.unixfs.message import Message
from runtime.errors import (
    Busy,
    Conflict,
    EdgeError,
    Forbidden,
    Interrupted,
    SourceTimeout,
    StoreFull,
    TooManyRequests,
    Unreachable,
    Unverified,
)
from tools.edge.tree import FileAt
from tools.frame.walk import translated

_MODE_BITS: Final = 0o777
_NANOS: Final = 1_000_000_000
_OPEN_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What another run may find otherwise; whatever else went wrong would go wrong again
_BROKEN_OFF: Final = (
    Unreachable,
    SourceTimeout,
    Busy,
    TooManyRequests,
    StoreFull,
    Interrupted,
    KeyboardInterrupt,
)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderWriter:
    """`tools.edge.tree.Writer` into a folder; a context manager that leaves all or nothing."""

    def __init__(
        self,
        target: Path,
        advance: Callable[[int], None],
        warn: Callable[[str], None],
        *,
        keeps: bool = False,
    ) -> None:
        """Begin `target`.part. `keeps`: what breaks off stays, and what an earlier run left is taken over.

        Raises Conflict when the target, or without `keeps` its part, is there; Forbidden, NotFound.
        """
        self.target = target
        self._advance, self._warn, self._keeps = advance, warn, keeps
        self._fds: list[int] = []
        self._names: list[set[str]] = []  # what belongs into each open folder
        if os.path.lexists(target) and not (target.name and _is_empty_folder(target)):
            hint = "nothing is overwritten; name another with -o, or move it away"
            raise Conflict("it exists already", where=str(target), hint=hint)
        self.path = target.with_name(f"{target.name}.part")
        self.takes_over = keeps and is_left(target)
        try:
            if not self.takes_over:
                os.mkdir(self.path, 0o700)
            self._lock_fd = self._locked()
        except FileExistsError:
            hint = "another `get` writes it, or was killed; remove it when none runs"
            raise Conflict("an unfinished copy is in the way", where=str(self.path), hint=hint) from None
        except OSError as fault:
            raise translated(fault, self.path) from None

    def _locked(self) -> int:
        """The folder, opened and locked; still the one that is called NAME.part."""
        if self.takes_over:
            os.chmod(self.path, 0o700)
        fd = os.open(self.path, _OPEN_DIR)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(self.path, follow_symlinks=False).st_ino == os.fstat(fd).st_ino:
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        raise Conflict("another `get` writes this folder", where=str(self.path))

    def __enter__(self) -> "FolderWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for fd in self._fds:
                os.close(fd)
            if kind is None:
                self._publish()
            elif self._keeps and issubclass(kind, _BROKEN_OFF) and any(self.path.iterdir()):
                if isinstance(error, EdgeError) and not error.hint:
                    error.hint = f"the same command goes on: what came is in {self.path}"
            else:
                _remove(self.path)
        finally:
            os.close(self._lock_fd)

    def _publish(self) -> None:
        try:
            os.rename(self.path, self.target)
        except OSError as fault:
            _remove(self.path)
            raise translated(fault, self.target) from None

    def enter(self, name: str, message: Message | None) -> None:
        """Make a folder and go into it; the root of the tree is there already."""
        try:
            if self._fds:
                self._make_folder(name)
                self._fds.append(os.open(_raw(name), _OPEN_DIR, dir_fd=self._fds[-1]))
            else:
                self._fds.append(os.open(self.path, _OPEN_DIR))
            self._names.append(set())
        except OSError as fault:
            raise translated(fault, self.path / name) from None

    def _make_folder(self, name: str) -> None:
        if self.kind_left(name) == stat.S_IFDIR:
            os.chmod(_raw(name), 0o700, dir_fd=self._fds[-1])
            self._names[-1].add(name)
        else:
            self._begin(name)
            os.mkdir(_raw(name), 0o700, dir_fd=self._fds[-1])

    def _begin(self, name: str) -> None:
        """Note that an entry belongs here, and clear away what an earlier run left under its name."""
        if not self.takes_over:
            return
        self._names[-1].add(name)
        self._clear(_raw(name))

    def _clear(self, raw: bytes) -> None:
        try:
            os.unlink(raw, dir_fd=self._fds[-1])
        except FileNotFoundError:
            return
        except IsADirectoryError:
            _open_up(raw, self._fds[-1])
            shutil.rmtree(raw, dir_fd=self._fds[-1])

    # What an earlier run left

    def kind_left(self, name: str) -> int | None:
        """S_IFREG, S_IFDIR, … of what an earlier run left under this name; None: nothing."""
        if not self.takes_over:
            return None
        try:
            return stat.S_IFMT(os.lstat(_raw(name), dir_fd=self._fds[-1]).st_mode)
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise translated(fault, self.path / name) from None

    @contextmanager
    def left(self, name: str) -> "Iterator[LeftFile]":
        """The regular file that an earlier run left under this name."""
        try:
            os.chmod(_raw(name), 0o600, dir_fd=self._fds[-1])
            fd = os.open(_raw(name), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fds[-1])
        except OSError as fault:
            raise translated(fault, self.path / name) from None
        try:
            yield LeftFile(fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def rest(self, file: FileAt, left: "LeftFile", start: int) -> None:
        """Go on with a file of which the first `start` bytes are proven. Raises as `file`."""
        where = self.path / file.name
        try:
            os.ftruncate(left.fd, start)
            os.lseek(left.fd, start, os.SEEK_SET)
            os.fchmod(left.fd, 0o666 & ~_umask())
        except OSError as fault:
            raise translated(fault, where) from None
        self._names[-1].add(file.name)
        self._advance(start)
        self._fill(left.fd, file, start, where)

    # What comes

    def leave(self, message: Message | None) -> None:
        """Give a folder its mode and time, now that nothing more comes into it."""
        names = self._names.pop()
        if self.takes_over:
            kept = {_raw(name) for name in names}
            for raw in map(os.fsencode, os.listdir(self._fds[-1])):
                if raw not in kept:
                    self._clear(raw)
        fd = self._fds.pop()
        try:
            mode = None if message is None else message.mode
            os.fchmod(fd, _MODE_BITS & ~_umask() if mode is None else mode & _MODE_BITS)
            self._set_time(message, fd)
        except OSError as fault:
            raise translated(fault, self.path) from None
        finally:
            os.close(fd)

    def file(self, file: FileAt) -> None:
        """Write a file; Unverified when its parts are not as long as it says."""
        where = self.path / file.name
        try:
            self._begin(file.name)
            fd = os.open(_raw(file.name), _CREATE, 0o666, dir_fd=self._fds[-1])
        except OSError as fault:
            raise translated(fault, where) from None
        try:
            self._fill(fd, file, 0, where)
        finally:
            os.close(fd)

    def _fill(self, fd: int, file: FileAt, written: int, where: Path) -> None:
        try:
            for piece in file.pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
                written += len(piece)
                self._advance(len(piece))
            if written != file.size_bytes:
                raise Unverified(f"a file of {file.size_bytes} bytes has {written}", where=str(where))
            if file.message is not None and file.message.mode is not None:
                os.fchmod(fd, file.message.mode & _MODE_BITS)
            self._set_time(file.message, fd)
        except OSError as fault:
            raise translated(fault, where) from None

    def symlink(self, name: str, target: str, message: Message, depth: int) -> None:
        """Make a symlink that stays inside the tree. Raises Forbidden for any other."""
        if not stays_inside(target, depth):
            hint = "`get --archive` and `dag export` take it as it is"
            where = f"{name[:80]} -> {target[:80]}"
            raise Forbidden("a symlink leads out of the tree", where=where, hint=hint)
        try:
            self._begin(name)
            os.symlink(_raw(target), _raw(name), dir_fd=self._fds[-1])
            if message.mtime is not None:
                times = _nanoseconds(message)
                os.utime(_raw(name), ns=(times, times), dir_fd=self._fds[-1], follow_symlinks=False)
        except (OSError, OverflowError) as fault:
            failure = fault if isinstance(fault, OSError) else OSError(errno.EINVAL, "not a time")
            raise translated(failure, self.path / name) from None

    def _set_time(self, message: Message | None, fd: int) -> None:
        if message is None or message.mtime is None:
            return
        try:
            os.utime(fd, ns=(_nanoseconds(message), _nanoseconds(message)))
        except (OverflowError, OSError):
            self._warn(f"left out: a time of change that cannot be kept here ({message.mtime.seconds} s)")


def stays_inside(target: str, depth: int) -> bool:
    """Whether a symlink `depth` folders below the root of a tree (1: in the root) leads into that tree.

    `..` counts at the front only: behind a name that is a link it means another place than it seems.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    return ups < depth and ".." not in parts[ups:]


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file that an earlier run left, open; `tools.edge.proven.Left`."""

    fd: int
    written_bytes: int

    def read(self, start: int, count: int) -> bytes:
        """Up to `count` bytes at `start`, fewer at the end."""
        return os.pread(self.fd, count, start)


def is_left(target: Path) -> bool:
    """Whether an earlier run of this user left `target`.part, a folder."""
    try:
        status = os.lstat(target.with_name(f"{target.name}.part"))
    except (OSError, ValueError):  # not there, or no name that a folder can have
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _is_empty_folder(path: Path) -> bool:
    try:
        return not path.is_symlink() and path.is_dir() and not any(path.iterdir())
    except OSError as fault:
        raise translated(fault, path) from None


def _nanoseconds(message: Message) -> int:
    assert message.mtime is not None
    return message.mtime.seconds * _NANOS + (message.mtime.nanos or 0)


def _raw(name: str) -> bytes:
    """Names are bytes; Python's text for them depends on the locale, this does not."""
    return name.encode("utf-8", "surrogateescape")


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _remove(path: Path) -> None:
    """Remove what was written, also below folders that may not be written into."""
    _open_up(path)
    shutil.rmtree(path, ignore_errors=True)


def _open_up(path: "Path | bytes", dir_fd: int | None = None) -> None:
    """Make a folder and those below it writable."""
    os.chmod(path, 0o700, dir_fd=dir_fd)
    for _, folders, _, fd in os.fwalk(path, dir_fd=dir_fd):
        for name in folders:
            if not stat.S_ISLNK(os.lstat(name, dir_fd=fd).st_mode):
                os.chmod(name, 0o700, dir_fd=fd)
