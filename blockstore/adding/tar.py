"""What is in a TAR, on its way into a store, as one directory.

Read once, from front to back, never unpacked to the disk. Of several members of one name the last counts, as
tar has it; a hard link is the file it links to. Refused, because the root would stand for something else than
the archive: names that lead out of it, a name that is a file and a directory, sparse members, links to
what is not there, and anything that does not read as a TAR to its end. Devices and pipes are left out,
with a note.
"""

import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import BinaryIO, Final, Literal, Protocol, TypeVar

from blockstore.adding.reading import NOTHING, Attributes, Keep
from blockstore.bundle import SEAL_BYTES
from content.bao.geometry import SEGMENT_BYTES
from content.cid import Cid
from content.unixfs.build_directory import DirectoryMade, Entry
from content.unixfs.build_file import FileMade
from runtime.errors import EdgeError, UsageError

_Read = TypeVar("_Read")
_DEPTH_MAX: Final = 400  # a frame of the stack a level
ENTRIES_MAX: Final = 10_000_000  # about 300 bytes each in memory
_HEADER_BYTES_MAX: Final = 1 << 20  # of one long name or set of pax records; longer ones fill memory
_NANO: Final = Decimal(1_000_000_000)
_HEADERS: Final = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# Public in tarfile, and left out of its stubs
_NO_HEADER: Final = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]


class Into(Protocol):
    """What members are given to; `blockstore.adding.adding.Adding` is one, and says what each method does."""

    @property
    def keep(self) -> Keep:
        """Which attributes are kept."""
        ...

    def note(self, text: str, /) -> None:
        """A remark."""
        ...

    def after(self, then: Callable[[], None]) -> None:
        """Have `then` called when everything given before is known."""
        ...

    def finish(self) -> None:
        """Return when all that was given is known."""
        ...

    def data(
        self, data: bytearray, attributes: Attributes, shown: str, then: Callable[[FileMade], None]
    ) -> None:
        """A small file."""
        ...

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """A file, read here and now."""
        ...

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        """A symlink."""
        ...

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        """A directory whose entries are known."""
        ...


def add_tar(
    adding: Into, file: BinaryIO, path: str, *, entries_max: int = ENTRIES_MAX, packed: bool = True
) -> Cid:
    """Add what is in the TAR that `file` reads as; returns its root when all is durable.

    `path`: its name, in errors. `packed`: it may be compressed. Raises UsageError, StoreFull, and as `file`.
    """
    tree = _read(adding, file, path, entries_max, packed=packed)
    roots: list[Cid] = []
    adding.after(lambda: roots.append(_close(adding, tree, path).cid))
    adding.finish()
    return roots[0]


def read_members(into: Into, file: BinaryIO, path: str, *, entries_max: int, packed: bool) -> None:
    """As `add_tar`, but for directories, which are not made."""
    _read(into, file, path, entries_max, packed=packed)
    into.finish()


def begins_as_tar(first: bytes) -> bool:
    """Whether what begins with these bytes (512 at least) may be a TAR that is not compressed."""
    try:
        tarfile.TarInfo.frombuf(first[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        return False
    return True


def _read(adding: Into, file: BinaryIO, path: str, entries_max: int, *, packed: bool) -> "_Folder":
    tree = _Folder()
    _Tar(adding, path, tree, entries_max).read(file, "r|*" if packed else "r|")
    return tree


def _open(file: BinaryIO, mode: Literal["r|*", "r|"]) -> tarfile.TarFile:
    return tarfile.open(
        fileobj=file,
        mode=mode,
        encoding="utf-8",
        errors="surrogateescape",
        tarinfo=_Member,
        bufsize=SEGMENT_BYTES,
    )


class _Member(tarfile.TarInfo):
    """A member that is read strictly: what is no header ends the reading with an error, not quietly."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(archive)
        except _NO_HEADER as fault:
            raise tarfile.ReadError(str(fault)) from None

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type in _HEADERS and member.size > _HEADER_BYTES_MAX:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


@dataclass(slots=True)
class _Folder:
    """A directory of the archive; its members come in any order."""

    attributes: Attributes = NOTHING
    entries: dict[str, Entry] = field(default_factory=dict)
    folders: dict[str, "_Folder"] = field(default_factory=dict)


class _Tar:
    """One archive on its way in. What members become is put into the tree in their order."""

    def __init__(self, adding: Into, path: str, tree: _Folder, entries_max: int) -> None:
        self._adding = adding
        self._path = path
        self._tree = tree
        self._entries_max = entries_max
        self._count = 0

    def read(self, file: BinaryIO, mode: Literal["r|*", "r|"]) -> None:
        """Read all members. Raises UsageError, NotFound, StoreFull."""
        archive = self._guarded(partial(_open, file, mode))
        while (member := self._guarded(archive.next)) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember all of them
            self._member(archive, member)

    def _guarded(self, read: "Callable[[], _Read]") -> "_Read":
        """What `read` returns; what it makes of bytes that are no TAR becomes a UsageError."""
        try:
            return read()
        except EdgeError:
            raise
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as fault:
            raise UsageError(f"not a sound TAR: {fault}", where=self._path) from None
        except RecursionError:
            raise UsageError("not a sound TAR: headers of headers without end", where=self._path) from None

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = self._parts(member.name)
        attributes = self._attributes(member)
        if member.isdir():
            self._adding.after(partial(self._folder, parts, attributes))
        elif not parts:
            raise UsageError("a member of the TAR has no name", where=self._path)
        elif member.issparse():
            hint = "make the archive without --sparse"
            raise UsageError("a sparse member of a TAR cannot be added", where=member.name[:200], hint=hint)
        elif member.isfile():
            self._file(archive, member, parts, attributes)
        elif member.issym():
            if "\0" in member.linkname:
                raise UsageError("a symlink of the TAR points at a name with a NUL", where=member.name[:200])
            self._adding.symlink(member.linkname, attributes, "/".join(parts), partial(self._put, parts))
        elif member.islnk():
            self._adding.after(partial(self._link, parts, self._parts(member.linkname)))
        else:
            self._adding.note(f"left out: {member.name} (neither a file, a folder nor a symlink)")

    def _file(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str], attributes: Attributes
    ) -> None:
        content = self._guarded(lambda: archive.extractfile(member))
        assert content is not None, "isfile() has checked"
        shown = "/".join(parts)

        def made(file: FileMade) -> None:
            self._put(parts, Entry("", file.cid, file.dag_bytes))

        if member.size > SEGMENT_BYTES:
            self._guarded(lambda: self._adding.stream(content, shown, made, attributes))  # type: ignore[arg-type]
            return
        data = bytearray(member.size + SEAL_BYTES)
        data[:] = self._guarded(content.read)
        self._adding.data(data, attributes, shown, made)

    def _parts(self, name: str) -> list[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or name.startswith("/"):
            raise UsageError("a name in the TAR leads out of it", where=name[:200])
        if "\0" in name:
            raise UsageError("a name in the TAR holds a NUL, which no file can have", where=repr(name)[:200])
        if len(parts) > _DEPTH_MAX:
            raise UsageError(f"more than {_DEPTH_MAX} folders inside one another", where=name[:200])
        return parts

    def _attributes(self, member: tarfile.TarInfo) -> Attributes:
        return self._adding.keep.of(member.mode, _mtime_ns(member))

    # The tree, in the order of the members

    def _folder(self, parts: list[str], attributes: Attributes) -> None:
        self._at(parts).attributes = attributes

    def _at(self, parts: list[str]) -> _Folder:
        """The directory at a path, made when missing."""
        at = self._tree
        for part in parts:
            if part in at.entries:
                raise UsageError("a name in the TAR is a file and a folder", where="/".join(parts)[:200])
            if part not in at.folders:
                self._counted()
                at.folders[part] = _Folder()
            at = at.folders[part]
        return at

    def _put(self, parts: list[str], entry: Entry) -> None:
        parent = self._at(parts[:-1])
        if parts[-1] in parent.folders:
            raise UsageError("a name in the TAR is a file and a folder", where="/".join(parts)[:200])
        self._counted()
        parent.entries[parts[-1]] = Entry(parts[-1], entry.cid, entry.dag_bytes)

    def _link(self, parts: list[str], target: list[str]) -> None:
        at: _Folder | None = self._tree
        for part in target[:-1]:
            at = None if at is None else at.folders.get(part)
        found = at.entries.get(target[-1]) if at is not None and target else None
        if found is None:
            where = "/".join(parts)[:200]
            raise UsageError(f"a hard link in the TAR to {'/'.join(target)[:200]!r}, not in it", where=where)
        self._put(parts, found)

    def _counted(self) -> None:
        self._count += 1
        if self._count > self._entries_max:
            raise UsageError(f"a TAR of more than {self._entries_max} entries", where=self._path)


def _close(adding: Into, folder: _Folder, shown: str) -> Entry:
    """Make the directories, those inside first."""
    entries = list(folder.entries.values())
    for name, below in folder.folders.items():
        made = _close(adding, below, f"{shown}/{name}")
        entries.append(Entry(name, made.cid, made.dag_bytes))
    directory = adding.directory(entries, shown, folder.attributes)
    return Entry("", directory.cid, directory.dag_bytes)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    """The time of a member; pax records say it to the nanosecond, of which tarfile's float loses some."""
    exact = member.pax_headers.get("mtime")
    if exact is not None:
        try:
            return int((Decimal(exact) * _NANO).to_integral_value(rounding="ROUND_FLOOR"))
        except (InvalidOperation, ValueError, OverflowError):
            pass
    return int(member.mtime) * int(_NANO)
