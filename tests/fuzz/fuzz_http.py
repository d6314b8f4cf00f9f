"""Fuzz target `http`: the request machine, cut anywhere, and against h11.

Invariants
 1. Only `Refused` is raised, whatever the bytes.
 2. The same bytes mean the same however they are cut.
 3. What we accept, h11 accepts with the same method, target, fields, body and end.
"""

from dataclasses import dataclass

import h11

from net.bodies import Body, ChunkedBody, FixedBody
from net.http1 import HeadReader, Request
from net.limits import HttpLimits
from net.refusal import Refused

TARGET = "http"
LIMITS = HttpLimits(
    request_line_bytes=256, header_bytes=1024, header_count=12, body_bytes=1 << 40, trailer_bytes=128
)

_HOST = b"Host: a\r\n"
SEEDS: list[bytes] = [
    b"GET / HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"\r\nGET /blake3/abc?format=bao HTTP/1.1\r\n" + _HOST + b"Range: bytes=0-1\r\nAccept: */*\r\n\r\n",
    b"GET http://b:80/x?y HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"Connection: close, te\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
    b"PUT /x HTTP/1.1\r\n" + _HOST + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET",
    b"PUT /x HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\nA;q=1\r\n0123456789\r\n000\r\n\r\n",
    b"PUT /x HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET / HTTP/1.1\r\n" + _HOST + b"A: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nA : b\r\n\r\n",
    b"PUT /x HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: cxunked\r\n\r\n",  # found by fuzzing: h11 looks into trailers
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@dataclass(frozen=True)
class Message:
    """What bytes were taken to mean. `end` counts the bytes of the message, or None when unfinished."""

    request: Request
    body: bytes
    end: int | None


def read(data: bytes, cuts: tuple[int, ...] = ()) -> Message | Refused | None:
    """What our machines make of `data` when it arrives in pieces ending at `cuts` and at its end."""
    reader = HeadReader(LIMITS)
    scanned = 0
    found: tuple[Request, int] | None = None
    body: Body | None = None
    pieces: list[bytes] = []
    at = 0  # bytes of `data` that machines have consumed
    for stop in sorted({*(cut for cut in cuts if 0 < cut < len(data)), len(data)}):
        try:
            if found is None:
                found = reader.take(data[:stop], scanned)
                scanned = stop
                if found is None:
                    continue
                at = found[1]
                body = _body(found[0])
            assert body is not None
            if not body.complete:
                new, used = body.receive(data[at:stop])
                pieces += new
                at += used
        except Refused as refused:
            return refused
    if found is None or body is None:
        return None
    return Message(found[0], b"".join(pieces), at if body.complete else None)


def _body(request: Request) -> Body:
    if request.chunked:
        return ChunkedBody(body_bytes=LIMITS.body_bytes, line_bytes=64, trailer_bytes=LIMITS.trailer_bytes)
    return FixedBody(request.content_length or 0)


def check_against_h11(data: bytes, ours: Message) -> None:
    """Raise unless h11 reads the same message from `data`."""
    theirs = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
    skipped = 2 if data.startswith(b"\r\n") else 0  # the one empty line RFC 9112 §2.2 has us ignore
    theirs.receive_data(data[skipped:])
    event = theirs.next_event()
    assert isinstance(event, h11.Request), f"h11 saw {event!r}"
    request = ours.request
    assert event.method.decode() == request.method
    assert event.target.decode() == request.target
    lines = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
    if request.method == "CONNECT" or request.target.lower().startswith("http"):
        # the target's authority has replaced Host (RFC 9112 §3.2.2, §3.2.3)
        lines = [line for line in lines if line[0] != "host"]
        assert [line for line in _fields(request) if line[0] != "host"] == lines
    else:
        assert _fields(request) == lines
    assert event.http_version.decode() == "{}.{}".format(*request.version)
    body = b""
    while isinstance(event := theirs.next_event(), h11.Data):
        body += bytes(event.data)
    assert body == ours.body
    if isinstance(event, h11.EndOfMessage):
        assert ours.end == len(data) - len(theirs.trailing_data[0])
    else:
        assert ours.end is None, f"h11 waits for more: {event!r}"


def _fields(request: Request) -> list[tuple[str, str]]:
    """Our fields as h11 shows them: it puts the name of the transfer coding in lower case."""
    return [(name, value.lower() if name == "transfer-encoding" else value) for name, value in request.fields]


def one(data: bytes) -> None:
    """The invariant; raises on violation. The first byte chooses where the rest is cut."""
    if not data:
        return
    choice, data = data[0], data[1:]
    whole = read(data)
    bytewise = tuple(range(len(data))) if len(data) <= 96 and choice % 8 == 0 else ()
    cut = read(data, (*bytewise, choice, len(data) // 2, len(data) - choice % 5))
    if isinstance(whole, Refused) or isinstance(cut, Refused):
        assert isinstance(whole, Refused), f"refused only when cut: {cut!r}"
        assert isinstance(cut, Refused), f"refused only when whole: {whole!r}"
        assert 400 <= whole.status < 600
        return
    assert whole == cut or (whole is not None and cut is not None and _same(whole, cut)), (whole, cut)
    if whole is not None:
        check_against_h11(data, whole)


def _same(a: Message, b: Message) -> bool:
    keys = (
        "method",
        "target",
        "path",
        "query",
        "version",
        "keep_alive",
        "content_length",
        "chunked",
        "plain",
    )
    return (
        (a.body, a.end) == (b.body, b.end)
        and list(a.request.fields) == list(b.request.fields)
        and all(getattr(a.request, key) == getattr(b.request, key) for key in keys)
    )
