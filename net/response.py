"""Response heads: status line, Date, Server, framing, and the error answers of the contract.

Pure. Called by `net.connection` and `net.serving`.
"""

import json
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from net.answer import Answer
from runtime.errors import EdgeError, Kind

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
# RFC 9110: these statuses never carry content, whatever the handler gave.
_BARE: Final = frozenset((204, 304))


class Framing(Enum):
    """How the end of a response body is told (RFC 9112 §6.3)."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()


class Opening:
    """The first lines of every response (status line, Date, Server), made once a second."""

    def __init__(self, now_s: float) -> None:
        self._second = -1
        self._common = b""
        self._lines: dict[int, bytes] = {}
        self.ok = b""
        self.refresh(now_s)

    def refresh(self, now_s: float) -> None:
        """Move Date to `now_s`, seconds since the epoch; costs nothing within the same second."""
        if int(now_s) != self._second:
            self._second = int(now_s)
            date = formatdate(self._second, usegmt=True)
            self._common = f"\r\nDate: {date}\r\nServer: fleek-edge\r\n".encode()
            self._lines.clear()
            self.ok = self.lines(200)

    def lines(self, status: int) -> bytes:
        """Status line, Date and Server of `status`, each ending in CRLF."""
        lines = self._lines.get(status)
        if lines is None:
            lines = f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}".encode() + self._common
            self._lines[status] = lines
        return lines


def framing(answer: Answer, *, http_1_1: bool, is_head: bool) -> Framing:
    """How `answer` is framed; the same for HEAD as for GET, save that nothing follows the head."""
    if answer.status in _BARE:
        return Framing.NONE
    if answer.body is None and answer.length and not is_head:
        raise ValueError("an answer with a length has a body, or it answers a HEAD")
    if answer.body is None or isinstance(answer.body, bytes) or answer.length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if http_1_1 else Framing.CLOSE


def length_of(answer: Answer) -> int:
    """Content-Length of an answer framed by LENGTH."""
    if not isinstance(answer.body, bytes):
        return answer.length or 0
    if answer.length is not None and answer.length != len(answer.body):
        raise ValueError(f"an answer of {len(answer.body)} bytes says it has {answer.length}")
    return len(answer.body)


def head(answer: Answer, opening: bytes, how: Framing, *, http_1_1: bool, keep_alive: bool) -> bytes:
    """The whole response head, the empty line included."""
    block = answer.head if answer.head is not None else _field_lines(answer.fields)
    end = b"\r\n"
    if how is Framing.LENGTH:
        end = b"Content-Length: %d\r\n\r\n" % length_of(answer)
    elif how is Framing.CHUNKED:
        end = b"Transfer-Encoding: chunked\r\n\r\n"
    if not keep_alive:
        end = b"Connection: close\r\n" + end
    elif not http_1_1:
        end = b"Connection: keep-alive\r\n" + end
    return opening + block + end


_OURS: Final = frozenset(("date", "server", "connection", "content-length", "transfer-encoding"))


def _field_lines(fields: list[tuple[str, str]]) -> bytes:
    block = "".join([f"{name}: {value}\r\n" for name, value in fields])
    if block.count("\n") != len(fields) or block.count("\r") != len(fields) or "\0" in block:
        raise ValueError("an answer's field holds CR, LF or NUL")
    if any(name.lower() in _OURS for name, _ in fields):
        raise ValueError("an answer sets a field that the server sets itself")
    return block.encode("latin-1")


def error_answer(error: EdgeError, *, retry_after_s: int, status: int | None = None) -> Answer:
    """`error` as the JSON answer of the contract; `status` overrides that of its kind."""
    status = status or getattr(error, "status", None) or error.outcome.http_status
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if error.kind is Kind.UNAUTHENTICATED:
        fields.append(("WWW-Authenticate", 'Bearer realm="fleek-edge"'))
    if status in (429, 503):
        fields.append(("Retry-After", str(retry_after_s)))
    body = json.dumps(error.as_json(), ensure_ascii=True).encode() + b"\n"
    return Answer(status, fields, body, kind="error")
