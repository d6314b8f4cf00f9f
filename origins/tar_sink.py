"""A TAR that comes from a URL: kept in a file without a name until all of it is here, then read as one."""

import os
import tempfile
import threading
from typing import BinaryIO, Final, cast

from blockstore import Store
from blockstore.adding.recipe import Recipe
from content.cid import Cid
from origins.archive import Archive
from runtime.errors import StoreFull, Unreachable

# What is left of the disk to others
_ROOM_BYTES: Final = 256 << 20


class TarSink:
    """See `origins.sinks.Sink`. `sub_path`: after `finish`, where in the archive it was."""

    def __init__(
        self,
        store: Store,
        cid: Cid,
        recipe: Recipe,
        stop: threading.Event,
        *,
        most_bytes: int,
        packed: bool,
    ) -> None:
        """As `Archive`."""
        self._store, self._cid, self._recipe, self._stop = store, cid, recipe, stop
        self._most_bytes, self._packed = most_bytes, packed
        self._file: BinaryIO | None = None
        self.size_bytes = 0
        self.sub_path = ""

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        try:
            if self._file is None:
                folder = self._store.backing.index.path.parent
                self._file = cast(BinaryIO, tempfile.TemporaryFile(buffering=0, dir=folder))  # noqa: SIM115
            room = os.fstatvfs(self._file.fileno())
            if room.f_bavail * room.f_frsize < len(data) + _ROOM_BYTES:
                raise StoreFull("the disk has no room for a TAR beside its content", where=self._cid.text())
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as fault:
            raise Unreachable(f"a TAR could not be kept: {fault.strerror}", where=self._cid.text()) from None
        self.size_bytes += len(data)

    def finish(self) -> str:
        """See `Sink`. Raises as `Archive.restore`."""
        if self._file is None:
            self.write(b"")
        assert self._file is not None, "a write has made it"
        archive = Archive(
            self._store,
            self._file,
            self._recipe,
            self._stop,
            most_bytes=self._most_bytes,
            packed=self._packed,
        )
        try:
            fit = archive.restore(self._cid, None)
        finally:
            self.abort()
        self.sub_path = fit.sub_path
        return fit.profile

    def abort(self) -> None:
        """See `Sink`."""
        if self._file is not None:
            self._file.close()
            self._file = None
