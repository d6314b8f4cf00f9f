"""Packs: files of 256 slots for small things that are written once, beside the environments.

What lies in an LMDB value passes its heap, its one writer and its one `writev`; what lies in a slot is
written by whoever has it, beside others who do the same. A slot is as long as the largest thing; what is
not used of it is a hole and takes no room. Where number n lies follows from n alone.

    FOLDER/0000000000000100       the pack of numbers 0x10000 to 0x100ff; slot n is at (n mod 256) * 256 KiB

Invariants
 1. Bytes that a commit points at are on the disk before it, and so is the name (`wrote`, then `sync`).
 2. A slot is written once, by the process whose number it is, and only ever emptied after that (`free`).
 3. What was on its way to a slot when the disk failed is never pointed at: the pack refuses (`check`).
 4. Slots are read by copy: one may be emptied while somebody looks.

`free` and `sync` belong to a commit of bulk (`durable.commit`); the rest to any thread.
"""

import contextlib
import ctypes
import errno
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from durable.errors import translated
from durable.files import sync_folder
from runtime.errors import EdgeError

SLOT_BYTES: Final = 256 << 10
SLOTS: Final = 256
_OPEN_MAX: Final = 64  # descriptors kept; beyond, a read costs an open more, 5 us
_KEPT_BYTES: Final = 1 << 20  # of the disk, left alone, as `extents` does
_PUNCH: Final = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE: fallocate(2)
_NAME: Final = re.compile("[0-9a-f]{16}")  # whatever else lies there is not ours
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Pack:
    """An open pack; closed when the last one who holds it lets go."""

    __slots__ = ("fd",)

    def __init__(self, path: str, flags: int) -> None:
        """Open the file. Raises OSError."""
        self.fd = os.open(path, flags | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never opened
            os.close(self.fd)


def slot_of(number: int) -> tuple[int, int]:
    """The pack a number lies in, and where its slot begins."""
    return number // SLOTS, number % SLOTS * SLOT_BYTES


class Packs:
    """The packs in one folder, which is made with the first of them."""

    def __init__(self, folder: Path, *, synced: bool, announce: Callable[[], object]) -> None:
        """`synced`: whether `sync` waits for the disk. `announce` is called before the first name is made."""
        self.synced = synced
        self._folder = os.fspath(folder)
        self._announce = announce
        self._usable: bool | None = None  # None: not tried yet
        self._open: dict[int, Pack] = {}  # the latest used last
        self._written: set[int] = set()  # packs written to or emptied in since the last `sync`
        self._failed: dict[int, EdgeError] = {}  # packs of which the disk may have lost something
        self._named = False  # a name came or went since then
        self._lock = threading.Lock()
        self._making = threading.Lock()

    @property
    def opened(self) -> dict[int, Pack]:
        """The packs that are open just now, by number; for reading, with the interpreter's lock held."""
        return self._open

    # Writing

    def to_write(self, numbers: Collection[int], bytes_: int) -> dict[int, Pack] | None:
        """The packs that `numbers` lie in, made when missing; None where holes cannot be made in files.

        `bytes_` is what is to be written in all. A disk that has no room left but what deleting may need is
        full. Raises EdgeError.
        """
        try:
            found = {}
            for pack in {number // SLOTS for number in numbers}:
                opened = self._made(pack)
                if opened is None:
                    return None
                found[pack] = opened
                room = os.fstatvfs(opened.fd)
                if room.f_bavail * room.f_frsize < bytes_ + _KEPT_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path(pack))
        except OSError as error:
            raise translated(error, self._folder) from error
        return found

    def wrote(self, numbers: Collection[int]) -> None:
        """These slots were written: the next `sync` is about them too. Whoever wrote says so before a job."""
        with self._lock:
            self._written.update(number // SLOTS for number in numbers)

    def check(self, numbers: Collection[int]) -> None:
        """Raise what happened where the disk failed to take what was written to one of these slots."""
        for failure in map(self._failed.get, {number // SLOTS for number in numbers}) if self._failed else ():
            if failure is not None:
                raise failure

    # Within a bulk commit

    def sync(self) -> None:
        """Have everything written and freed so far on the disk. Raises OSError."""
        with self._lock:
            written, self._written = self._written, set()
            named, self._named = self._named, False
        if not self.synced:
            return
        try:
            for pack in written:
                opened = self._opened(pack)
                if opened is not None:
                    os.fdatasync(opened.fd)
            if named:
                sync_folder(Path(self._folder))
                sync_folder(Path(self._folder).parent)
        except OSError as error:
            # The kernel tells once of a page it could not write: a second fdatasync would find nothing wrong
            self._failed.update(dict.fromkeys(written, translated(error, self._folder)))
            raise

    def free(self, number: int) -> None:
        """Give the room of a slot back; nothing points at it any more. 20 us. Raises OSError."""
        pack = number // SLOTS
        opened = self._opened(pack)
        if opened is None:
            return
        _punch(opened.fd, slot_of(number)[1], SLOT_BYTES)
        with self._lock:
            self._written.add(pack)

    # Reading

    def read(self, number: int, size_bytes: int) -> bytes | None:
        """A copy of the first `size_bytes` of a slot; None when they are not all there. Raises EdgeError."""
        try:
            opened = self._opened(number // SLOTS)
            if opened is None:
                return None
            data = os.pread(opened.fd, size_bytes, slot_of(number)[1])
        except OSError as error:
            raise translated(error, self._path(number // SLOTS)) from error
        return data if len(data) == size_bytes else None

    # Looking after itself

    def numbers(self, start: int, stop: int) -> Iterator[list[int]]:
        """The numbers in [start, stop) whose slot takes room, one pack's at a time."""
        for pack in self._names():
            if not start // SLOTS <= pack < -(-stop // SLOTS):
                continue
            try:
                opened = self._opened(pack)
                found = [] if opened is None else _slots_in_use(opened.fd)
            except OSError as error:
                raise translated(error, self._path(pack)) from error
            yield [each for slot in found if start <= (each := pack * SLOTS + slot) < stop]

    def unlink_empty(self, numbers: Collection[int]) -> None:
        """Take the names of those packs of `numbers` away in which nothing is left and nobody will write."""
        for pack in {number // SLOTS for number in numbers}:
            try:
                opened = self._opened(pack)
                if opened is None or not _is_empty(opened.fd):
                    continue
                with self._lock:
                    self._open.pop(pack, None)
                    self._named = True
                os.unlink(self._path(pack))
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                raise translated(error, self._path(pack)) from error

    def firsts(self) -> list[int]:
        """The first number of each pack there is. Raises EdgeError."""
        return [pack * SLOTS for pack in self._names()]

    def let_go(self) -> None:
        """Close what was unlinked meanwhile. 1 us an open pack."""
        with self._lock:
            for pack, opened in list(self._open.items()):
                if not os.fstat(opened.fd).st_nlink:
                    del self._open[pack]

    def close(self) -> None:
        """Let go of everything; what is in use elsewhere closes when its user is done."""
        with self._lock:
            self._open.clear()

    def _opened(self, pack: int) -> Pack | None:
        """The pack, open; None when there is none. Raises OSError."""
        with self._lock:
            known = self._open.pop(pack, None)
            if known is not None:
                self._open[pack] = known
                return known
        try:
            fresh = Pack(self._path(pack), 0)
        except FileNotFoundError:
            return None
        self._keep(pack, fresh)
        return fresh

    def _made(self, pack: int) -> Pack | None:
        with self._making:
            opened = self._opened(pack)
            if opened is not None or self._usable is False:
                return opened
            if self._usable is None:
                self._announce()
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
            fresh = Pack(self._path(pack), os.O_CREAT)
            try:
                _punch(
                    fresh.fd, SLOTS * SLOT_BYTES, SLOT_BYTES
                )  # behind the last slot: whether it can be done
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                os.unlink(self._path(pack))
                self._usable = False
                return None
            os.ftruncate(fresh.fd, SLOTS * SLOT_BYTES)
            self._usable = True
            self._keep(pack, fresh, named=True)
            return fresh

    def _keep(self, pack: int, fresh: Pack, *, named: bool = False) -> None:
        with self._lock:
            self._named |= named
            while len(self._open) >= _OPEN_MAX:
                del self._open[next(iter(self._open))]
            self._open[pack] = fresh

    def _names(self) -> list[int]:
        try:
            return sorted(int(name, 16) for name in os.listdir(self._folder) if _NAME.fullmatch(name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise translated(error, self._folder) from error

    def _path(self, pack: int) -> str:
        return f"{self._folder}/{pack:016x}"


def _punch(fd: int, offset: int, length: int) -> None:
    done = _LIBC.fallocate(fd, _PUNCH, ctypes.c_int64(offset), ctypes.c_int64(length))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _is_empty(fd: int) -> bool:
    """Whether the file system keeps nothing in any slot."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA) >= SLOTS * SLOT_BYTES
    except OSError as error:
        if error.errno == errno.ENXIO:
            return True
        raise


def _slots_in_use(fd: int) -> list[int]:
    """The slots in which the file system keeps anything, in order."""
    found: list[int] = []
    at = 0
    while at < SLOTS * SLOT_BYTES:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return found
            raise
        slot = at // SLOT_BYTES
        if slot >= SLOTS:
            return found
        found.append(slot)
        at = (slot + 1) * SLOT_BYTES
    return found
