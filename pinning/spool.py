"""Resumable uploads on the disk: what has arrived of each, over restarts and crashes.

DATA/uploads holds two files an upload: `ID.json`, what it is and in the end what became of it, and `ID.part`,
its bytes behind a header with two position slots. Bytes are on the disk before a position says so, so a power
cut or kill -9 takes back at most what came since the last `checkpoint`. One process at a time writes an
upload: who holds the flock of its `ID.part`. Why a file and not the store at once:
docs/decisions/0018-resumable-uploads.md.

Limits: OPEN_MAX uploads of an account, ALL_MAX of all, the disk's free room less what the others were
promised, and what the account's quota leaves less what its others were promised. What is not touched for
`keep_s` is swept. A record that cannot be read is passed over.
"""

import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from durable import translated
from durable.files import locked_folder, replace_file_durably, write_file_durably, write_whole
from pinning import spool_record
from pinning.spool_record import HEADER_BYTES, SLOT_BYTES, Position, Record
from runtime.errors import (
    BlobDamaged,
    Busy,
    Conflict,
    NotFound,
    QuotaExceeded,
    StoreFull,
    TooManyRequests,
)

_log: Final = logging.getLogger("fleek.upload")

OPEN_MAX: Final = 32  # a browser with a folder of files sends 6 at once
ALL_MAX: Final = 4096  # each look at the folder reads a record of 1 KiB: 4 MiB
_ROOM_BYTES: Final = 64 << 20  # left on the disk for the store's commits
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_ID_BYTES: Final = 16


class Spools:
    """The folder. All methods block; any thread, any process."""

    def __init__(self, folder: Path, keep_s: float) -> None:
        """`keep_s`: how long an upload that nobody touches is kept, and what became of it."""
        self.folder = self._folder = folder
        self.keep_s = keep_s

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one, over all processes, that gives room to uploads. Raises UsageError, StoreFull."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as fault:
            raise translated(fault, os.fspath(self._folder)) from fault
        with locked_folder(self._folder):
            yield

    def create(self, record: Record, left_bytes: Callable[[], int | None] = lambda: None) -> str:
        """Begin an upload; its id. `left_bytes`: asked when nobody else is given room, what the account's
        quota leaves; None for no limit.

        What its other open uploads were promised is theirs. Raises QuotaExceeded, StoreFull, TooManyRequests,
        UsageError.
        """
        identity = secrets.token_urlsafe(_ID_BYTES)
        with self.alone():
            self._check_room(record, left_bytes())
            part = self._part(identity)
            try:
                with open(part, "xb", opener=_private) as file:
                    file.write(spool_record.pack_position(Position()).ljust(HEADER_BYTES, b"\0"))
                    os.fsync(file.fileno())
            except OSError as fault:
                raise translated(fault, os.fspath(part)) from fault
            write_file_durably(self._json(identity), spool_record.pack_record(record))
        return identity

    def record(self, identity: str, account: str | None = None) -> Record:
        """What an upload is. Raises NotFound, also for one of another account; BlobDamaged."""
        if _ID.fullmatch(identity) is None:
            raise _unknown(identity)
        path = self._json(identity)
        try:
            with path.open("rb") as file:
                record = spool_record.read_record(file.read(spool_record.RECORD_BYTES_MAX), os.fspath(path))
        except FileNotFoundError:
            raise _unknown(identity) from None
        except OSError as fault:
            raise translated(fault, os.fspath(path)) from fault
        if account is not None and record.sender.account != account:
            raise _unknown(identity)
        return record

    def offset(self, identity: str) -> int:
        """Bytes of an open upload that are durable. Raises NotFound, BlobDamaged."""
        try:
            with self._part(identity).open("rb") as file:
                return spool_record.newest(file.read(HEADER_BYTES)).offset
        except FileNotFoundError:
            raise _unknown(identity) from None

    def touched_s(self, identity: str) -> float:
        """When something last came of it, or when it ended; epoch seconds. Raises NotFound."""
        for path in (self._part(identity), self._json(identity)):
            with contextlib.suppress(FileNotFoundError):
                return path.stat().st_mtime
        raise _unknown(identity)

    def open(self, identity: str) -> "Spool":
        """Be the one that writes this upload. Raises Busy while somebody else is, NotFound."""
        return Spool(self._part(identity), identity)

    def settle(self, spool: "Spool", result: dict[str, object]) -> None:
        """Keep what became of an upload, then let go of its bytes. Durable when it returns."""
        record = replace(self.record(spool.identity), result=result)
        replace_file_durably(self._json(spool.identity), spool_record.pack_record(record))
        spool.path.unlink(missing_ok=True)

    def remove(self, identity: str) -> None:
        """Forget an upload that nobody writes, ended or not, damaged or not. Raises Busy."""
        with contextlib.suppress(NotFound), self._held(identity):
            self._part(identity).unlink(missing_ok=True)
        self._json(identity).unlink(missing_ok=True)

    def identities(self) -> Iterator[str]:
        """All uploads, ended ones too, in no order."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return
        for name in names:
            stem, dot, kind = name.partition(".")
            if dot and kind == "json" and _ID.fullmatch(stem):
                yield stem

    def sweep(self, now_s: float) -> list[str]:
        """Remove what is older than `keep_s`; returns the uploads that are all here and not ended yet.

        A part without a record is what a crash in `create` or `settle` left.
        """
        whole = [identity for identity in self.identities() if self._swept(identity, now_s)]
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.glob("*.part"):
                if not path.with_suffix(".json").exists() and path.stat().st_mtime < now_s - self.keep_s:
                    path.unlink(missing_ok=True)
        return whole

    def _swept(self, identity: str, now_s: float) -> bool:
        """Whether an upload is all here; one that is too old is removed, whether it can be read or not."""
        with contextlib.suppress(NotFound, Busy):
            record = self._readable(identity)
            if record is not None and record.result is not None:  # a crash in `settle` left its bytes
                self._part(identity).unlink(missing_ok=True)
            if self.touched_s(identity) >= now_s - self.keep_s:
                if record is None or record.result is not None:
                    return False
                return self._offset_or_none(identity) == record.length_bytes
            self.remove(identity)
        return False

    def promised_bytes(self, account: str) -> int:
        """What the open uploads of an account were promised with, arrived or not. Reads every record."""
        return self._standing(account).own_bytes

    def _check_room(self, record: Record, left_bytes: int | None) -> None:
        account = record.sender.account
        found = self._standing(account)
        if found.own >= OPEN_MAX or found.count >= ALL_MAX:
            is_own = found.own >= OPEN_MAX
            what = f"{found.own} uploads are open" if is_own else "this node keeps all the uploads it can"
            raise TooManyRequests(what, where=f"account {account}", hint="finish or cancel one (DELETE)")
        if left_bytes is not None:
            check_left(account, record.length_bytes, left_bytes - found.own_bytes)
        room = os.statvfs(self._folder)
        # once for the spool, once for what it becomes in the store
        if room.f_bavail * room.f_frsize < found.missing_bytes + 2 * record.length_bytes + _ROOM_BYTES:
            raise StoreFull("the disk has no room for this upload", where=f"{record.length_bytes} bytes")

    def _standing(self, account: str) -> "_Standing":
        found = _Standing()
        for identity in self.identities():
            found.count += 1
            with contextlib.suppress(NotFound):
                record = self._readable(identity)
                if record is None or record.result is not None:
                    continue
                found.missing_bytes += record.length_bytes - (self._offset_or_none(identity) or 0)
                if record.sender.account == account:
                    found.own += 1
                    found.own_bytes += record.length_bytes
        return found

    def _readable(self, identity: str) -> Record | None:
        """As `record`; None for one that is damaged, which is logged: it must not stand in others' way."""
        try:
            return self.record(identity)
        except BlobDamaged as error:
            _log.warning("upload %s: %s; it goes when it is too old", identity, error.message)
            return None

    def _offset_or_none(self, identity: str) -> int | None:
        try:
            return self.offset(identity)
        except BlobDamaged as error:
            _log.warning("upload %s: %s; it goes when it is too old", identity, error.message)
            return None

    @contextlib.contextmanager
    def _held(self, identity: str) -> Iterator[None]:
        """Be the one that has an upload, whether its position can be read or not. Raises as `open`."""
        fd = _locked(self._part(identity), identity)
        try:
            yield
        finally:
            os.close(fd)

    def _json(self, identity: str) -> Path:
        return self._folder / f"{identity}.json"

    def _part(self, identity: str) -> Path:
        return self._folder / f"{identity}.part"


@dataclass(slots=True)
class _Standing:
    """All uploads: how many; bytes that open ones lack; open ones of an account, and their bytes."""

    count: int = 0
    missing_bytes: int = 0
    own: int = 0
    own_bytes: int = 0


class Spool:
    """An upload that this process writes; a context manager that lets go of it."""

    def __init__(self, path: Path, identity: str) -> None:
        """Use `Spools.open`."""
        self.path = path
        self.identity = identity
        self._fd = _locked(path, identity)
        try:
            self.position = spool_record.newest(os.pread(self._fd, HEADER_BYTES, 0))
        except BaseException:
            os.close(self._fd)
            raise
        self.received = self.position.offset

    def append(self, data: bytes) -> None:
        """Write the next bytes; durable with the next `checkpoint`. Raises StoreFull."""
        try:
            write_whole(self._fd, data, HEADER_BYTES + self.received)
        except OSError as fault:
            raise translated(fault, os.fspath(self.path)) from fault
        self.received += len(data)

    def checkpoint(self, at: int) -> None:
        """Make durable what was appended, and note it; `at`: where the CAR's next section begins."""
        if self.received == self.position.offset and at == self.position.at:
            return
        position = Position(self.position.count + 1, self.received, at)
        try:
            os.fdatasync(self._fd)
            slot = spool_record.pack_position(position)
            write_whole(self._fd, slot, position.count % 2 * SLOT_BYTES)
        except OSError as fault:
            raise translated(fault, os.fspath(self.path)) from fault
        self.position = position

    def read(self, start: int, stop: int) -> bytes:
        """Bytes [start, stop) of what has arrived, fewer at its end."""
        return os.pread(self._fd, min(stop, self.received) - start, HEADER_BYTES + start)

    def close(self) -> None:
        """Let go."""
        os.close(self._fd)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def _locked(path: Path, identity: str) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _unknown(identity) from None
    except OSError as fault:
        raise translated(fault, os.fspath(path)) from fault
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(fd).st_nlink:  # ended between open and flock
            raise _unknown(identity)
    except OSError as fault:
        os.close(fd)
        if fault.errno == errno.EWOULDBLOCK:
            raise Busy(
                "another request writes this upload", where=identity, hint="ask for its offset in a moment"
            ) from None
        raise translated(fault, os.fspath(path)) from fault
    except BaseException:
        os.close(fd)
        raise
    return fd


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _unknown(identity: str) -> NotFound:
    return NotFound("there is no such upload", where=identity[:32], hint="it may have expired: begin again")


def check_left(account: str, length_bytes: int, left_bytes: int) -> None:
    """Refuse an upload that is longer than what is left of its account's quota. Raises QuotaExceeded."""
    if length_bytes > left_bytes:
        raise QuotaExceeded(
            f"{length_bytes} bytes are more than the {max(0, left_bytes)} that are left of the quota",
            where=f"account {account}",
            hint="finish or cancel what is being uploaded, remove something, or ask for a larger quota",
        )


def check_offset(spool: Spool, offset: int) -> None:
    """Refuse bytes that do not go on where the upload stands. Raises Conflict."""
    if offset != spool.position.offset:
        raise Conflict(
            f"the upload stands at {spool.position.offset}, not at {offset}",
            where="Upload-Offset",
            hint="ask with HEAD where it stands",
        )
