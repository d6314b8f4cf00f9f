"""The headers of a TAR, read strictly, in linear time, and in bounded memory however many there are.

`tarfile` is made for archives of people one knows: it takes headers without end, looks for words in them with
patterns that take the square of their length, and reads the map of a sparse file, however long, before it
can be refused. All of that is done here instead, by the hook that it has for subclasses (`_proc_member`).
"""

import tarfile
from typing import BinaryIO, Final

from content.bao.geometry import SEGMENT_BYTES
from runtime.errors import UsageError

# Of all that stand before one member: a long name, a long link, pax records
_BYTES_MAX: Final = 1 << 20
# Of those that hold for every member behind them, each of which gets a copy; `git archive` writes 52
_GLOBAL_BYTES_MAX: Final = 64 << 10
_DIGITS_MAX: Final = 8  # of the length of a record
_MODE_MAX: Final = (1 << 32) - 1  # st_mode; GNU's numbers to the base 256 go beyond it, and below zero
_PAX: Final = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_HEADERS: Final = (*_PAX, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SPARSE: Final = "GNU.sparse."
_LINE_END: Final = 0x0A
# Public in tarfile, and left out of its stubs
_NO_HEADER: Final = (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]


def open_tar(file: BinaryIO, *, packed: bool) -> tarfile.TarFile:
    """The archive that `file` reads as, from front to back; `packed`: it may be compressed.

    This and its `next` raise TarError, what compression raises, UsageError for a sparse member.
    """
    return _Archive.open(
        fileobj=file,
        mode="r|*" if packed else "r|",
        encoding="utf-8",
        errors="surrogateescape",
        bufsize=SEGMENT_BYTES,
    )


class _Member(tarfile.TarInfo):
    """A member that is read strictly: what is no header ends the reading with an error, not quietly."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            member = super().fromtarfile(archive)
        except _NO_HEADER as fault:
            raise tarfile.ReadError(str(fault)) from None
        if member.size < 0:
            raise tarfile.ReadError(f"a size of {member.size}")
        if not 0 <= member.mode <= _MODE_MAX:
            raise tarfile.ReadError(f"a mode of {member.mode}")
        return member

    def _proc_member(self, archive: "_Archive") -> "_Member":
        """Called for each header before what follows it is read: the member, with what headers say of it."""
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse(self.name)
        archive.count(self)
        if self.type in _PAX:
            return self._described(archive)
        found: _Member = super()._proc_member(archive)  # type: ignore[misc]
        return found

    def _described(self, archive: "_Archive") -> "_Member":
        """The member behind these pax records. Source: POSIX.1-2008, pax, "pax Header Block"."""
        body = archive.fileobj.read(_padded(self.size))[: self.size]
        is_global = self.type == tarfile.XGLTYPE
        said = archive.pax_headers if is_global else dict(archive.pax_headers)
        said.update(_records(body))  # type: ignore[attr-defined]
        try:
            member = self.fromtarfile(archive)
        except tarfile.HeaderError as fault:
            raise tarfile.ReadError(f"pax records of nothing: {fault}") from None
        if any(key.startswith(_SPARSE) for key in said):
            raise _sparse(said.get(f"{_SPARSE}name", member.name))
        if not is_global:
            member._apply_pax_info(said, "utf-8", "surrogateescape")  # type: ignore[attr-defined]
            member.offset = self.offset
            if "size" in said:
                follows = member.isreg() or member.type not in tarfile.SUPPORTED_TYPES
                archive.offset = member.offset_data + (_padded(member.size) if follows else 0)
        return member


class _Archive(tarfile.TarFile):
    """Counts its headers."""

    tarinfo = _Member
    _bytes = _global_bytes = 0

    def next(self) -> tarfile.TarInfo | None:
        """See `TarFile.next`, which reads on behind the end of the file for as long as a size says."""
        if self.firstmember is None:  # type: ignore[attr-defined]
            while (left := self.offset - self.fileobj.tell()) > 0:
                if not self.fileobj.read(min(left, SEGMENT_BYTES)):
                    raise tarfile.ReadError("unexpected end of data")
        return super().next()

    def count(self, header: tarfile.TarInfo) -> None:
        """Note that a header comes, or a member. Raises ReadError where there are too many bytes of them."""
        if header.type not in _HEADERS:
            self._bytes = 0
            return
        if header.size < 0:
            raise tarfile.ReadError(f"a size of {header.size}")
        self._bytes += tarfile.BLOCKSIZE + header.size
        if header.type == tarfile.XGLTYPE:
            self._global_bytes += header.size
        if self._bytes > _BYTES_MAX:
            raise tarfile.ReadError(f"headers of more than {_BYTES_MAX} bytes before one member")
        if self._global_bytes > _GLOBAL_BYTES_MAX:
            raise tarfile.ReadError(f"global headers of more than {_GLOBAL_BYTES_MAX} bytes")


def _records(body: bytes) -> dict[str, str]:
    """`LENGTH KEYWORD=VALUE`, a line each, up to the end or a NUL. Raises ReadError for what is none."""
    found: dict[str, str] = {}
    at = 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + _DIGITS_MAX + 1)
        digits = body[at : max(at, space)]
        stop = at + int(digits) if digits.isdigit() else at
        keyword, equals, value = body[space + 1 : max(0, stop - 1)].partition(b"=")
        is_line = at < space < stop <= len(body) and body[stop - 1] == _LINE_END
        if not is_line or not keyword or not equals:
            raise tarfile.ReadError("a pax record is none")
        found[_text(keyword)] = _text(value)
        at = stop
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _sparse(name: str) -> UsageError:
    hint = "make the archive without --sparse"
    return UsageError("a sparse member of a TAR cannot be added", where=name[:200], hint=hint)
