"""multipart/form-data, read part by part from front to back (RFC 7578, RFC 2046 §5.1; WHATWG's file names).

    [preamble CRLF] --boundary CRLF { fields CRLF CRLF data CRLF --boundary CRLF }* … --boundary-- [epilogue]

Strict: a line that begins as a delimiter and is none, fields above the bounds, or an end before the last
delimiter are errors. Memory: one read of the body, and the fields of one part.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol

from runtime.errors import BadRequest

_READ_BYTES: Final = 256 << 10
_FIELDS_BYTES_MAX: Final = 16 << 10  # of one part: a path of 4 KiB, escaped, and what browsers send with it
_PREAMBLE_BYTES_MAX: Final = 64 << 10
_PADDING_BYTES_MAX: Final = 64
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]", re.ASCII)
_PARAMETER: Final = re.compile(
    rb'\s*;\s*([!#$%&*+\-.^_`|~0-9A-Za-z]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s;"]*))'
)
_ESCAPED: Final = re.compile(rb'%22|%0D|%0A|\\["\\]', re.IGNORECASE)
_MEANT: Final = {b"%22": b'"', b"%0D": b"\r", b"%0A": b"\n", b'\\"': b'"', b"\\\\": b"\\"}
_BINARY: Final = (b"", b"binary", b"8bit", b"7bit")


class Readable(Protocol):
    """Where the body comes from."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Up to `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What stands before the data of one part. `filename` None: a field of the form, no file."""

    name: str
    filename: str | None
    media_type: str


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names. Raises BadRequest."""
    kind, _, rest = content_type.partition(";")
    found = _parameters(b";" + rest.encode("latin-1", "replace")) if rest else {}
    text = found.get("boundary", b"").decode("latin-1")
    if kind.strip().lower() != "multipart/form-data" or _BOUNDARY.fullmatch(text) is None:
        hint = "curl -F file=@PATH sends one; Content-Type: multipart/form-data; boundary=…"
        raise BadRequest("this is no form with files", where=f"Content-Type {content_type[:80]}", hint=hint)
    return text.encode()


class FormReader:
    """One form. `next`, then `read` until it gives nothing, and so on until `next` gives None."""

    def __init__(self, file: Readable, boundary: bytes) -> None:
        self._file = file
        self._delimiter = b"\r\n--" + boundary
        self._held = bytearray(b"\r\n")  # the first delimiter needs no line before it
        self._searched = 0  # no delimiter begins before this place of what is held
        self._in_part = True
        self._in_preamble = True  # read as a part, and dropped
        self._is_over = False
        self._at = -2

    def next(self) -> Part | None:
        """Go to the next part, past what is left of this one; None behind the last. Raises BadRequest."""
        while self.read():
            if self._in_preamble and self._at > _PREAMBLE_BYTES_MAX:
                raise self._broken("its boundary is not where it begins")
        self._in_preamble = False
        if self._is_over:
            return None
        self._in_part = True
        return self._fields()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of this part, nothing at its end. Raises BadRequest where it breaks off."""
        size = _READ_BYTES if size < 0 else size
        while self._in_part and size:
            found = self._held.find(self._delimiter, self._searched)
            if found == 0:
                self._end_part()
                break
            ready = found if found > 0 else len(self._held) - len(self._delimiter) + 1
            self._searched = max(0, ready)
            if ready > 0:
                return self._take(min(ready, size))
            self._fill()
        return b""

    def _take(self, count: int) -> bytes:
        data = bytes(self._held[:count])
        del self._held[:count]
        self._at += count
        self._searched = max(0, self._searched - count)
        return data

    def _fill(self) -> None:
        data = self._file.read(_READ_BYTES)
        if not data:
            raise self._broken("it is cut short")
        self._held += data

    def _end_part(self) -> None:
        """Read the rest of a delimiter line: what follows is a part, or nothing any more."""
        self._take(len(self._delimiter))
        self._in_part = False
        while len(self._held) < 2:
            self._fill()
        if self._held.startswith(b"--"):
            self._is_over = True
            while self._file.read(
                _READ_BYTES
            ):  # an epilogue means nothing; it says whether the body was whole
                pass
            return
        line = self._line(_PADDING_BYTES_MAX)
        if line.strip(b" \t"):
            raise self._broken("a line begins as its boundary does and goes on otherwise")

    def _line(self, most: int) -> bytes:
        """The next line, taken without its end. Raises BadRequest for one of more than `most` bytes."""
        while (end := self._held.find(b"\r\n")) < 0:
            if len(self._held) > most:
                break
            self._fill()
        if not 0 <= end <= most:
            raise self._broken(f"a line of its fields has more than {most} bytes")
        return self._take(end + 2)[:-2]

    def _fields(self) -> Part:
        found: dict[bytes, bytes] = {}
        left = _FIELDS_BYTES_MAX
        while line := self._line(left):
            left -= len(line) + 2
            name, colon, value = line.partition(b":")
            name = name.lower()
            if not colon or not name or name != name.strip() or name in found:
                raise self._broken("a field of a part is none, or is there twice")
            found[name] = value.strip(b" \t")
        kind, semicolon, rest = found.get(b"content-disposition", b"").partition(b";")
        if kind.strip().lower() != b"form-data":
            raise self._broken("a part has no Content-Disposition: form-data")
        if found.get(b"content-transfer-encoding", b"").lower() not in _BINARY:
            raise self._broken("a part is encoded; only bytes as they are can be read")
        given = _parameters(semicolon + rest)
        if "name" not in given or ("filename*" in given and "filename" not in given):
            raise self._broken("a part has no name, or one in a form that RFC 7578 forbids")
        filename = given.get("filename")
        return Part(
            _text(given["name"]),
            None if filename is None else _text(filename),
            found.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1"),
        )

    def _broken(self, what: str) -> BadRequest:
        return BadRequest(f"not a sound form: {what}", where=f"byte {max(0, self._at)}")


def _parameters(text: bytes) -> dict[str, bytes]:
    """Parameters of a field, each with its `;`. Raises BadRequest for what is none, or there twice."""
    found: dict[str, bytes] = {}
    at = 0
    while text[at:].strip(b" \t;"):
        match = _PARAMETER.match(text, at)
        name = "" if match is None else match[1].decode().lower()
        if match is None or name in found:
            raise BadRequest("a parameter is none, or is given twice", where=repr(text[at : at + 60]))
        found[name] = match[2] if match[2] is not None else match[3]
        at = match.end()
    return found


def _text(raw: bytes) -> str:
    """A name as it was meant: `"` and line ends escaped as browsers do it, or quoted as MIME does."""
    plain = _ESCAPED.sub(lambda match: _MEANT[match[0].upper()], raw)
    return plain.decode("utf-8", "surrogateescape")
