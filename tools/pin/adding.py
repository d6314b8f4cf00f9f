"""Bytes of this machine on their way to being pinned: into a store here, or up to a node."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, BinaryIO, Final

from content.unixfs.profile import Profile
from runtime.errors import Conflict, NotImplementedHere, StoreFull, UsageError
from tools.frame import walk
from tools.frame.output import Output
from tools.pin.book import Book, Order
from tools.pin.record import PinRecord
from tools.pin.remote import RemoteBook

_PIECE_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Content:
    """What a path on the command line stands for. `as_car`: it is a CAR, and its roots are meant."""

    path: str
    as_car: bool
    profile: Profile
    hidden: bool


def add_content(out: Output, book: Book, content: Content, template: Order) -> list[PinRecord]:
    """Bring content where it is kept and pin it; a pin for each root. Raises what either refuses with."""
    order = replace(template, name=template.name or _own_name(content.path))
    if not isinstance(book, RemoteBook):
        return list(import_module("tools.pin.local_adding").add_here(out, book, content, order))
    if not book.is_fleek:
        hint = "add the CID of content that it can reach, or upload to a Fleek Edge node"
        raise NotImplementedHere("this service takes CIDs, no uploads", where=book.where, hint=hint)
    with ExitStack() as stack:
        if content.as_car:
            source: Any = CarFile(seekable(content.path, stack), content.path)
        else:
            source = _planned(out, stack, content)
        with out.progress("sending", source.length_bytes) as progress:
            upload = import_module("tools.pin.upload").Upload(book.psa, source, order, progress, os.environ)
            names: list[str] = upload.send()
    return [book.get(name) for name in names]


class CarFile:
    """A CAR that lies on the disk, as it is."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file, self._path = file, path
        found = os.fstat(file.fileno())
        self.length_bytes = found.st_size
        self.identity = f"{os.path.abspath(path)} {found.st_size} {found.st_mtime_ns}"
        if not found.st_size:
            raise UsageError("an empty file is no CAR", where=path)

    def pieces(self, start: int) -> Iterator[bytes]:
        """The bytes from `start` on. Raises Conflict when the file has become shorter."""
        at = start
        while at < self.length_bytes:
            data = os.pread(self._file.fileno(), min(_PIECE_BYTES, self.length_bytes - at), at)
            if not data:
                raise Conflict("the file changed while it was sent", where=self._path, hint="add it again")
            yield data
            at += len(data)


def _planned(out: Output, stack: ExitStack, content: Content) -> Any:
    path = content.path
    if path == walk.STDIN or not (os.path.isdir(path) or os.path.isfile(path)):
        path = f"/proc/self/fd/{seekable(path, stack).fileno()}"
    total_bytes = walk.total_bytes((path,)) if out.is_watched else None
    with out.progress("reading", total_bytes) as progress:
        return import_module("tools.pin.car_plan").planned(
            path, content.profile, progress, out.warn, hidden=content.hidden
        )


def seekable(path: str, stack: ExitStack) -> BinaryIO:
    """A file that can be read twice; standard input and pipes are put into one without a name first."""
    source: Any = sys.stdin.buffer
    if path != walk.STDIN:
        try:
            source = stack.enter_context(open(path, "rb"))  # noqa: SIM115  # the stack closes it
        except OSError as fault:
            raise walk.translated(fault, path) from None
        if source.seekable():
            found: BinaryIO = source
            return found
    try:
        spool = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # as above
        shutil.copyfileobj(source, spool, 1 << 20)
        spool.flush()
    except OSError as fault:
        where, hint = tempfile.gettempdir(), "TMPDIR names another folder for what is sent from a pipe"
        raise StoreFull((fault.strerror or "full").lower(), where=where, hint=hint) from None
    return spool


def _own_name(path: str) -> str:
    return "" if path == walk.STDIN else os.path.basename(os.path.normpath(path))
