"""Where the processes of one store meet: a small file of 64-bit words that all of them map.

    word 0        magic and version of this layout
    word 1        generation of the store: any process that takes something away changes it
    words 2, 3    serving processes that are wanted and that are ready (the supervisor writes them)
    words 64 …    SLOT_COUNT slots of SLOT_WORDS counters, one slot a serving process

A decision memoised in one process carries the generation it was made under and is good only
while word 1 still holds it (architecture: "after rm returns no worker answers"). Equality is
all anyone asks of a generation, so a bump writes 64 random bits: two processes that bump at
once can never write the value a third has already seen, which adding one without a lock could.

Invariants
 1. An aligned 8-byte store or load through the map is one machine access (x86-64, aarch64).
 2. A slot has one writer; readers may see counters of one slot from slightly different moments.
 3. The file is a meeting place, not a record: losing it loses counters, never content.
"""

import mmap
import os
from pathlib import Path
from typing import Final

_MAGIC_BYTES: Final = b"flkboar1"
HEADER_WORDS: Final = 64
SLOT_WORDS: Final = 64
SLOT_COUNT: Final = 256  # two slots a worker (old and new during a reload): 127 workers and the keeper
_BYTES: Final = 8 * (HEADER_WORDS + SLOT_WORDS * SLOT_COUNT)
_GENERATION: Final = 1
_WANTED: Final = 2
_READY: Final = 3


class Board:
    """One process's map of the board file of a store."""

    def __init__(self, path: Path) -> None:
        """Map `path`, creating it when missing or of another layout.

        Creation is by link, so that no process ever maps a half-made file.
        """
        fd = _open_or_create(path)
        try:
            self._map = mmap.mmap(fd, _BYTES)
        finally:
            os.close(fd)
        self.words: memoryview[int] = memoryview(self._map).cast("Q")

    def generation(self) -> int:
        """The store's generation now; compare for equality only. About 50 ns."""
        return self.words[_GENERATION]

    def bump(self) -> None:
        """Void every decision memoised in any process of this store."""
        fresh = self.words[_GENERATION]
        while fresh == self.words[_GENERATION]:
            fresh = int.from_bytes(os.urandom(8), "little")
        self.words[_GENERATION] = fresh

    def set_serving(self, *, wanted: int, ready: int) -> None:
        """Say how many serving processes there should be and how many answer; supervisor only."""
        self.words[_WANTED] = wanted
        self.words[_READY] = ready

    def serving(self) -> tuple[int, int]:
        """Serving processes (wanted, ready); (0, 0) while no node runs or while it stops."""
        return self.words[_WANTED], self.words[_READY]

    def slot(self, index: int) -> "memoryview[int]":
        """The counters of slot `index` (0 <= index < SLOT_COUNT), writable by its one owner."""
        if not 0 <= index < SLOT_COUNT:
            raise ValueError(f"slot {index} is outside 0..{SLOT_COUNT - 1}")
        start = HEADER_WORDS + index * SLOT_WORDS
        return self.words[start : start + SLOT_WORDS]

    def clear_counters(self) -> None:
        """Zero all slots; only the supervisor does this, before any worker starts."""
        start = 8 * HEADER_WORDS
        self._map[start:_BYTES] = bytes(_BYTES - start)

    def close(self) -> None:
        """Let go of the map. Slots taken from this board must not be used afterwards."""
        try:
            self.words.release()
            self._map.close()
        except BufferError:
            pass  # a slot is still held somewhere in this process: the map goes with it


def _open_or_create(path: Path) -> int:
    fd = _open(path)
    if fd is None:
        _create(path)
        fd = _open(path)
    if fd is None:
        raise RuntimeError(f"{path} was replaced by something that is not a board")
    return fd


def _open(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if os.fstat(fd).st_size == _BYTES and os.pread(fd, 8, 0) == _MAGIC_BYTES:
        return fd
    os.close(fd)
    path.unlink(missing_ok=True)  # of another layout: nobody of this version has it mapped
    return None


def _create(path: Path) -> None:
    """Make the file under another name, then link it: of two that race the first one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, _MAGIC_BYTES + os.urandom(8), 0)
        os.ftruncate(fd, _BYTES)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        draft.unlink(missing_ok=True)
