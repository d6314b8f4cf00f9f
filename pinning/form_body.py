"""The files of a form on their way into the store as one directory, as they come.

A file's name may be a path: browsers send one for each file of a folder, and so does
`curl -F 'file=@x;filename=a/x'`. The tree is that of a TAR with the same names, and so is its CID.
"""

from dataclasses import replace
from functools import partial
from typing import BinaryIO, Final, cast

from blockstore import Store
from blockstore.adding.adding import Adding
from blockstore.adding.gathered import Gathered
from blockstore.adding.reading import NOTHING, Keep
from content.bao.geometry import SEGMENT_BYTES
from content.cid import Cid
from content.unixfs.build_directory import Entry
from content.unixfs.build_file import FileMade
from content.unixfs.profile import Profile
from pinning.form_parts import FormReader, Part
from pinning.tar_body import ENTRIES_MAX, Counted, TarReport
from runtime.errors import BadRequest, UsageError

_FOLDER: Final = "application/x-directory"  # as kubo's clients send one that may be empty
_LINK: Final = "application/symlink"
FILES_TOLD_MAX: Final = 1000  # by path and CID; whoever sends more walks the directory
_PARTS_MAX: Final = 2 * ENTRIES_MAX  # fields and empty inputs cost a turn each


def import_form(store: Store, file: BinaryIO, profile: Profile, boundary: bytes) -> tuple[Cid, TarReport]:
    """Store the files of a form; (root, report) when all is durable. Raises BadRequest, StoreFull, as `file`.

    However it ends early, what came until then stays for a lease.
    """
    counted = Counted()
    keep = Keep(mode=False, mtime=False)
    try:
        with Adding(store, profile, keep, counted, counted.note, counted.tell) as adding:
            tree = Gathered(adding, "form", "the form", ENTRIES_MAX, replaces=False)
            form = _Form(adding, tree, FormReader(file, boundary))
            if not form.read():
                raise BadRequest("the form holds no file", where="the form", hint="curl -F file=@PATH")
            root = tree.finish()
    except UsageError as error:
        raise BadRequest(error.message, where=error.where, hint=error.hint) from None
    return root, replace(counted.report(), files=tuple(form.files))


class _Form:
    """One form on its way in."""

    def __init__(self, adding: Adding, tree: Gathered, reader: FormReader) -> None:
        self._adding, self._tree, self._reader = adding, tree, reader
        self.files: list[tuple[str, str, int]] = []  # the first by path, CID and size

    def read(self) -> int:
        """Read all parts; how many files and folders there were. Raises UsageError, BadRequest, StoreFull."""
        found = 0
        for _ in range(_PARTS_MAX):
            part = self._reader.next()
            if part is None:
                return found
            found += self._part(part)
        raise UsageError(f"a form of more than {_PARTS_MAX} parts", where="the form")

    def _part(self, part: Part) -> bool:
        if part.filename is None:
            self._adding.note(f"left out: the field {part.name[:80]!r} (no file)")
            return False
        parts = self._tree.parts(part.filename)
        if part.media_type == _FOLDER:
            self._adding.after(partial(self._tree.folder, parts, NOTHING))
            return True
        if part.media_type == _LINK:
            self._adding.note(f"left out: {part.filename[:200]} (a symlink)")
            return False
        first = self._upto(SEGMENT_BYTES + 1)
        if not parts and not first and not part.filename:
            return False  # what a browser sends for an input without a file
        if not parts or part.filename.endswith("/"):
            raise UsageError("a file of the form has no name", where=part.filename[:200])
        self._file(parts, first)
        return True

    def _file(self, parts: list[str], first: bytearray) -> None:
        shown = "/".join(parts)

        def made(file: FileMade) -> None:
            self._tree.put(parts, Entry("", file.cid, file.dag_bytes))
            if len(self.files) < FILES_TOLD_MAX:
                self.files.append((shown, file.cid.text(), file.size_bytes))

        if len(first) > SEGMENT_BYTES:
            self._adding.stream(cast(BinaryIO, _Behind(first, self._reader)), shown, made)
            return
        self._adding.data(first, NOTHING, shown, made)

    def _upto(self, most: int) -> bytearray:
        """So much of the part, or all of it."""
        found = bytearray()
        while len(found) < most and (data := self._reader.read(most - len(found))):
            found += data
        return found


class _Behind:
    """The data of a part as a file: what was read of it already, then the rest."""

    def __init__(self, first: bytearray, reader: FormReader) -> None:
        self._first, self._reader = first, reader

    def readinto(self, buffer: memoryview) -> int:
        """See `io.RawIOBase`."""
        size = len(buffer)
        if self._first:
            data = bytes(self._first[:size])
            del self._first[:size]
        else:
            data = self._reader.read(size)
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`; of no size, as much as is at hand."""
        data = bytearray(256 << 10 if size < 0 else size)
        return bytes(data[: self.readinto(memoryview(data))])
