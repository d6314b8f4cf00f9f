"""Request bodies: the framing of RFC 9112 §6 and §7.1 as two small machines.

Pure. Each machine is fed what the socket gave and returns the body bytes in it and how many
bytes belonged to this request; the rest is the next one. Called by `net.incoming`.

Invariants
 1. A length is bounded before it is believed; nothing is allocated from it.
 2. The same bytes give the same body whichever way they are cut.
"""

import re
from enum import Enum, auto
from typing import Final, Protocol

from net.http1 import parse_fields
from net.refusal import Refused

# chunk-size [chunk-ext]: no white space before the ";", no control in the extension
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")


# RFC 9110 §6.5.1: a trailer that frames or routes is a second opinion on the same message.
_NOT_IN_TRAILERS: Final = frozenset(("content-length", "transfer-encoding", "host"))


class Body(Protocol):
    """One request's body on its way in."""

    complete: bool

    def receive(self, data: bytes) -> tuple[list[bytes], int]:
        """The body bytes in `data`, and how many bytes of `data` belong to this body.

        Raises `Refused` (400, 413, 431); the machine is then of no more use.
        """
        ...


class FixedBody:
    """A body of Content-Length bytes."""

    __slots__ = ("complete", "left_bytes")

    def __init__(self, length: int) -> None:
        self.left_bytes = length
        self.complete = length == 0

    def receive(self, data: bytes) -> tuple[list[bytes], int]:
        """See `Body.receive`; refuses nothing."""
        taken = data if len(data) <= self.left_bytes else data[: self.left_bytes]
        self.left_bytes -= len(taken)
        self.complete = self.left_bytes == 0
        return ([taken] if taken else []), len(taken)


class _Part(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()


class ChunkedBody:
    """A body in chunks; extensions are ignored, trailers are checked and dropped."""

    __slots__ = ("_held", "_left", "_limits", "_part", "_total", "_trailer", "complete")

    def __init__(self, *, body_bytes: int, line_bytes: int, trailer_bytes: int) -> None:
        self._limits = (body_bytes, line_bytes, trailer_bytes)
        self._part = _Part.SIZE
        self._held = b""  # the beginning of a line, bounded by line_bytes or trailer_bytes
        self._left = 0
        self._total = 0
        self._trailer = 0
        self.complete = False

    def receive(self, data: bytes) -> tuple[list[bytes], int]:
        """See `Body.receive`."""
        pieces: list[bytes] = []
        held = len(self._held)
        if held:
            data, self._held = self._held + data, b""
        at, stop = 0, len(data)
        while at < stop and not self.complete:
            if self._part is _Part.DATA:
                taken = data[at : at + self._left]
                pieces.append(taken)
                at += len(taken)
                self._left -= len(taken)
                if not self._left:
                    self._part = _Part.DATA_END
                continue
            end = self._line_end(data, at)
            if end < 0:
                self._held, at = data[at:], stop
                break
            self._line(data[at:end])
            at = end + 2
        return pieces, at - held

    def _line_end(self, data: bytes, at: int) -> int:
        """Where the line at `at` ends, or -1; refuses one that is too long or not ended by CRLF."""
        _, line_bytes, trailer_bytes = self._limits
        longest = {_Part.SIZE: line_bytes, _Part.DATA_END: 0, _Part.TRAILER: trailer_bytes - self._trailer}
        bound = longest[self._part]
        line = data[at : at + bound + 2]
        end = line.find(b"\r\n")
        head = line if end < 0 else line[:end]
        if b"\n" in head or b"\r" in head[:-1] or (end >= 0 and b"\r" in head):
            raise Refused(400, "a line of the chunked body does not end in CRLF")
        if end < 0 and (len(line) >= bound + 2 or (bound == 0 and line != b"\r")):
            self._too_long()
        return at + end if end >= 0 else -1

    def _too_long(self) -> None:
        if self._part is _Part.DATA_END:
            raise Refused(400, "a chunk is longer than its size line says")
        if self._part is _Part.TRAILER:
            raise Refused(431, f"the trailer section is longer than {self._limits[2]} bytes")
        raise Refused(400, f"a chunk-size line is longer than {self._limits[1]} bytes")

    def _line(self, line: bytes) -> None:
        """Take one line without its CRLF."""
        if self._part is _Part.DATA_END:
            self._part = _Part.SIZE
        elif self._part is _Part.SIZE:
            self._size(line)
        elif not line:
            self.complete = True
        else:
            self._trailer += len(line) + 2
            for name, _ in parse_fields(line, 1):
                if name in _NOT_IN_TRAILERS:
                    raise Refused(400, "a trailer holds a field about framing or routing", where=name)

    def _size(self, line: bytes) -> None:
        found = _CHUNK_LINE.fullmatch(line)
        if found is None:
            raise Refused(400, "a chunk-size line is not a hexadecimal number")
        self._left = int(found[1], 16)
        self._total += self._left
        if self._total > self._limits[0]:
            raise Refused(413, f"the body is longer than {self._limits[0]} bytes")
        self._part = _Part.DATA if self._left else _Part.TRAILER
