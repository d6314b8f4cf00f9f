"""A TAR on its way into the store as one directory, out of a request's body or out of a file.

It is read once, from front to back, and never unpacked to the disk: files become blobs as they come, as with
`fleek-edge add --tar`, by the same code and to the same CID. What stays in memory is the names.
"""

import asyncio
import contextlib
import fcntl
import io
import os
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from blockstore import Store
from blockstore.adding.adding import Adding
from blockstore.adding.reading import Keep
from blockstore.adding.tar import add_tar, begins_as_tar
from content.cid import Cid
from content.unixfs.profile import PROFILES, UNIXFS_V1_2025, Profile
from net.app import BodyReader
from origins.steps import settled, step
from pinning.pouring import pour
from runtime.errors import BadRequest, Busy, Interrupted, UsageError

# Of one archive: about 75 MB of names, twice that of the longest there are, whoever sends it
ENTRIES_MAX: Final = 250_000
# Archives in one request that are read side by side, by a thread each; their clients may be slow
AT_ONCE: Final = 4
MAGIC_BYTES: Final = tarfile.BLOCKSIZE
_NOTES_MAX: Final = 20  # told of; an archive of device files has a thousand
_PIPE_BYTES: Final = 1 << 20
_HINT: Final = "send what `tar c FOLDER` prints, not compressed"
Import = Callable[[Store, BinaryIO, Profile], tuple[Cid, "TarReport"]]
"""As `import_tar`."""
_Read = Callable[[BinaryIO], tuple[Cid, "TarReport"]]
Arrived = Callable[[int], None]
"""Told how many bytes more came; raises what refuses them."""


@dataclass(frozen=True, slots=True)
class TarReport:
    """What an archive came to. `left_out`: remarks on members that are no content; `files`: those told of."""

    entries: int
    size_bytes: int
    left_out: tuple[str, ...]
    files: tuple[tuple[str, str, int], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As answers tell it."""
        told: dict[str, Any] = {"entries": self.entries, "size_bytes": self.size_bytes}
        if self.files:
            told["files"] = [
                dict(zip(("path", "cid", "size_bytes"), file, strict=True)) for file in self.files
            ]
        return {**told, "left_out": list(self.left_out)} if self.left_out else told


def profile_of(name: str | None) -> Profile:
    """The import profile of a request. Raises BadRequest."""
    found = PROFILES.get(name or UNIXFS_V1_2025.name)
    if found is None:
        hint = "known are " + ", ".join(sorted(PROFILES))
        raise BadRequest("there is no such import profile", where=str(name)[:64], hint=hint)
    return found


def check_magic(first: bytes) -> None:
    """Refuse what cannot be a TAR by its first MAGIC_BYTES (fewer: it is too short). Raises BadRequest."""
    if not begins_as_tar(first):
        raise BadRequest("this is no TAR", where=f"it begins {first[:8].hex()}", hint=_HINT)


class Counted:
    """What was read, and what was said on the way."""

    def __init__(self) -> None:
        self.entries = self.size_bytes = 0
        self.notes: list[str] = []

    def report(self) -> TarReport:
        """All of it."""
        return TarReport(self.entries, self.size_bytes, tuple(self.notes))

    def advance(self, done_bytes: int) -> None:
        """See `reading.Progress`."""
        self.size_bytes += done_bytes

    def note(self, text: str) -> None:
        """A remark."""
        if len(self.notes) < _NOTES_MAX:
            self.notes.append(text)

    def tell(self, cid: Cid, shown: str, size_bytes: int) -> None:
        """An entry."""
        self.entries += 1


def import_tar(store: Store, file: BinaryIO, profile: Profile) -> tuple[Cid, TarReport]:
    """Store what is in a TAR; (root, report) when all is durable.

    However it ends early, what came until then stays for a lease. Raises BadRequest, StoreFull, as `file`.
    """
    counted = Counted()
    try:
        with Adding(
            store, profile, Keep(mode=False, mtime=False), counted, counted.note, counted.tell
        ) as adding:
            root = add_tar(adding, file, "the TAR", entries_max=ENTRIES_MAX, packed=False)
    except UsageError as error:
        raise BadRequest(error.message, where=error.where, hint=error.hint or _HINT) from None
    return root, counted.report()


def import_tar_file(store: Store, path: Path, skip_bytes: int, profile: Profile) -> tuple[Cid, TarReport]:
    """Store the TAR that begins `skip_bytes` into a file. Raises as `import_tar`."""
    with path.open("rb", buffering=0) as file:
        file.seek(skip_bytes)
        return import_tar(store, cast(BinaryIO, file), profile)


class _Pipe(io.RawIOBase):
    """From where a body is poured to the thread that reads it as a TAR; the kernel bounds what is between."""

    def __init__(self, arrived: Arrived) -> None:
        super().__init__()
        self._out, self._in = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # more than this user may have: it goes slower
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._arrived = arrived
        self._is_broken = False
        self._lock = threading.Lock()  # `end` waits for a `take` that a cancelled caller left behind

    # The side that pours

    def take(self, data: bytes) -> None:
        """The next bytes. Raises what `arrived` raises, BrokenPipeError when nobody reads any more."""
        with self._lock:
            self._arrived(len(data))
            view = memoryview(data)
            while view:
                view = view[os.write(self._in, view) :]

    def end(self, *, broken: bool) -> None:
        """No more comes; `broken`: though there should."""
        self._is_broken = broken
        with self._lock:
            os.close(self._in)

    # The side that reads

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`. Raises Interrupted where the body broke off."""
        got = os.readv(self._out, [buffer])
        if not got and self._is_broken:
            raise Interrupted("the body broke off")
        return got

    def close(self) -> None:
        """See `io.RawIOBase`."""
        if not self.closed:
            os.close(self._out)
        super().close()


class TarReceiver:
    """Stores the archives and forms that arrive in one request each. For one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers = ThreadPoolExecutor(AT_ONCE, "tar")
        self._count = 0

    async def receive(
        self, body: BodyReader, profile: Profile, arrived: Arrived, importing: Import = import_tar
    ) -> tuple[Cid, TarReport]:
        """Store the TAR in a body, or what `importing` reads. Raises as `import_tar`, what
        body and `arrived` raise, Busy.

        However it ends early, what came until then stays for a lease.
        """
        if self._count >= AT_ONCE:
            hint = "send it again in a moment, or to /tar/uploads"
            raise Busy(f"{AT_ONCE} archives are on their way in already", hint=hint)
        self._count += 1
        try:
            return await self._received(
                body, lambda file: importing(self._store, file, profile), _Pipe(arrived)
            )
        finally:
            self._count -= 1

    async def _received(self, body: BodyReader, read: _Read, pipe: _Pipe) -> tuple[Cid, TarReport]:
        loop = asyncio.get_running_loop()
        reading = loop.run_in_executor(self._readers, self._read, pipe, read)
        try:
            await pour(body, pipe.take)
        except BrokenPipeError:
            pass  # the reader has refused it, and says why
        except BaseException:
            await step(pipe.end, broken=True)
            with contextlib.suppress(Exception):
                await settled(reading)
            raise
        await step(pipe.end, broken=False)
        return await settled(reading)

    def _read(self, pipe: _Pipe, read: _Read) -> tuple[Cid, TarReport]:
        with pipe:
            found = read(cast(BinaryIO, pipe))
            while pipe.read(_PIPE_BYTES):  # what pads an archive, and says whether the body was whole
                pass
            return found
