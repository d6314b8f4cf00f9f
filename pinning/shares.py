"""What uploads in one request take of their accounts' quotas, so that no two are given the same room.

Theory of operation. Each process that has such uploads has a file beside the resumable ones,
DATA/uploads/ID.share: a JSON object of what they hold by account. It is written and read by who has the
folder alone, as resumable uploads are begun, so that what one process gives no other gives as well. A process
holds the flock of its file; one that died holds none, and whoever looks next removes its file.
"""

import contextlib
import fcntl
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from durable import translated
from durable.files import write_whole
from pinning.spool import Spools, check_left
from runtime.errors import EdgeError, QuotaExceeded

log = logging.getLogger("fleek.upload")

# Held ahead of what came, so that the folder is not looked through for each MiB; never much of what is left
_AHEAD_BYTES: Final = 8 << 20
_AHEAD_SHARE: Final = 8
_ID_BYTES: Final = 16
# A few hundred bytes for each upload that a process can have
_FILE_BYTES_MAX: Final = 4 << 20
Room = Callable[[], int | None]
"""What uploads in one request may bring to an account together; None: no limit. May block."""


class Shares:
    """The uploads of this process, and what those of others hold. All methods block; any thread."""

    def __init__(self, spools: Spools) -> None:
        self.spools = spools
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._path: Path | None = None
        self._fd = -1

    def of(self, account: str) -> int:
        """Bytes that uploads of an account hold, in all processes. Who relies on it has `Spools.alone`."""
        with self._lock:
            own = self._held.get(account, 0)
        return own + sum(held.get(account, 0) for held in self._others())

    def add(self, account: str, bytes_: int) -> None:
        """Hold so much more; others see it on return. For who has `Spools.alone`. Raises StoreFull."""
        with self._lock:
            held = self._with(account, bytes_)
            self._write(held)
            self._held = held

    def drop(self, account: str, bytes_: int) -> None:
        """Hold so much less, whatever happens; others see it late where the folder cannot be written."""
        with self._lock:
            self._held = self._with(account, -bytes_)
        try:
            with self.spools.alone(), self._lock:
                self._write(self._held)
        except EdgeError as error:
            log.warning("what uploads no longer hold: %s (%s)", error.message, error.where)

    def _with(self, account: str, more_bytes: int) -> dict[str, int]:
        held = {**self._held, account: self._held.get(account, 0) + more_bytes}
        return {name: bytes_ for name, bytes_ in held.items() if bytes_}

    def _write(self, held: dict[str, int]) -> None:
        try:
            if not held:
                self._remove()
                return
            if self._path is None:
                path = self.spools.folder / f"{secrets.token_urlsafe(_ID_BYTES)}.share"
                self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                self._path = path
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            data = json.dumps(held).encode()
            write_whole(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))
        except OSError as fault:
            raise translated(fault, os.fspath(self.spools.folder)) from fault

    def _remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._path = None

    def _others(self) -> Iterator[dict[str, int]]:
        for path in self.spools.folder.glob("*.share"):
            if path != self._path:
                found = _read(path)
                if found is not None:
                    yield found


def _read(path: Path) -> dict[str, int] | None:
    """What the process of a file holds; None, and the file removed, where it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parsed(path, os.pread(fd, _FILE_BYTES_MAX, 0))
    else:
        path.unlink(missing_ok=True)
        return None
    finally:
        os.close(fd)


def _parsed(path: Path, data: bytes) -> dict[str, int]:
    try:
        found = json.loads(data)
        return {str(account): int(held) for account, held in found.items()}
    except (ValueError, TypeError, AttributeError):  # a write of its process failed in the middle
        log.warning("what uploads hold cannot be read: %s", path)
        return {}


class Share:
    """What one upload holds: its length, or what has arrived where that is more.

    `begin`, then `arrived` as it comes, and `end` however it ends. All block; one thread at a time.
    """

    def __init__(self, shares: Shares, account: str, room: Room) -> None:
        self._shares, self._account, self._room = shares, account, room
        self._is_limited = False
        self.held_bytes = self._arrived_bytes = 0

    def begin(self, length_bytes: int) -> None:
        """Hold an upload's length (0: it is not told). Raises QuotaExceeded where others hold too much."""
        if self._room() is None:
            return
        self._is_limited = True
        with self._alone() as left_bytes:
            check_left(self._account, length_bytes, left_bytes)
            self._hold(length_bytes)

    def arrived(self, more_bytes: int) -> None:
        """So much more came. Raises QuotaExceeded, StoreFull."""
        self._arrived_bytes += more_bytes
        beyond = self._arrived_bytes - self.held_bytes
        if not self._is_limited or beyond <= 0:
            return
        with self._alone() as left_bytes:
            if beyond > left_bytes:
                raise QuotaExceeded(
                    "the upload is larger than what the account may still keep",
                    where=f"account {self._account}",
                    hint="remove something, or ask the operator for a larger quota",
                )
            ahead = min(_AHEAD_BYTES, (left_bytes - beyond) // _AHEAD_SHARE)
            self._hold(beyond + ahead)

    def end(self) -> None:
        """Hold nothing any more."""
        if self.held_bytes:
            self._shares.drop(self._account, self.held_bytes)
            self.held_bytes = 0

    def _hold(self, more_bytes: int) -> None:
        if more_bytes:
            self._shares.add(self._account, more_bytes)
            self.held_bytes += more_bytes

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """What is left of the room, while nobody else takes any of it."""
        with self._shares.spools.alone():
            room_bytes = self._room()
            yield 0 if room_bytes is None else room_bytes - self._shares.of(self._account)
