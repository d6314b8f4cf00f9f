"""The HTTP client of services: guarded, bounded, asynchronous. The machine is h11.

One request a connection: what a server sends too much then can never become part of another answer. Names
are resolved here, every address is judged by the guard, and the connection goes to the judged address; the
same for each redirect.

Invariants
 1. A body that ends before its framing says so raises; one above `max_bytes` raises.
 2. TLS certificates and host names are always verified.
 3. Every request ends by its deadline, whatever the other side does.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urljoin

import h11

from net.fields import Fields
from net.guard import Guard, checked_url
from runtime.errors import EdgeError, NotFound, SourceTimeout, TooLarge, Unreachable

_READ_BYTES: Final = 262_144
_HEAD_BYTES: Final = 65_536
_ADDRESSES_MAX: Final = 8  # tried of one name
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
Result = TypeVar("Result")
_AGENT: Final = ("User-Agent", "fleek-edge")


@dataclass(frozen=True, slots=True)
class OutboundLimits:
    """How long to wait, in seconds, and how far to follow."""

    connect_s: float = 5.0
    idle_s: float = 20.0  # between two reads
    redirects: int = 3


class OutboundReply:
    """An answer whose body is still to be read; close it, or use it as a context manager."""

    def __init__(self, wire: "_Wire", url: str, status: int, fields: Fields, max_bytes: int) -> None:
        self._wire, self._left = wire, max_bytes
        self.url, self.status, self.fields = url, status, fields

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Unreachable, SourceTimeout, TooLarge."""
        while True:
            event = await self._wire.event()
            if isinstance(event, h11.Data):
                self._left -= len(event.data)
                if self._left < 0:
                    raise TooLarge("the answer is longer than is taken", where=self.url)
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self.pieces()])

    def close(self) -> None:
        """End the connection."""
        self._wire.close()

    async def __aenter__(self) -> "OutboundReply":
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.close()


class Outbound:
    """Requests to other nodes and servers."""

    def __init__(
        self, guard: Guard, limits: OutboundLimits | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls`: None for the machine's own certificate authorities."""
        self._guard = guard
        self._limits = limits or OutboundLimits()
        self._tls = tls or ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])

    async def get(self, url: str, *, accept: str = "*/*", max_bytes: int, deadline_s: float) -> OutboundReply:
        """GET `url`, redirects followed; `deadline_s` bounds all until the answer's head.

        Raises Forbidden (the guard), Unreachable, SourceTimeout. The status is the caller's to judge.
        """
        try:
            async with asyncio.timeout(deadline_s):
                for _ in range(self._limits.redirects + 1):
                    reply = await self._once(url, accept, max_bytes)
                    if reply.status not in _REDIRECTS:
                        return reply
                    reply.close()
                    location = reply.fields.get("location")
                    if location is None:
                        raise Unreachable("a redirect that does not say where to", where=url)
                    url = urljoin(url, location)
        except TimeoutError:
            raise SourceTimeout(f"no answer within {deadline_s:g} s", where=url) from None
        raise Unreachable("too many redirects", where=url)

    async def _once(self, url: str, accept: str, max_bytes: int) -> OutboundReply:
        parts = checked_url(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        reader, writer = await self._connect(host, port, secure=secure)
        wire = _Wire(reader, writer, url, self._limits.idle_s)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            fields = [("Host", parts.netloc), _AGENT, ("Accept", accept), ("Accept-Encoding", "identity")]
            await wire.send(target, [*fields, ("Connection", "close")])
            while not isinstance(event := await wire.event(), h11.Response):
                if not isinstance(event, h11.InformationalResponse):
                    raise Unreachable("the answer has no head", where=url)
        except BaseException:
            wire.close()
            raise
        lines = Fields((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
        return OutboundReply(wire, url, event.status_code, lines, max_bytes)

    async def _connect(
        self, host: str, port: int, *, secure: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the first address of `host` that may be dialled and answers."""
        problem: EdgeError | None = None
        addresses = await self._addresses(host, port)
        for address in addresses:
            self._guard.check(address)  # one that is refused ends the request: no honest name mixes them
        for address in addresses:
            try:
                async with asyncio.timeout(self._limits.connect_s):
                    return await asyncio.open_connection(
                        address,
                        port,
                        ssl=self._tls if secure else None,
                        server_hostname=host if secure else None,
                        limit=_READ_BYTES,
                    )
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(f"its certificate is refused: {error.verify_message}", where=host) from None
            except (OSError, TimeoutError) as error:
                problem = Unreachable(f"cannot connect: {str(error) or 'timed out'}", where=f"{host}:{port}")
        raise problem or NotFound("the name has no address", where=host)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unreachable(f"the name cannot be resolved: {error}", where=host) from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_ADDRESSES_MAX]


class _Wire:
    """One connection and its h11 machine."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, idle_s: float
    ) -> None:
        self._reader, self._writer, self._url, self._idle_s = reader, writer, url, idle_s
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)

    async def send(self, target: str, fields: list[tuple[str, str]]) -> None:
        request = h11.Request(method="GET", target=target, headers=fields)
        data = self._machine.send(request) or b""
        self._writer.write(data + (self._machine.send(h11.EndOfMessage()) or b""))
        await self._guarded(self._writer.drain())

    async def event(self) -> h11.Event:
        """The next event of the answer. Raises Unreachable, SourceTimeout."""
        while True:
            try:
                event = self._machine.next_event()
            except h11.RemoteProtocolError as error:
                raise Unreachable(f"the answer is broken: {error}", where=self._url) from None
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.ConnectionClosed):
                    raise Unreachable("the answer was cut short", where=self._url)
                assert not isinstance(event, type), "PAUSED is for servers"
                return event
            self._machine.receive_data(await self._guarded(self._reader.read(_READ_BYTES)))

    def close(self) -> None:
        self._writer.transport.abort()

    async def _guarded(self, work: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self._idle_s):
                return await work
        except TimeoutError:
            raise SourceTimeout(f"nothing came for {self._idle_s:g} s", where=self._url) from None
        except OSError as error:
            raise Unreachable(f"the connection broke: {error}", where=self._url) from None
