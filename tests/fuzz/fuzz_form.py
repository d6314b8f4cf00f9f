"""Fuzz target `form`: multipart/form-data bodies, and the Content-Type that says how they are parted.

The first byte says how many bytes a read gives, the line behind it is the Content-Type. Invariants
 1. Only BadRequest is raised.
 2. However slowly it comes, the same parts come out, or the same refusal behind the same parts.
 3. What comes out was in the body, in order; no part holds a delimiter.
"""

import io

from pinning.form_parts import FormReader, Part, boundary_of
from runtime.errors import BadRequest

TARGET = "form"

Read = tuple[list[tuple[Part, bytes]], str]


class Slow(io.BytesIO):
    """A body that gives at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._step if size is None or size < 0 else min(size, self._step)
        return super().read(wanted)


def read(data: bytes, boundary: bytes, step: int) -> Read:
    """(parts with their data, how it was refused)."""
    found: list[tuple[Part, bytes]] = []
    try:
        reader = FormReader(Slow(data, step), boundary)
        while (part := reader.next()) is not None:
            content = b""
            while piece := reader.read():
                content += piece
            found.append((part, content))
    except BadRequest as error:
        assert error.message
        return found, error.message
    return found, ""


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    step, (line, _, body) = data[0] + 1, data[1:].partition(b"\n")
    try:
        boundary = boundary_of(line.decode("latin-1"))
    except BadRequest:
        return
    parts, refused = read(body, boundary, 1 << 20)
    assert read(body, boundary, step) == (parts, refused), "read slowly, it means something else"
    at = 0
    for _, content in parts:
        assert b"\r\n--" + boundary not in content, "a part goes on behind its delimiter"
        at = body.find(content, at)
        assert at >= 0, "what came out was not in the body"
        at += len(content)


_TYPE = b"multipart/form-data; boundary=XX\n"
_FILE = b'Content-Disposition: form-data; name="file"; filename="%b"\r\n'


def _form(*members: tuple[bytes, bytes, bytes]) -> bytes:
    parts = (b"--XX\r\n" + _FILE % name + more + b"\r\n" + data + b"\r\n" for name, more, data in members)
    return b"\x03" + _TYPE + b"".join(parts) + b"--XX--\r\n"


SEEDS = [
    _form((b"a", b"", b"hello")),
    _form((b"d/a%22", b"Content-Type: text/plain\r\n", b"\r\n--X"), (b"d/b", b"", b"")),
    _form((b"d", b"Content-Type: application/x-directory\r\n", b"")),
    _form((b"../out", b"Content-Transfer-Encoding: base64\r\n", b"x")),
    b"\x00" + _TYPE + b'before\r\n--XX \r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n--XX--after',
    b'\x40multipart/form-data; boundary="a b"\n'
    b"--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n--a b--",
    b"\x10text/plain; boundary=XX\n--XX--",
]
