"""A tree on the disk: written to `NAME.part`, which becomes NAME when all of it is there.

Invariants
 1. Nothing is written, followed or changed outside NAME.part: every step is relative to an open folder, no
    symlink is ever followed, and a symlink that leads out of the tree is refused.
 2. NAME appears by rename, whole; it must not exist (an empty folder may). What fails leaves nothing.
 3. Modes never bring set-user-id, set-group-id or sticky bits; times are those that the DAG records.

The tree is not fsynced, file by file or as a whole: it can be had again. A single file is (`PartialFile`).
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from content.unixfs.message import Message
from runtime.errors import Conflict, Forbidden, Unverified
from tools.edge.tree import FileAt
from tools.frame.walk import translated

_MODE_BITS: Final = 0o777
_NANOS: Final = 1_000_000_000
_OPEN_DIR: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderWriter:
    """`tools.edge.tree.Writer` into a folder; a context manager that leaves all or nothing."""

    def __init__(self, target: Path, advance: Callable[[int], None], warn: Callable[[str], None]) -> None:
        """Begin `target`.part. Raises Conflict when either is there, Forbidden, NotFound."""
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._advance, self._warn = advance, warn
        self._fds: list[int] = []
        if target.is_symlink() or (target.exists() and not _is_empty_folder(target)):
            hint = "nothing is overwritten; name another with -o, or move it away"
            raise Conflict("it exists already", where=str(target), hint=hint)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            hint = "another `get` writes it, or was killed; remove it when none runs"
            raise Conflict("an unfinished copy is in the way", where=str(self.path), hint=hint) from None
        except OSError as fault:
            raise translated(fault, self.path) from None

    def __enter__(self) -> "FolderWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for fd in self._fds:
            os.close(fd)
        if kind is None:
            try:
                os.rename(self.path, self.target)
                return
            except OSError as fault:
                _remove(self.path)
                raise translated(fault, self.target) from None
        _remove(self.path)

    def enter(self, name: str, message: Message | None) -> None:
        """Make a folder and go into it; the root of the tree is there already."""
        try:
            if self._fds:
                os.mkdir(_raw(name), 0o700, dir_fd=self._fds[-1])
                self._fds.append(os.open(_raw(name), _OPEN_DIR, dir_fd=self._fds[-1]))
            else:
                self._fds.append(os.open(self.path, _OPEN_DIR))
        except OSError as fault:
            raise translated(fault, self.path / name) from None

    def leave(self, message: Message | None) -> None:
        """Give a folder its mode and time, now that nothing more comes into it."""
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
            fd = os.open(_raw(file.name), _CREATE, 0o666, dir_fd=self._fds[-1])
        except OSError as fault:
            raise translated(fault, where) from None
        written = 0
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
        finally:
            os.close(fd)

    def symlink(self, name: str, target: str, message: Message, depth: int) -> None:
        """Make a symlink that stays inside the tree. Raises Forbidden for any other."""
        if not stays_inside(target, depth):
            hint = "`get --archive` and `dag export` take it as it is"
            where = f"{name[:80]} -> {target[:80]}"
            raise Forbidden("a symlink leads out of the tree", where=where, hint=hint)
        try:
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


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


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
    os.chmod(path, 0o700)
    for _, folders, _, fd in os.fwalk(path):
        for name in folders:
            if not stat.S_ISLNK(os.lstat(name, dir_fd=fd).st_mode):
                os.chmod(name, 0o700, dir_fd=fd)
    shutil.rmtree(path, ignore_errors=True)
