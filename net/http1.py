"""Request heads of HTTP/1.1 read strictly (RFC 9112): bytes in, a `Request` or a refusal out.

Pure: no socket, no clock. Bodies are `net.bodies`; what a target means is the service's matter.
Where RFC 9112 lets a server be lenient it is strict instead, because each leniency is a place
where a proxy before us may read the same bytes as another request.

Invariants
 1. No bare LF, no bare CR, no NUL or other control, no obs-fold, no space around a field name.
 2. Never both a Content-Length and a Transfer-Encoding; never two Content-Length lines.
 3. What is accepted, h11 accepts with the same meaning (tests/net/test_http1_against_h11.py).
 4. A head over the limits is refused before more of it is read.

The header block of one client hardly changes from request to request: everything behind the
target (`tail`: version and fields) is memoised, so a known block costs one dict look-up.

Called by `net.connection`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from net.fields import Fields
from net.limits import HttpLimits
from net.refusal import Refused

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TARGET: Final = re.compile(rb"[!\"$-~]+")  # visible ASCII without the fragment sign
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
# field-line = field-name ":" OWS field-value OWS; value: VCHAR, obs-text, SP, HTAB (RFC 9110 §5.5)
_FIELD: Final = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*)")
# uri-host [ ":" port ] without userinfo; the comma of sub-delims would hide two joined Host lines
_REG_NAME: Final = r"[A-Za-z0-9\-._~%!$&'()*+;=]*"
_AUTHORITY: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|" + _REG_NAME + r")(?::[0-9]{0,5})?")
_ABSOLUTE: Final = re.compile(r"(?i:https?)://([^/?]+)(/[^?]*)?(\?.*)?")
# An LF without its CR, a CR without its LF (one at the very end may still get it), a NUL.
_BROKEN_LINE: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\x00")
_LENGTH: Final = re.compile(r"[0-9]{1,19}")

_END: Final = b"\r\n\r\n"
# What makes an answer depend on more than the target, or is a secret not to be kept in a memo.
_PERSONAL: Final = frozenset(
    (
        *("authorization", "proxy-authorization", "cookie"),
        *("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
        *("content-length", "transfer-encoding", "expect"),
        *("cache-control", "service-worker", "x-forwarded-host", "x-forwarded-proto"),
    )
)
# A generation of the memo holds this many blocks of at most that size: 2 x 512 x 1 KiB = 1 MiB.
_MEMO_TAILS: Final = 512
_MEMO_TAIL_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request head. `path` and `query` are raw (percent-encoded); `query` lacks its "?".

    `plain`: the answer to a GET may depend on target and Host only (see `Tail`). `peer`: address of the
    client, "" where the connection has none; `secure`: it came over TLS. CONNECT has no path.
    """

    method: str
    target: str
    path: str
    query: str
    version: tuple[int, int]
    fields: Fields
    keep_alive: bool
    content_length: int | None
    chunked: bool
    expect_continue: bool
    plain: bool = False
    peer: str = ""
    secure: bool = False

    @property
    def host(self) -> str:
        """Whom the request is for, in lower case with its port: absolute-form's authority, else Host."""
        return (self.fields.get("host") or "").lower()

    @property
    def has_body(self) -> bool:
        """Whether body bytes follow the head."""
        return self.chunked or bool(self.content_length)


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands behind the target of a request line: version and fields, with their meaning.

    `plain`: HTTP/1.1, kept alive, no body, no range, condition or credential, any type accepted;
    with such a tail the answer to a GET depends on target and host only.
    """

    version: tuple[int, int]
    fields: Fields
    keep_alive: bool
    content_length: int | None
    chunked: bool
    expect_continue: bool
    plain: bool


class HeadReader:
    """Reads heads for all connections of a process; holds the limits and the memo."""

    def __init__(
        self, limits: HttpLimits, shares: Callable[[str, str], bool] = lambda _host, _accept: True
    ) -> None:
        """`shares(host, accept)`: whether hits of such requests may be memoised by target (`net.app.App`)."""
        self._limits = limits
        self._shares = shares
        # Two generations stand in for an LRU list: `plain` is asked on the hot path and must
        # stay a bare dict; when it is full it becomes the old one.
        self.plain: dict[bytes, Tail] = {}
        self._old: dict[bytes, Tail] = {}

    def take(self, data: bytes, scanned: int = 0) -> tuple[Request, int] | None:
        """The request head at the start of `data` and its length in bytes, or None when incomplete.

        `scanned`: how many bytes an earlier call, on the same head, has already seen. Raises
        `Refused` (400, 413, 414, 417, 431, 501, 505). One empty line before the request line is
        ignored (RFC 9112 §2.2).
        """
        start = 2 if data.startswith(b"\r\n") else 0
        end = data.find(_END, max(start, scanned - 3))
        if end < 0:
            self._check_partial(data, start, scanned)
            return None
        first = data.find(b" ", start)
        second = data.find(b" ", first + 1)
        self._check_size(data, start, end + 4)
        if first < 0 or second < 0 or second > end:
            raise _bad_line(data[start:end])
        tail_bytes = data[second + 1 : end + 4]
        tail = self.plain.get(tail_bytes) or self._tail(tail_bytes)
        return _request(data[start:first], data[first + 1 : second], tail), end + 4

    def _check_partial(self, data: bytes, start: int, scanned: int) -> None:
        """Refuse an incomplete head that no further byte could mend."""
        if _BROKEN_LINE.search(data, max(0, scanned - 1)):
            raise Refused(400, "a line of the request head does not end in CRLF, or holds a NUL byte")
        self._check_size(data, start, len(data))

    def _check_size(self, data: bytes, start: int, stop: int) -> None:
        limits = self._limits
        line_end = data.find(b"\r\n", start, start + limits.request_line_bytes + 2)
        cr = data.endswith(b"\r", start, stop)  # of a line whose LF may be under way
        if line_end < 0 and stop - start > limits.request_line_bytes + cr:
            raise Refused(414, f"the request line is longer than {limits.request_line_bytes} bytes")
        if stop - start > limits.header_bytes:
            raise Refused(431, f"the request head is longer than {limits.header_bytes} bytes")

    def _tail(self, data: bytes) -> Tail:
        tail = self._old.get(data)
        if tail is None:
            tail = parse_tail(data, self._limits)
        if tail.plain:
            host, accept = tail.fields.get("host") or "", tail.fields.get("accept") or "*/*"
            if not self._shares(host.lower(), accept):
                return replace(tail, plain=False)
        if tail.plain and len(data) <= _MEMO_TAIL_BYTES:
            if len(self.plain) >= _MEMO_TAILS:
                self._old, self.plain = self.plain, {}
            self.plain[data] = tail
        return tail


def parse_tail(data: bytes, limits: HttpLimits) -> Tail:
    """The meaning of `data`, which runs from the version to the empty line."""
    line, _, block = data.partition(b"\r\n")
    if line != b"HTTP/1.1" and line != b"HTTP/1.0":
        if _VERSION.fullmatch(line):
            raise Refused(505, "only HTTP/1.1 and HTTP/1.0 are spoken here", where=_shown(line))
        raise Refused(400, "the request line does not end in an HTTP version", where=_shown(line))
    version = (1, 1) if line.endswith(b"1") else (1, 0)
    fields = parse_fields(block[:-4], limits.header_count)
    _check_host(fields, version)
    length, chunked = _framing(fields, version, limits.body_bytes)
    options = _elements(fields.get("connection"))
    keep_alive = "close" not in options and (version == (1, 1) or "keep-alive" in options)
    plain = (
        version == (1, 1)
        and keep_alive
        and not any(name in _PERSONAL for name, _ in fields)
        and "*/*" in (fields.get("accept") or "*/*")
    )
    return Tail(version, fields, keep_alive, length, chunked, _expects_continue(fields, version), plain)


def parse_fields(block: bytes, count_max: int) -> Fields:
    """The field lines of `block` (lines joined by CRLF, no CRLF at its end)."""
    if not block:
        return Fields(())
    lines = block.split(b"\r\n", count_max)
    if len(lines) > count_max:
        raise Refused(431, f"more than {count_max} field lines")
    return Fields(map(_field, lines))


def _field(line: bytes) -> tuple[str, str]:
    found = _FIELD.fullmatch(line)
    if found is None:
        folded = line[:1] in (b" ", b"\t")
        why = "a field line is folded (obs-fold)" if folded else "a field line is malformed"
        # The line may hold a credential: only what stands before its first separator is shown.
        raise Refused(400, why, where=_shown(re.split(rb"[: \t]", line.lstrip(), maxsplit=1)[0]))
    return found[1].decode("ascii").lower(), found[2].rstrip(b" \t").decode("latin-1")


def _request(method: bytes, target: bytes, tail: Tail) -> Request:
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise _bad_line(method + b" " + target)
    text = target.decode("ascii")
    fields = tail.fields
    if method == b"CONNECT":
        host, _, port = text.rpartition(":")  # both, says RFC 9112 §3.2.3
        if not host or not port.isdigit() or not _AUTHORITY.fullmatch(text):
            raise Refused(400, "the target of CONNECT is not host:port", where=text[:200])
        path, query, fields = "", "", _with_host(text, fields)
    elif text.startswith("/"):
        path, _, query = text.partition("?")
    elif text == "*" and method == b"OPTIONS":
        path, query = text, ""
    else:
        path, query, fields = _absolute(text, fields)
    return Request(
        method.decode("ascii"),
        text,
        path,
        query,
        tail.version,
        fields,
        tail.keep_alive,
        tail.content_length,
        tail.chunked,
        tail.expect_continue,
        tail.plain,
    )


def _absolute(target: str, fields: Fields) -> tuple[str, str, Fields]:
    """Path, query and fields of absolute-form; its authority replaces Host (RFC 9112 §3.2.2)."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or not _AUTHORITY.fullmatch(found[1]):
        raise Refused(400, "the request target is neither a path nor an http(s) URL", where=target[:200])
    return found[2] or "/", (found[3] or "?")[1:], _with_host(found[1], fields)


def _with_host(authority: str, fields: Fields) -> Fields:
    return Fields([("host", authority), *((name, value) for name, value in fields if name != "host")])


def _check_host(fields: Fields, version: tuple[int, int]) -> None:
    """RFC 9112 §3.2: exactly one valid Host in 1.1, at most one in 1.0."""
    hosts = fields.all("host")
    if len(hosts) > 1 or (not hosts and version == (1, 1)):
        raise Refused(400, f"a request has exactly one Host field, this one has {len(hosts)}")
    if hosts and not _AUTHORITY.fullmatch(hosts[0]):
        raise Refused(400, "the Host field is not a host name with an optional port", where=hosts[0][:200])


def _framing(fields: Fields, version: tuple[int, int], body_bytes: int) -> tuple[int | None, bool]:
    """Content-Length and whether the body is chunked (RFC 9112 §6.3)."""
    lengths = fields.all("content-length")
    coding = fields.get("transfer-encoding")
    if coding is not None:
        if lengths:
            raise Refused(400, "a request has either a Content-Length or a Transfer-Encoding, not both")
        if version == (1, 0):
            raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")
        _check_coding(coding)
        return None, True
    if not lengths:
        return None, False
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise Refused(400, "Content-Length is not one decimal number", where=", ".join(lengths)[:200])
    length = int(lengths[0])
    if length > body_bytes:
        raise Refused(413, f"the body is longer than {body_bytes} bytes", where=lengths[0])
    return length, False


def _check_coding(coding: str) -> None:
    codings = [part.strip(" \t").lower() for part in coding.split(",")]
    if codings == ["chunked"]:
        return
    if codings[-1] != "chunked" or codings.count("chunked") > 1 or "" in codings:
        raise Refused(400, "chunked is not the last transfer coding: the body has no end", where=coding[:200])
    raise Refused(501, "no transfer coding but chunked is understood", where=coding[:200])


def _expects_continue(fields: Fields, version: tuple[int, int]) -> bool:
    expect = fields.get("expect")
    if expect is None or version == (1, 0):  # RFC 9110 §10.1.1: ignored from a 1.0 client
        return False
    if expect.lower() != "100-continue":
        raise Refused(417, "no expectation but 100-continue is understood", where=expect[:200])
    return True


def _elements(value: str | None) -> frozenset[str]:
    return frozenset(part.strip(" \t").lower() for part in value.split(",")) if value else frozenset()


def _bad_line(line: bytes) -> Refused:
    shown = _shown(line.split(b"\r\n", 1)[0])
    return Refused(400, "the request line is not `method target HTTP/1.1`", where=shown)


def _shown(text: bytes) -> str:
    """At most 200 characters of `text` from outside, safe to print."""
    return text[:200].decode("ascii", "backslashreplace").encode("unicode_escape").decode("ascii")
