"""Files that a user names: read twice, as all of one is looked at before anything is done; written whole."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from runtime.errors import StoreFull
from tools.frame import walk

_READ_BYTES: Final = 1 << 20


class Twice:
    """A file, or - for standard input. Pipes are kept in a file without a name while they are looked at.

    Memory: _READ_BYTES. Only what `first` is asked for is read: who looks may stop at the first fault.
    """

    def __init__(self, path: str, stack: ExitStack) -> None:
        """Open it; `stack` closes it. Raises NotFound, Forbidden, UsageError."""
        self._path = path
        self._source: Any = sys.stdin.buffer
        self._spool: BinaryIO | None = None
        if path != walk.STDIN:
            try:
                self._source = stack.enter_context(open(path, "rb"))  # noqa: SIM115  # the stack closes it
            except OSError as fault:
                raise walk.translated(fault, path) from None
        if path == walk.STDIN or not self._source.seekable():
            try:
                self._spool = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # as above
            except OSError as fault:
                raise _no_room(fault) from None

    def first(self) -> Iterator[bytes]:
        """The bytes, once. Raises StoreFull: there is no room to keep what comes from a pipe."""
        for data in self._read(self._source):
            if self._spool is not None:
                try:
                    self._spool.write(data)
                except OSError as fault:
                    raise _no_room(fault) from None
            yield data

    def again(self) -> Iterator[bytes]:
        """The same bytes; a file that somebody writes to meanwhile may give others."""
        file = self._source if self._spool is None else self._spool
        try:
            file.seek(0)
        except OSError as fault:
            raise walk.translated(fault, self._path) from None
        yield from self._read(file)

    def _read(self, file: Any) -> Iterator[bytes]:
        while True:
            try:
                data = file.read(_READ_BYTES)
            except OSError as fault:
                raise walk.translated(fault, self._path) from None
            if not data:
                return
            yield data


def _no_room(fault: OSError) -> StoreFull:
    hint = "TMPDIR names another folder for what comes from a pipe"
    return StoreFull((fault.strerror or "full").lower(), where=tempfile.gettempdir(), hint=hint)


def file_named(output: Path | None) -> Path | None:
    """The file that `-o` names; None: standard output, as where there is no `-o`."""
    return None if output is None or str(output) == walk.STDIN else output


class Written:
    """Where a command's result goes: a file that appears whole or not at all, or standard output (None).

    What is there and no regular file (a pipe, /dev/null) is written to as it is. Raises what
    `walk.translated` makes of the system's errors; those of standard output pass through.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._target = Path(os.path.realpath(path)) if path is not None else None
        self._draft: Path | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Written":
        if self._target is None:
            self._file = sys.stdout.buffer
            return self
        place = self._target
        if os.path.isfile(self._target) or not os.path.lexists(self._target):
            place = self._draft = self._target.with_name(f".{self._target.name}.{os.getpid()}.part")
        try:
            self._file = place.open("wb")
        except OSError as fault:
            self._draft = None
            raise walk.translated(fault, str(self._path)) from None
        return self

    def write(self, data: bytes) -> None:
        """Put `data` at the end."""
        assert self._file is not None, "within `with`"
        try:
            self._file.write(data)
        except OSError as fault:
            raise self._translated(fault) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None, "within `with`"
        try:
            self._file.flush()
            if self._draft is not None and kind is None:
                os.fsync(self._file.fileno())
                assert self._target is not None, "a draft is of a target"
                os.replace(self._draft, self._target)
                self._draft = None
        except OSError as fault:
            if kind is None:
                raise self._translated(fault) from None
        finally:
            if self._path is not None:
                with suppress(OSError):  # what it could not flush it tries once more
                    self._file.close()
            if self._draft is not None:
                self._draft.unlink(missing_ok=True)

    def _translated(self, fault: OSError) -> Exception:
        return fault if self._path is None else walk.translated(fault, self._path)
