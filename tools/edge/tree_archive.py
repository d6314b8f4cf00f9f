"""A tree as a TAR on a stream (POSIX pax): `fleek-edge get --archive`."""

import io
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from content.unixfs.message import Message
from runtime.errors import Unverified
from tools.edge.tree import FileAt

_DIR_MODE: Final = 0o755
_FILE_MODE: Final = 0o644
_MODE_BITS: Final = 0o7777


class ArchiveWriter:
    """`tools.edge.tree.Writer` into a TAR. Modes are kept whole: whoever unpacks decides what to take."""

    def __init__(self, out: BinaryIO) -> None:
        self._tar = tarfile.open(  # noqa: SIM115  # `finish` ends it
            fileobj=_Sink(out),
            mode="w|",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        )
        self._above: list[str] = []

    def finish(self) -> None:
        """Write the end of the archive."""
        self._tar.close()

    def enter(self, name: str, message: Message | None) -> None:
        """A folder, before what is in it: who unpacks sets its mode and time at the end (as GNU tar does)."""
        self._above.append(name)
        self._tar.addfile(self._info("", message, tarfile.DIRTYPE, _DIR_MODE))

    def leave(self, message: Message | None) -> None:
        """The folder is complete."""
        self._above.pop()

    def file(self, file: FileAt) -> None:
        """A file, streamed."""
        info = self._info(file.name, file.message, tarfile.REGTYPE, _FILE_MODE)
        info.size = file.size_bytes
        self._tar.addfile(info, _Reader(file.pieces, info.name))

    def symlink(self, name: str, target: str, message: Message, depth: int) -> None:
        """A symlink, wherever it points: nothing is followed here."""
        info = self._info(name, message, tarfile.SYMTYPE, 0o777)
        info.linkname = target
        self._tar.addfile(info)

    def _info(self, name: str, message: Message | None, kind: bytes, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo("/".join((*self._above, name) if name else self._above))
        info.type, info.mode = kind, mode
        if message is not None:
            info.mode = mode if message.mode is None else message.mode & _MODE_BITS
            info.mtime = max(0, message.mtime.seconds) if message.mtime else 0
        return info


class _Sink(io.RawIOBase):
    """Where tarfile writes. Once that failed, what it tries again when it is let go of is dropped."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out, self._failed = out, False

    def write(self, data: Any) -> int:
        """Pass `data` on. Raises OSError the first time that fails."""
        view, done = memoryview(data), 0
        try:
            while done < len(view) and not self._failed:  # one write may take a part
                done += self._out.write(view[done:])
        except OSError:
            self._failed = True
            raise
        return len(view)


class _Reader(io.RawIOBase):
    """Pieces as the file that tarfile reads; one that is shorter than it said is refused."""

    def __init__(self, pieces: Iterator[bytes], name: str) -> None:
        super().__init__()
        self._pieces, self._name = pieces, name
        self._left = b""

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, as tarfile asks for them."""
        parts, missing = [], size
        while missing > 0:
            piece = self._left or next(self._pieces, b"")
            if not piece:
                raise Unverified("a file is shorter than its root says", where=self._name)
            parts.append(piece[:missing])
            self._left = piece[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)
