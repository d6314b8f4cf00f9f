"""Requests to one server, one after the other, over a connection that is kept: for tools that ask much.

`send` and `receive` stand apart, so that a caller does its work while the server does its own. One thread.

Invariants
 1. A request that may have reached the server is never sent twice: repeating is the caller's decision.
 2. What `net.client` promises of framing, TLS and time holds here.
"""

import ssl
from collections.abc import Iterable, Sequence
from types import TracebackType

import h11

from net.client import AGENT, ClientLimits, Peer, Reply, Wire, connect, reply_of, url_parts
from runtime.errors import TooLarge, UsageError


class Session:
    """A connection to the server of `base` (http or https), made when needed and again when lost."""

    def __init__(
        self, base: str, *, limits: ClientLimits | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        """`trust` replaces the system's certificate store. Raises UsageError: not such a URL."""
        self._scheme, self._host, self._port, _, self._host_field = url_parts(base)
        self._limits = limits or ClientLimits()
        self._trust = trust
        self._wire: Wire | None = None
        self._url = base

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def send(
        self,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        body: Iterable[bytes] = (),
        body_bytes: int = 0,
    ) -> None:
        """Send a request; `receive` is due next. `body_bytes`: what the pieces of `body` have together.

        Gives up on the body when the server takes no more of it, or has answered already.
        Raises Unreachable, SourceTimeout, UsageError.
        """
        self._url = f"{self._scheme}://{self._host_field}{target}"
        wire = self._ready()
        fields = [("Host", self._host_field), AGENT, *headers]
        if body_bytes or method in ("PUT", "POST", "PATCH"):
            fields.append(("Content-Length", str(body_bytes)))
        try:
            taken = wire.send(h11.Request(method=method, target=target, headers=fields))
            for data in body:
                # one that refuses early is not sent the rest of it
                taken = taken and not wire.is_answered() and wire.send(h11.Data(data=data))
                if not taken:
                    return
            wire.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            self.close()
            raise UsageError(f"this cannot be asked for: {error}", where=self._url) from error
        except BaseException:
            self.close()
            raise

    def receive(self) -> Reply:
        """The answer to what was sent; read its body to the end before the next `send`.

        Raises Unreachable, SourceTimeout.
        """
        assert self._wire is not None, "something was sent"
        try:
            return reply_of(self._wire, self._url, self._wire.answer())
        except BaseException:
            self.close()
            raise

    def body(self, reply: Reply, limit_bytes: int) -> bytes:
        """All of an answer's body. Raises TooLarge above `limit_bytes`, Unreachable, SourceTimeout."""
        held = bytearray()
        try:
            for data in reply.pieces():
                held += data
                if len(held) > limit_bytes:
                    raise TooLarge(f"the answer is larger than {limit_bytes} bytes", where=reply.url)
        except BaseException:
            self.close()
            raise
        return bytes(held)

    def _ready(self) -> Wire:
        if self._wire is not None and not self._wire.renew():
            self.close()
        if self._wire is None:
            peer = Peer(self._trust, None)
            sock = connect(self._url, self._host, self._port, self._limits, peer, self._scheme)
            self._wire = Wire(sock, self._url, self._limits)
        return self._wire
