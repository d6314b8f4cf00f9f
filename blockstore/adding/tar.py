"""What is in a TAR, on its way into a store, as one directory.

Read once, from front to back, never unpacked to the disk. Of several members of one name the last counts, as
tar has it; a hard link is the file it links to. Refused, because the root would stand for something else than
the archive: names that lead out of it, a name that is a file and a directory, sparse members, links to
what is not there, and anything that does not read as a TAR to its end. Devices and pipes are left out,
with a note.
"""

import tarfile
from collections.abc import Callable
from decimal import Decimal, DecimalException
from functools import partial
from typing import BinaryIO, Final, TypeVar

from blockstore.adding.gathered import Gathered, Into
from blockstore.adding.reading import Attributes
from blockstore.adding.tar_headers import open_tar
from blockstore.bundle import SEAL_BYTES
from content.bao.geometry import SEGMENT_BYTES
from content.cid import Cid
from content.unixfs.build_directory import Entry
from content.unixfs.build_file import FileMade
from runtime.errors import EdgeError, UsageError

_Read = TypeVar("_Read")
ENTRIES_MAX: Final = 10_000_000  # about 300 bytes each in memory
_NANO: Final = Decimal(1_000_000_000)
_TIME_MAX_S: Final = 1 << 63
_TIME_DIGITS_MAX: Final = 20  # of whole seconds; the int of 1e999980 takes a minute, in which no thread runs


def add_tar(
    adding: Into, file: BinaryIO, path: str, *, entries_max: int = ENTRIES_MAX, packed: bool = True
) -> Cid:
    """Add what is in the TAR that `file` reads as; returns its root when all is durable.

    `path`: its name, in errors. `packed`: it may be compressed. Raises UsageError, StoreFull, and as `file`.
    """
    return _read(adding, file, path, entries_max, packed=packed).finish()


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


def _read(adding: Into, file: BinaryIO, path: str, entries_max: int, *, packed: bool) -> Gathered:
    tree = Gathered(adding, "TAR", path, entries_max)
    _Tar(adding, path, tree).read(file, packed=packed)
    return tree


class _Tar:
    """One archive on its way in. What members become is put into the tree in their order."""

    def __init__(self, adding: Into, path: str, tree: Gathered) -> None:
        self._adding = adding
        self._path = path
        self._tree = tree

    def read(self, file: BinaryIO, *, packed: bool) -> None:
        """Read all members. Raises UsageError, NotFound, StoreFull."""
        archive = self._guarded(partial(open_tar, file, packed=packed))
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
        parts = self._tree.parts(member.name)
        attributes = self._attributes(member)
        if member.isdir():
            self._adding.after(partial(self._tree.folder, parts, attributes))
        elif not parts:
            raise UsageError("a member of the TAR has no name", where=self._path)
        elif member.isfile():
            self._file(archive, member, parts, attributes)
        elif member.issym():
            if "\0" in member.linkname:
                raise UsageError("a symlink of the TAR points at a name with a NUL", where=member.name[:200])
            self._adding.symlink(member.linkname, attributes, "/".join(parts), partial(self._tree.put, parts))
        elif member.islnk():
            self._adding.after(partial(self._link, parts, self._tree.parts(member.linkname)))
        else:
            self._adding.note(f"left out: {member.name} (neither a file, a folder nor a symlink)")

    def _file(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str], attributes: Attributes
    ) -> None:
        content = self._guarded(lambda: archive.extractfile(member))
        assert content is not None, "isfile() has checked"
        shown = "/".join(parts)

        def made(file: FileMade) -> None:
            self._tree.put(parts, Entry("", file.cid, file.dag_bytes))

        if member.size > SEGMENT_BYTES:
            self._guarded(lambda: self._adding.stream(content, shown, made, attributes))  # type: ignore[arg-type]
            return
        data = bytearray(member.size + SEAL_BYTES)
        data[:] = self._guarded(content.read)
        self._adding.data(data, attributes, shown, made)

    def _attributes(self, member: tarfile.TarInfo) -> Attributes:
        return self._adding.keep.of(member.mode, self._guarded(lambda: _mtime_ns(member)))

    def _link(self, parts: list[str], target: list[str]) -> None:
        found = self._tree.entry(target)
        if found is None:
            where = "/".join(parts)[:200]
            raise UsageError(f"a hard link in the TAR to {'/'.join(target)[:200]!r}, not in it", where=where)
        self._tree.put(parts, found)


def _mtime_ns(member: tarfile.TarInfo) -> int:
    """The time of a member; pax records say it to the nanosecond, of which tarfile's float loses some.

    Raises ValueError, OverflowError for what is none, or beyond those of UnixFS.
    """
    found, exact = None, member.pax_headers.get("mtime")
    if exact is not None:
        try:
            said = Decimal(exact)
            if said.adjusted() < _TIME_DIGITS_MAX:
                found = int((said * _NANO).to_integral_value(rounding="ROUND_FLOOR"))
        except (DecimalException, ValueError, OverflowError):
            pass
    if found is None:
        found = int(member.mtime) * int(_NANO)
    if abs(found) >= _TIME_MAX_S * int(_NANO):
        raise ValueError("a time that UnixFS cannot say")
    return found
