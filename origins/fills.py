"""One fetch of a thing over all workers: a lock on a byte of a file, freed by the kernel with its owner.

The byte is told by a hash of the name; two names that share one only wait for each other. There is one file
for all names, and it stays empty: locks live in the kernel and need no room on the disk.
Open-file-description locks (Linux, `fcntl(2)`) belong to the open file, not to the process.
"""

import asyncio
import fcntl
import logging
import os
import struct
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest

from runtime.errors import SourceTimeout, TooManyRequests

log = logging.getLogger("fleek.origins")

_FLOCK: Final = struct.Struct("hhqqi4x")
_OFD_SETLK: Final = 37  # F_OFD_SETLK of linux/fcntl.h, which not every build of the module names
_SPACE: Final = (1 << 62) - 1
# Another worker is asked whether it is done: soon at first, then four times a second
_POLL_S: Final = 0.02
_POLL_MAX_S: Final = 0.25
# Longer than one fetch takes from sources that all stall
_OTHERS_S: Final = 120.0
# A fetch that waits its turn is a task and a few hundred bytes
_WAITING_A_TURN: Final = 64
Turn = AbstractAsyncContextManager[None]


class Fills:
    """The lock file of one store."""

    def __init__(self, path: Path) -> None:
        """Where the file cannot be had (a full or read-only disk), each worker fetches for itself."""
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("workers cannot agree on who fetches: %s: %s", path, error.strerror)

    def take(self, name: bytes) -> bool:
        """Become the one who fetches `name`; False while another worker is."""
        try:
            self._set(name, fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:  # ENOLCK: to fetch twice is better than not at all
            log.warning("no lock for a fetch: %s", error.strerror)
        return True

    def give(self, name: bytes) -> None:
        """Be done with it."""
        try:
            self._set(name, fcntl.F_UNLCK)
        except OSError as error:
            log.warning("a lock of a fetch was not given back: %s", error.strerror)

    def close(self) -> None:
        """Let go of everything."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _set(self, name: bytes, kind: int) -> None:
        if self._fd is not None:
            place = xxh3_64_intdigest(name) & _SPACE
            fcntl.fcntl(self._fd, _OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))


class OneFetch:
    """Fetches under way: each name once, in this worker and over all, and not too many at once."""

    def __init__(self, fills: Fills, max_fetches: int) -> None:
        self._fills = fills
        self._turns = asyncio.Semaphore(max_fetches)
        self._waiting_max = max_fetches * _WAITING_A_TURN
        self._under_way: dict[bytes, asyncio.Task[None]] = {}
        self._waiters: dict[asyncio.Task[None], int] = {}

    def start(
        self,
        name: bytes,
        is_here: Callable[[], bool],
        work: Callable[[], Awaitable[None]],
        turn: Turn | None = None,
    ) -> "asyncio.Task[None]":
        """The task that does `work`, or waits until another worker did; one that runs already is joined.

        `turn`: what it must have too, and holds while it does the work.
        Who waits for it shields it: one who leaves does not end it for the others. Raises TooManyRequests.
        """
        task = self._under_way.get(name)
        if task is None:
            if len(self._under_way) >= self._waiting_max:
                raise TooManyRequests("too many fetches wait for their turn", hint="ask again in a moment")
            task = asyncio.create_task(self._run(name, is_here, work, turn or nullcontext()))
            self._under_way[name] = task
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return task

    async def awaited(
        self,
        name: bytes,
        is_here: Callable[[], bool],
        work: Callable[[], Awaitable[None]],
        turn: Turn | None = None,
    ) -> None:
        """As `start`, and wait for it. Who leaves last ends it: for work that may be long and large."""
        while (old := self._under_way.get(name)) is not None and old.cancelling():
            await asyncio.wait((old,))  # the last one left it: no use in joining
        task = self.start(name, is_here, work, turn)
        self._waiters[task] = self._waiters.get(task, 0) + 1
        try:
            await asyncio.shield(task)
        finally:
            self._waiters[task] -= 1
            if not self._waiters[task]:
                del self._waiters[task]
                task.cancel()

    def running(self, name: bytes) -> "asyncio.Task[None] | None":
        """The fetch of a name that this worker does or waits for."""
        return self._under_way.get(name)

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fills.close()

    def _ended(self, name: bytes, task: "asyncio.Task[None]") -> None:
        self._under_way.pop(name, None)
        if not task.cancelled():
            task.exception()  # those who wait have it; there may be nobody left

    async def _run(
        self, name: bytes, is_here: Callable[[], bool], work: Callable[[], Awaitable[None]], turn: Turn
    ) -> None:
        pause_s, waited_s = _POLL_S, 0.0
        while not self._fills.take(name):
            if waited_s > _OTHERS_S:
                raise SourceTimeout(f"another worker has been fetching it for {_OTHERS_S:g} s")
            await asyncio.sleep(pause_s)
            waited_s += pause_s
            pause_s = min(_POLL_MAX_S, pause_s * 1.5)
            if is_here():
                return
        try:
            if not is_here():
                async with turn, self._turns:
                    await work()
        finally:
            self._fills.give(name)
