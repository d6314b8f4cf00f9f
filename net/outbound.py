"""The HTTP client of services: guarded, bounded, asynchronous. The machine is h11.

One request a connection, unless the caller verifies what it gets and says so (`reuse`): what a server sends
too much can then never be believed as part of another answer. Names are resolved here, every address is
judged by the guard, and the connection goes to the judged address; the same for each redirect.

Invariants
 1. A body that ends before its framing says so raises; one above `max_bytes` raises.
 2. TLS certificates and host names are always verified.
 3. Every request ends by its deadline, head and body, whatever the other side does.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

import h11

from net.fields import Fields
from net.guard import Guard, checked_url
from net.wire_out import READ_BYTES, IdleWires, Key, WireOut, fault_words
from runtime.errors import EdgeError, Forbidden, SourceTimeout, TooLarge, Unreachable

log = logging.getLogger("fleek.net")

_ADDRESSES_MAX: Final = 8  # tried of one name
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_AGENT: Final = ("User-Agent", "fleek-edge")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a host name, as texts. Raises Unreachable."""


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """How long to wait, in seconds, and how far to follow."""

    connect_s: float = 5.0
    idle_s: float = 20.0  # between two reads
    redirects: int = 3


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request, whatever URL it ends up at. `deadline_s` is of the loop's clock."""

    method: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    max_bytes: int
    deadline_s: float
    reuse: bool


class OutboundReply:
    """An answer whose body is still to be read; close it, or use it as a context manager."""

    def __init__(
        self, wire: WireOut, idle: IdleWires | None, url: str, status: int, fields: Fields, max_bytes: int
    ) -> None:
        self._wire, self._idle, self._left = wire, idle, max_bytes
        self._complete = self._closed = False
        self.url, self.status, self.fields = url, status, fields

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Unreachable, SourceTimeout, TooLarge."""
        while not self._complete:
            event = await self._wire.event()
            if isinstance(event, h11.Data):
                self._left -= len(event.data)
                if self._left < 0:
                    raise TooLarge("the answer is longer than is taken", where=self.url)
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._complete = True

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    def close(self) -> None:
        """Be done: the connection ends, or waits for another request if this answer was read whole."""
        if self._closed:
            return
        self._closed = True
        if self._complete and self._idle is not None:
            self._idle.give(self._wire)
        else:
            self._wire.close()

    async def __aenter__(self) -> "OutboundReply":
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.close()


class Outbound:
    """Requests to other nodes and servers. Belongs to one event loop."""

    def __init__(
        self,
        guard: Guard,
        limits: OutboundLimits | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """`tls`: None for the machine's own certificate authorities; `resolve`: None for its resolver."""
        self._guard = guard
        self._limits = limits or OutboundLimits()
        self._tls = tls or ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._resolve = resolve or _resolved
        self._idle = IdleWires()

    def close(self) -> None:
        """End the connections that wait; requests under way are their callers'."""
        self._idle.close()

    async def get(
        self, url: str, *, accept: str = "*/*", max_bytes: int, deadline_s: float, reuse: bool = False
    ) -> OutboundReply:
        """GET `url`, redirects followed; all of it, body included, within `deadline_s`.

        `reuse`: take and leave a connection that carries several requests; only for who verifies bodies.
        Raises Forbidden (the guard), Unreachable, SourceTimeout. The status is the caller's to judge.
        """
        ask = _Ask("GET", (("Accept", accept),), b"", max_bytes, _from_now(deadline_s), reuse)
        for turn in range(self._limits.redirects + 1):
            reply = await self._once(url, ask, is_redirect=turn > 0)
            if reply.status not in _REDIRECTS:
                return reply
            reply.close()
            location = reply.fields.get("location")
            if location is None:
                raise Unreachable("a redirect that does not say where to", where=url)
            url = urljoin(url, location)
        raise Unreachable(f"too many redirects: more than {self._limits.redirects}", where=url)

    async def put(
        self, url: str, body: bytes, *, content_type: str, max_bytes: int, deadline_s: float
    ) -> OutboundReply:
        """PUT `body`, which is sent to no other place than `url`: a redirect is an answer like any other.

        Raises as `get` does.
        """
        fields = (("Content-Type", content_type), ("Content-Length", str(len(body))))
        return await self._once(url, _Ask("PUT", fields, body, max_bytes, _from_now(deadline_s), False))

    async def _once(self, url: str, ask: _Ask, *, is_redirect: bool = False) -> OutboundReply:
        try:
            async with asyncio.timeout_at(ask.deadline_s):
                if ask.reuse:
                    wire = await self._idle.take(_key(url))
                    if wire is not None:
                        try:
                            return await self._exchange(wire, url, ask)
                        except Unreachable:
                            pass  # it was closed while it waited: once more, on a new one
                return await self._exchange(await self._connect(_key(url), is_redirect), url, ask)
        except TimeoutError:
            raise SourceTimeout("no answer in the time there was", where=url) from None

    async def _exchange(self, wire: WireOut, url: str, ask: _Ask) -> OutboundReply:
        parts = checked_url(url)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            fields = [("Host", parts.netloc), _AGENT, ("Accept-Encoding", "identity"), *ask.fields]
            if not ask.reuse:
                fields.append(("Connection", "close"))
            request = h11.Request(method=ask.method, target=target, headers=fields)
            await wire.send(request, ask.body, url, ask.deadline_s)
            while not isinstance(event := await wire.event(), h11.Response):
                if not isinstance(event, h11.InformationalResponse):
                    raise Unreachable("the answer has no head", where=url)
        except BaseException:
            wire.close()
            raise
        lines = Fields((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
        idle = self._idle if ask.reuse else None
        reply = OutboundReply(wire, idle, url, event.status_code, lines, ask.max_bytes)
        if (lines.get("content-encoding") or "identity").lower() != "identity":
            reply.close()
            raise Unreachable("the answer is compressed, which was not asked for", where=url)
        return reply

    async def _connect(self, key: Key, is_redirect: bool) -> WireOut:
        """A connection to the first address of the host that may be dialled and answers."""
        scheme, host, port = key
        secure = scheme == "https"
        problem: EdgeError | None = None
        addresses = list(dict.fromkeys(await self._resolve(host, port)))[:_ADDRESSES_MAX]
        for address in addresses:
            # One that is refused ends the request: no honest name mixes them
            self._check(host, address, is_redirect)
        for address in addresses:
            try:
                async with asyncio.timeout(self._limits.connect_s):
                    reader, writer = await asyncio.open_connection(
                        address,
                        port,
                        ssl=self._tls if secure else None,
                        server_hostname=host if secure else None,
                        limit=READ_BYTES,
                    )
                    return WireOut(reader, writer, key, self._limits.idle_s)
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(f"its certificate is refused: {_why(error)}", where=host) from None
            except (OSError, TimeoutError) as error:
                problem = Unreachable(f"cannot connect: {fault_words(error)}", where=f"{host}:{port}")
        raise problem or Unreachable("the name has no address", where=host)

    def _check(self, host: str, address: str, is_redirect: bool) -> None:
        """Raise Forbidden unless `address` of `host` may be dialled.

        The address is for the log: who may have named a host is not told where it is.
        """
        try:
            self._guard.check(address)
        except Forbidden as error:
            log.info("%s: %s", host, error.message)
            leads = "it redirects to a host that is not" if is_redirect else "its host is not"
            problem = f"{leads} at a public address: that is not dialled"
            raise Forbidden(problem, where=host, hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class Outbounds:
    """`ours` for what the operator named, with the networks allowed for it; `strict` for what others did."""

    ours: Outbound
    strict: Outbound

    def close(self) -> None:
        """See `Outbound.close`."""
        self.ours.close()
        self.strict.close()


def _key(url: str) -> Key:
    parts = checked_url(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def _resolved(host: str, port: int) -> Sequence[str]:
    """What the machine's resolver says."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise Unreachable(f"its name cannot be resolved: {why}", where=host) from None
    return [str(entry[4][0]) for entry in found]


def _why(refused: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, without the name of the host that OpenSSL ends it with."""
    return refused.verify_message.partition(",")[0].lower()
