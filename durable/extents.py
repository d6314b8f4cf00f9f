"""Extents: files of bytes that never change, one a number, beside the environments.

An LMDB page may be reused two commits after it was let go, so the kernel cannot be lent one; the
pages of a file that is only ever unlinked can. What lies in an extent, and whether anything points
at it, the caller knows: here are numbers, offsets and bytes.

    FOLDER/7f/000000000001007f    the extent of number 0x1007f
    FOLDER/gone/…                 let go of, to be unlinked; nobody looks there for content

Invariants
 1. Bytes that a commit points at are on the disk before it, and so is the name (`sync`).
 2. Bytes that a commit points at are never written again; an extent is never shortened.
 3. A name is taken away durably before the commit that forgets it (`retire`, then `sync`).
 4. A descriptor or view is good for one call: what was removed is let go of within about a second. Who sends
    longer has those of `sums`, and lets go of them as soon.

`write`, `retire`, `sync` and `drop` belong to a commit of bulk (`durable.commit`); the rest to any thread.
"""

import contextlib
import errno
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from durable.errors import translated
from durable.files import sync_folder, write_whole

FOLDERS: Final = 256  # of a million extents, four thousand names each
_GONE: Final = "gone"
# Three descriptors each (the file's, its map's, that of `sums`) and two maps. More large blobs than this
# being sent at once cost an open and a map a step, 10 us, and checks that are forgotten.
_OPEN_MAX: Final = 64
# Of the disk, left alone: to delete, the environments have to grow by some pages first. They leave as much
# (`disk_room_bytes`); the ballast is for when others have filled the disk to the last byte.
_KEPT_BYTES: Final = 1 << 20


class Extent:
    """An open extent and its map; closed when the last one who holds it lets go."""

    __slots__ = ("_view", "fd", "sums")

    def __init__(self, path: str) -> None:
        """Open the file. Raises OSError, ValueError when it is empty."""
        self.sums: Any = None  # what its reader knows of its bytes, for as long as it is open
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._view = memoryview(b"")
        self._view = memoryview(mmap.mmap(self.fd, 0, prot=mmap.PROT_READ))

    @property
    def reach_bytes(self) -> int:
        """How far the map reaches: the length of the file when it was opened."""
        return len(self._view)

    def part(self, start: int, stop: int) -> memoryview | None:
        """Bytes [start, stop); None when the file does not reach so far. About 1 us.

        Asked of the file each time: to touch a page behind the end of a file kills the process.
        """
        if stop > len(self._view) or os.fstat(self.fd).st_size < stop:
            return None
        return self._view[start:stop]

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never opened
            os.close(self.fd)


class Extents:
    """The extents in one folder, which is made with the first of them."""

    def __init__(self, folder: Path, *, synced: bool, announce: Callable[[], object]) -> None:
        """`synced`: whether `sync` waits for the disk. `announce` is called before the first name is made."""
        self._folder = os.fspath(folder)
        self._synced = synced
        self._announce = announce
        self._announced = False
        self._written: dict[int, int] = {}  # number -> descriptor, since the last `sync`
        self._renamed: set[str] = set()  # folders in which a name came or went since then
        self.opened: dict[int, Extent] = {}  # the latest used last; others only look
        self._lock = threading.Lock()

    # Changing; within a bulk commit

    def write(self, number: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Put `data` at `offset`, where nothing points yet. Raises OSError, and what `announce` raises.

        A disk that has no room left but what deleting may need is full. About 60 us a 256 KiB.
        """
        fd = self._written.get(number)
        if fd is None:
            fd = self._written[number] = self._open_to_write(number)
        room = os.fstatvfs(fd)
        if room.f_bavail * room.f_frsize < len(data) + _KEPT_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path(number))
        write_whole(fd, data, offset)

    def retire(self, number: int) -> None:
        """Take the name of an extent away, for `unlink_retired` to free its room. Raises OSError."""
        path = self._path(number)
        gone = os.path.join(self._folder, _GONE)
        try:
            os.rename(path, os.path.join(gone, os.path.basename(path)))
        except FileNotFoundError:
            if not os.path.exists(path):
                return
            os.makedirs(gone, mode=0o700, exist_ok=True)
            os.rename(path, os.path.join(gone, os.path.basename(path)))
        self._renamed.add(os.path.dirname(path))
        with self._lock:
            self.opened.pop(number, None)

    def sync(self) -> None:
        """Have everything written and retired so far on the disk. Raises OSError."""
        if not self._written and not self._renamed:
            return
        if self._synced:
            for fd in self._written.values():
                os.fdatasync(fd)
            for folder in self._renamed:
                sync_folder(Path(folder))
        self._renamed.clear()
        self.drop()

    def drop(self) -> None:
        """Close what was written to; without `sync` nobody promised anything about it."""
        written, self._written = self._written, {}
        for fd in written.values():
            os.close(fd)

    def _open_to_write(self, number: int) -> int:
        path = self._path(number)
        flags = os.O_RDWR | os.O_CLOEXEC
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, flags)
        if not self._announced:
            self._announce()
            self._announced = True
        parent = os.path.dirname(path)
        if not os.path.isdir(parent):
            os.makedirs(parent, mode=0o700, exist_ok=True)
            self._renamed.update((self._folder, os.path.dirname(self._folder)))
        self._renamed.add(parent)
        return os.open(path, flags | os.O_CREAT, 0o600)

    # Reading

    def get(self, number: int, reach_bytes: int) -> Extent | None:
        """The extent, open and mapped as far as `reach_bytes`; None when it is not there or shorter.

        1 us for one that is open already. Raises EdgeError when it cannot be opened.
        """
        with self._lock:
            known = self.opened.pop(number, None)
            if known is not None and known.reach_bytes >= reach_bytes:
                self.opened[number] = known
                return known
        try:
            fresh = Extent(self._path(number))
        except (FileNotFoundError, ValueError):
            return None
        except OSError as error:
            raise translated(error, self._path(number)) from error
        if fresh.reach_bytes < reach_bytes:
            return None
        with self._lock:
            while len(self.opened) >= _OPEN_MAX:
                del self.opened[next(iter(self.opened))]
            self.opened[number] = fresh
        return fresh

    def read(self, number: int, start: int, stop: int) -> bytes | None:
        """A copy of bytes [start, stop); None when they are not all there. Keeps nothing open."""
        try:
            fd = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise translated(error, self._path(number)) from error
        try:
            data = os.pread(fd, stop - start, start)
        except OSError as error:
            raise translated(error, self._path(number)) from error
        finally:
            os.close(fd)
        return data if len(data) == stop - start else None

    def let_go(self) -> None:
        """Close what was unlinked meanwhile, so that its room comes back. 1 us an open extent."""
        with self._lock:
            for number, extent in list(self.opened.items()):
                if not os.fstat(extent.fd).st_nlink:
                    del self.opened[number]

    # Looking after itself

    def numbers(self, start: int, stop: int) -> Iterator[list[int]]:
        """The numbers in [start, stop) that have an extent, one folder's at a time."""
        for low in range(FOLDERS):
            names = _names(os.path.join(self._folder, f"{low:02x}"))
            found = [int(name, 16) for name in names]
            yield [each for each in found if start <= each < stop]

    def unlink_retired(self) -> None:
        """Free the room of what was retired, by whichever process. Raises EdgeError."""
        gone = os.path.join(self._folder, _GONE)
        for name in _names(gone):
            try:
                os.unlink(os.path.join(gone, name))
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                raise translated(error, gone) from error

    def close(self) -> None:
        """Let go of everything; what is in use elsewhere closes when its user is done."""
        self.drop()
        with self._lock:
            self.opened.clear()

    def _path(self, number: int) -> str:
        return f"{self._folder}/{number % FOLDERS:02x}/{number:016x}"


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise translated(error, folder) from error
