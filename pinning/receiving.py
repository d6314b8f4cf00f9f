"""The bytes of one resumable upload as they are written, checked as far as their form allows. Blocks."""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from content.car import CarReader
from content.cid import Cid
from pinning.car_body import CheckRoots, checked_roots
from pinning.pouring import BATCH_BYTES
from pinning.spool import Spool
from pinning.tar_body import MAGIC_BYTES, check_magic
from runtime.errors import EdgeError, TooLarge

# Half of what may be sent again after a crash; the other half is in sockets and batches
CHECKPOINT_BYTES: Final = 4 << 20


class Receiving(Protocol):
    """Who writes an upload to its spool."""

    refusal: EdgeError | None
    """Why it can never become what it was to be."""

    def take(self, data: bytes) -> None:
        """The next bytes. Raises BadRequest, TooLarge, Unverified (a refusal for good), StoreFull."""
        ...

    def pause(self) -> None:
        """Make durable what came. Raises StoreFull, and refuses a whole upload that is cut short."""
        ...


class TarReceiving:
    """Of a TAR: its first header is looked at; the rest is when all of it is here."""

    def __init__(self, spool: Spool, length_bytes: int) -> None:
        """Go on where the spool stands."""
        self._spool = spool
        self._length_bytes = length_bytes
        self._lock = threading.Lock()  # `pause` waits for a `take` that a cancelled caller left behind
        self._is_checked = spool.received >= MAGIC_BYTES
        self.refusal: EdgeError | None = None

    def take(self, data: bytes) -> None:
        """See `Receiving`."""
        with self._lock:
            spool = self._spool
            if spool.received + len(data) > self._length_bytes:
                raise TooLarge(f"the upload was promised with {self._length_bytes} bytes", where="body")
            spool.append(data)
            if not self._is_checked and spool.received >= min(MAGIC_BYTES, self._length_bytes):
                self._is_checked = True
                try:
                    check_magic(spool.read(0, MAGIC_BYTES))
                except EdgeError as error:
                    self.refusal = error
                    raise
            if spool.received - spool.position.offset >= CHECKPOINT_BYTES:
                spool.checkpoint(0)

    def pause(self) -> None:
        """See `Receiving`."""
        with self._lock:
            self._spool.checkpoint(0)


class CarReceiving:
    """Of a CAR: each block is checked; where it stands is where a reader of the CAR stands."""

    def __init__(self, spool: Spool, length_bytes: int, check_roots: CheckRoots) -> None:
        """Go on where the spool stands: reads at most a section of it again. Raises as `take` does."""
        self._spool = spool
        self._length_bytes = length_bytes
        self._check_roots = check_roots
        self._roots: tuple[Cid, ...] | None = None
        self._reader = CarReader()
        self._lock = threading.Lock()  # `pause` waits for a `take` that a cancelled caller left behind
        self.refusal: EdgeError | None = None  # why it can never become a sound CAR
        self._go_on()

    def take(self, data: bytes) -> None:
        """See `Receiving`."""
        with self._lock:
            spool = self._spool
            if spool.received + len(data) > self._length_bytes:
                raise TooLarge(f"the upload was promised with {self._length_bytes} bytes", where="body")
            spool.append(data)
            self._check(data)
            if spool.received - spool.position.offset >= CHECKPOINT_BYTES:
                spool.checkpoint(self._section_at())

    def pause(self) -> None:
        """See `Receiving`."""
        with self._lock:
            if self.refusal is None and self._spool.received == self._length_bytes:
                self._refusing(self._reader.end)
            self._spool.checkpoint(self._section_at())

    def _go_on(self) -> None:
        spool, at = self._spool, self._spool.position.at
        if at:
            start = 0
            while self._reader.roots is None and (piece := spool.read(start, start + BATCH_BYTES)):
                next(self._reader.feed(piece), None)
                start += len(piece)
            self._reader.go_on_at(at)
        while at < spool.received:
            piece = spool.read(at, at + BATCH_BYTES)
            self._check(piece)
            at += len(piece)

    def _check(self, data: bytes) -> None:
        self._refusing(lambda: self._checked(data))

    def _checked(self, data: bytes) -> None:
        for _ in self._reader.feed(data):
            self._roots_known()
        self._roots_known()

    def _refusing(self, work: Callable[[], None]) -> None:
        try:
            work()
        except EdgeError as error:
            self.refusal = error
            raise

    def _roots_known(self) -> None:
        if self._roots is None and self._reader.roots is not None:
            self._roots = checked_roots(self._reader.roots, self._check_roots)

    def _section_at(self) -> int:
        return 0 if self._reader.roots is None else self._reader.at
