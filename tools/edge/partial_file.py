"""`FILE.part`: a download on its way to FILE, holding proven bytes only.

Invariants
 1. FILE appears by rename, after everything was proven and fsynced; until then FILE is as it was. What is
    there and no regular file (/dev/null, /dev/stdout, a pipe) is written to as it is, and never replaced.
 2. One process at a time writes FILE.part (flock); a second one is refused.
 3. What an earlier run left is taken over up to the last whole group, never trusted: the caller
    proves its last group at once and its whole at the end.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

from content.bao.geometry import GROUP_BYTES
from runtime.errors import Conflict, UsageError
from tools.frame.walk import translated


def output_at(target: Path) -> "PartialFile":
    """Where the bytes of `target` go until all of them are proven. Raises EdgeError where that cannot be."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return PartialFile(target)
    except OSError as fault:
        raise translated(fault, target) from None
    return PartialFile(target) if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else Device(target)


class PartialFile:
    """The open FILE.part of one download; a context manager that keeps the file when it fails."""

    def __init__(self, target: Path) -> None:
        """Open or create `target`.part and lock it. Raises EdgeError where that cannot be."""
        self.target = target
        if os.path.isdir(target):
            raise UsageError("the output is a directory", where=str(target), hint="name a file")
        self.path = target.with_name(f"{target.name}.part")
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.path, flags, 0o666)
        except OSError as fault:
            raise translated(fault, self.path) from None
        self._take()
        self._published = False
        self.written_bytes = os.fstat(self._fd).st_size

    def _take(self) -> None:
        """Lock what was opened, and make sure that it is still FILE.part and not yet somebody's FILE."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened = os.fstat(self._fd)
            if not stat.S_ISREG(opened.st_mode):
                raise UsageError("not a regular file", where=str(self.path))
            if os.stat(self.path, follow_symlinks=False).st_ino != opened.st_ino:
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            os.close(self._fd)
            raise Conflict("another download writes this file", where=str(self.path)) from None
        except UsageError:
            os.close(self._fd)
            raise

    def __enter__(self) -> "PartialFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.written_bytes == 0 and not self._published:
            self.discard()  # nothing to resume from
        os.close(self._fd)

    def resumable_bytes(self) -> int:
        """Where a resumed download starts: the beginning of the last whole group that is there."""
        return max(0, self.written_bytes // GROUP_BYTES - 1) * GROUP_BYTES

    def read(self, start: int, count: int) -> bytes:
        """Up to `count` bytes at `start`, fewer at the end of the file."""
        return os.pread(self._fd, count, start)

    def restart(self) -> None:
        """Forget what is there."""
        self.cut(0)

    def cut(self, size_bytes: int) -> None:
        """Forget what is behind the first `size_bytes`."""
        os.ftruncate(self._fd, size_bytes)
        self.written_bytes = size_bytes

    def write(self, offset: int, data: "bytes | memoryview") -> None:
        """Put proven `data` at `offset`. Raises StoreFull."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(self._fd, view, offset)
                view, offset = view[count:], offset + count
        except OSError as fault:
            raise translated(fault, self.path) from None
        self.written_bytes = max(self.written_bytes, offset)

    def publish(self, size_bytes: int) -> None:
        """Make FILE of it: exactly `size_bytes`, on disk, under its name."""
        try:
            os.ftruncate(self._fd, size_bytes)
            os.fsync(self._fd)
            os.replace(self.path, self.target)
            self._published = True
        except OSError as fault:
            raise translated(fault, self.target) from None

    def discard(self) -> None:
        """Remove FILE.part: what it held was not what it should be, or nothing."""
        try:
            os.unlink(self.path)
        except OSError as fault:
            if fault.errno != errno.ENOENT:
                raise translated(fault, self.path) from None


class Device(PartialFile):
    """A device or pipe that is there: what is proven goes to it at once, in order, for good."""

    def __init__(self, target: Path) -> None:
        """Open `target`. Raises EdgeError."""
        self.target = self.path = target
        self.written_bytes = 0
        try:
            self._fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as fault:
            raise translated(fault, target) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def resumable_bytes(self) -> int:
        """Nothing of an earlier run is there."""
        return 0

    def read(self, start: int, count: int) -> bytes:
        """Nothing can be read again."""
        return b""

    def cut(self, size_bytes: int) -> None:
        """Nothing can be taken back; asked for before the first byte only."""

    def write(self, offset: int, data: "bytes | memoryview") -> None:
        """Put proven `data` behind what was written before. Raises StoreFull, UsageError."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except BrokenPipeError:
            raise
        except OSError as fault:
            raise translated(fault, self.target) from None
        self.written_bytes = offset + len(data)

    def publish(self, size_bytes: int) -> None:
        """All is there already."""

    def discard(self) -> None:
        """It was there before."""
