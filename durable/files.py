"""Small files that have to be whole or absent, and files whose lock says that a process lives."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from durable.errors import translated


def write_file_durably(path: Path, data: bytes) -> bool:
    """Create `path` holding exactly `data`, or leave it as it was; False when it existed already.

    The file appears by link after its bytes are on the disk, so no process sees half of it and
    of two creators one wins. Raises StoreFull, UsageError.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_whole(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        sync_folder(path.parent)
        return True
    except OSError as error:
        raise translated(error, os.fspath(path)) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def replace_file_durably(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path`, whole or not at all. Raises StoreFull, UsageError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_whole(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise translated(error, os.fspath(path)) from error


def write_whole(fd: int, data: bytes | bytearray | memoryview, offset: int = 0) -> None:
    """Write all of `data` at `offset`: a write may take less, near the end of a disk or of a quota.

    Raises OSError.
    """
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            took = os.pwrite(fd, view[done:], offset + done)
            if not took:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            done += took


def sync_folder(path: Path) -> None:
    """Put the names in folder `path` on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Be the only one, over all processes, inside this block for folder `path`. Raises UsageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise translated(error, os.fspath(path)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def reserve_file(path: Path, bytes_: int) -> None:
    """Make `path` at least `bytes_` long with its blocks allocated.

    A file that is written through a map kills the process (SIGBUS) when the disk has no block
    for it; asked for beforehand, the same lack is an OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, max(bytes_, os.fstat(fd).st_size))
    finally:
        os.close(fd)


class AliveFile:
    """A file this process keeps locked for as long as it lives; the kernel lets go when it dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f"new-{path.name}")  # locked before anyone can look at it
            self._fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(draft, path)
        except OSError as error:
            raise translated(error, os.fspath(path)) from error

    def close(self) -> None:
        """Stop proving life."""
        os.close(self._fd)


def is_alive(path: Path) -> bool:
    """Whether a process holds the lock of `path`; a missing file is nobody."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise translated(error, os.fspath(path)) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
