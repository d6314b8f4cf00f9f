"""The blocking HTTP client of the command line: one request, its answer as a stream of bytes.

Not a library for services (they have their own guarded client): one connection a request, no
cookies, no proxies, no cache. The machine is h11; what it means that a server misbehaves is
decided here. Called by `tools`.

Invariants
 1. A body that ends before its framing says so raises; a truncated answer is never whole.
 2. TLS certificates and host names are always verified.
 3. Nothing is read ahead of the caller by more than one piece.
"""

import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final
from urllib.parse import urljoin, urlsplit

import h11

from net.fields import Fields
from net.guard import Guard
from runtime.errors import SourceTimeout, Unreachable, UsageError

# A piece is what one read gives; larger reads save calls on large bodies.
_READ_BYTES: Final = 262144
_HEAD_BYTES: Final = 65536  # more than any sane head; h11's own default is 16 KiB
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
AGENT: Final = ("User-Agent", "fleek-edge")


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How long to wait for another server."""

    # A SYN is repeated after 1, 3 and 7 s: three tries.
    connect_s: float = 10.0
    # Between two reads; a server may have to fetch what we asked for.
    idle_s: float = 60.0
    # Times a redirect is followed; 0 hands the redirect to the caller.
    redirects: int = 0


class Reply:
    """A server's answer, its body not read yet. A context manager; leaving it closes the connection."""

    def __init__(self, wire: "Wire", url: str, status: int, fields: Fields) -> None:
        self._wire = wire
        self.url = url
        self.status = status
        self.fields = fields

    @property
    def content_length(self) -> int | None:
        """What the server says the body has, in bytes; None when it does not say."""
        length = self.fields.get("content-length")
        return int(length) if length is not None and length.isascii() and length.isdigit() else None

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, in pieces of at most 256 KiB.

        Raises `Unreachable` when the server breaks off, `SourceTimeout` when it stalls.
        """
        while True:
            event = self._wire.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    def __enter__(self) -> "Reply":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, whether or not the body was read."""
        self._wire.close()


def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    limits: ClientLimits | None = None,
    trust: ssl.SSLContext | None = None,
    guard: Guard | None = None,
) -> Reply:
    """Ask for `url` (http or https) and return the answer as soon as its head is here.

    `headers` besides Host, User-Agent, Connection and Content-Length; an Authorization field is
    dropped when a redirect leaves the origin. `trust` replaces the system's certificate store. `guard` judges
    every address before it is dialled: for URLs that no person typed.
    Raises `UsageError` (not such a URL), `Forbidden` (the guard), `Unreachable`, `SourceTimeout`.
    """
    limits = limits or ClientLimits()
    for left in range(limits.redirects, -1, -1):
        reply = _ask(url, method, headers, body, limits, Peer(trust, guard))
        target = reply.fields.get("location")
        if reply.status not in _REDIRECTS or target is None or limits.redirects == 0:
            return reply
        reply.close()
        if not left:
            break
        following = urljoin(url, target)
        if _origin(following) != _origin(url):
            headers = [pair for pair in headers if pair[0].lower() not in ("authorization", "cookie")]
        if reply.status == 303 and method != "HEAD":
            method, body = "GET", b""
        url = following
    raise Unreachable(f"more than {limits.redirects} redirects", where=url)


def _ask(
    url: str,
    method: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    limits: ClientLimits,
    peer: "Peer",
) -> Reply:
    scheme, host, port, target, host_field = url_parts(url)
    wire = Wire(connect(url, host, port, limits, peer, scheme), url, limits)
    fields = [("Host", host_field), AGENT, *headers, ("Connection", "close")]
    if body or method in ("PUT", "POST"):
        fields.append(("Content-Length", str(len(body))))
    try:
        wire.send(h11.Request(method=method, target=target, headers=fields))
        if body:
            wire.send(h11.Data(data=body))
        wire.send(h11.EndOfMessage())
        event = wire.answer()
    except h11.LocalProtocolError as error:
        wire.close()
        raise UsageError(f"this cannot be asked for: {error}", where=url) from error
    except BaseException:
        wire.close()
        raise
    return reply_of(wire, url, event)


def reply_of(wire: "Wire", url: str, head: h11.Response) -> Reply:
    """The answer that begins with `head`, its body still on the wire."""
    lines = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    return Reply(wire, url, head.status_code, Fields(lines))


def url_parts(url: str) -> tuple[str, str, int, str, str]:
    """Scheme, host, port, request target and Host field of `url`. Raises UsageError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not a URL: {error}", where=url) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("not an http or https URL", where=url)
    if parts.username is not None or parts.password is not None:
        raise UsageError("a URL with a user name is not used; give a token instead", where=parts.hostname)
    host_field = parts.netloc
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), target, host_field


def _origin(url: str) -> tuple[str, str, int]:
    scheme, host, port, _, _ = url_parts(url)
    return scheme, host, port


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to believe, and whom to dial."""

    trust: ssl.SSLContext | None
    guard: Guard | None

    def address(self, host: str, port: int) -> str:
        """What to dial for `host`: with a guard an address that it has judged. Raises Forbidden, OSError."""
        if host.endswith(".localhost"):
            host = "localhost"  # RFC 6761 §6.3: this machine, whether or not its resolver knows
        if self.guard is None:
            return host
        found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for each in found:
            self.guard.check(each)  # one that is refused ends the request: no honest name mixes them
        return found[0]


def connect(url: str, host: str, port: int, limits: ClientLimits, peer: Peer, scheme: str) -> socket.socket:
    """A connection, under TLS for https, verified. Raises Unreachable, SourceTimeout, Forbidden."""
    try:
        sock = socket.create_connection((peer.address(host, port), port), limits.connect_s)
    except TimeoutError as error:
        raise SourceTimeout(f"no connection within {limits.connect_s:g} s", where=url) from error
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise Unreachable(f"no connection: {why or error}", where=url) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if scheme == "http":
        return sock
    context = peer.trust or ssl.create_default_context()
    try:
        # A TLS stream that ends without close_notify is an error, not the end of a body.
        return context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise Unreachable(f"its certificate is not trusted: {error.verify_message}", where=url) from error
    except TimeoutError as error:
        sock.close()
        raise SourceTimeout(f"no TLS handshake within {limits.connect_s:g} s", where=url) from error
    except OSError as error:
        sock.close()
        raise Unreachable(f"the TLS handshake failed: {error.strerror or error}", where=url) from error


class Wire:
    """A socket under h11, its errors translated."""

    def __init__(self, sock: socket.socket, url: str, limits: ClientLimits) -> None:
        self._sock, self._url, self._idle_s = sock, url, limits.idle_s
        sock.settimeout(limits.idle_s)
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)

    def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bool:
        """Send; False when the server takes no more. Raises SourceTimeout."""
        data = self._machine.send(event)
        try:
            self._sock.sendall(data or b"")
        except TimeoutError as error:
            raise self._stalled() from error
        except OSError:
            return False  # it may have answered early (413) and closed: the answer is worth reading
        return True

    def answer(self) -> h11.Response:
        """The head of the final answer. Raises Unreachable, SourceTimeout."""
        event = self.next_event()
        while not isinstance(event, h11.Response):
            event = self.next_event()
        return event

    def is_answered(self) -> bool:
        """Whether the server says something while it is still being sent to; does not wait."""
        if not select.select([self._sock], [], [], 0)[0]:
            return False
        self._sock.settimeout(0)
        try:
            self._machine.receive_data(self._sock.recv(_READ_BYTES))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False  # a record of TLS itself
        except (OSError, h11.RemoteProtocolError):
            return True  # it broke off: told by whoever reads the answer
        finally:
            self._sock.settimeout(self._idle_s)
        return True

    def renew(self) -> bool:
        """Make ready for the next request; False when this connection is of no more use."""
        try:
            self._machine.start_next_cycle()
            # Between requests a server has nothing to say: what is readable is its farewell
            return not select.select([self._sock], [], [], 0)[0]
        except (h11.LocalProtocolError, OSError, ValueError):
            return False

    def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """What comes next. Raises Unreachable, SourceTimeout."""
        deadline = time.monotonic() + self._idle_s
        while True:
            try:
                event = self._machine.next_event()
            except h11.RemoteProtocolError as error:
                why = f"the server broke off or does not speak HTTP: {error}"
                raise Unreachable(why, where=self._url) from error
            if isinstance(event, h11.ConnectionClosed):
                raise Unreachable("the server closed the connection without an answer", where=self._url)
            if not isinstance(event, type) or event is h11.PAUSED:
                return event
            if time.monotonic() > deadline:
                raise self._stalled()  # bytes that trickle and never become an event
            self._machine.receive_data(self._receive())

    def close(self) -> None:
        """End the connection."""
        self._sock.close()

    def _receive(self) -> bytes:
        try:
            return self._sock.recv(_READ_BYTES)
        except TimeoutError as error:
            raise self._stalled() from error
        except ssl.SSLEOFError as error:
            raise Unreachable("the server broke off without closing TLS", where=self._url) from error
        except OSError as error:
            raise Unreachable(f"the server broke off: {error.strerror or error}", where=self._url) from error

    def _stalled(self) -> SourceTimeout:
        return SourceTimeout(f"the server sent nothing for {self._idle_s:g} s", where=self._url)
