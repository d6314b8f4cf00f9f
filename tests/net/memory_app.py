"""An App in memory, a meter and a clock that tests read and move, and a client that sees raw bytes."""

import asyncio
import os
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import uvloop

from net.access_log import AccessLog
from net.answer import Answer, Hit, Use, UseFile
from net.app import App, BodyReader, HotPath
from net.http1 import Request
from net.limits import HttpLimits
from net.server import Listener, serve
from net.tls import TlsServer
from tests.manual_clock import ManualClock

PATIENCE_S = 60.0  # how long a test waits for what must come; only a failing test waits so long


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on a fresh uvloop, bounded in time."""

    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENCE_S):
            await main

    uvloop.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # any condition; nobody is there to set an event
            await asyncio.sleep(0)


@dataclass
class RecordingMeter:
    """Remembers every call."""

    responses: list[tuple[str | None, str, int, int]] = field(default_factory=list)
    bodies: list[tuple[str | None, int]] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    def sent(self, account: str | None, kind: str, bytes_: int, status: int) -> None:
        self.responses.append((account, kind, bytes_, status))

    def received(self, account: str | None, bytes_: int) -> None:
        self.bodies.append((account, bytes_))

    def count(self, event: str, by: int = 1) -> None:
        self.events[event] += by


class Bytes:
    """A `Piece` over bytes that counts what was taken of it, and may fail at an offset."""

    def __init__(self, data: bytes, *, stride: int = 65536, fail_at: int | None = None) -> None:
        self.data, self.stride, self.fail_at = data, stride, fail_at
        self.taken_bytes = 0
        self.error: Exception = OSError("a disk gave up")

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = 0) -> int:
        if self.fail_at is not None and start >= self.fail_at:
            raise self.error
        taken = use(memoryview(self.data)[start : start + self.stride])
        self.taken_bytes += taken
        return taken

    def hit(self, fields: bytes = b"") -> Hit:
        def lend(start: int, stop: int, use: Use, use_file: UseFile | None, file_stop: int) -> int:
            assert start // self.stride == (stop - 1) // self.stride, "asked across a stride"
            if self.fail_at is not None and start >= self.fail_at:
                raise self.error
            return use(memoryview(self.data)[start:stop])

        head = fields + b"Content-Length: %d\r\n\r\n" % len(self.data)
        return Hit(head, len(self.data), lend, stride_bytes=self.stride)


class Filed(Bytes):
    """`Bytes` that lie in a file, from byte 100 of it on; `lent` counts what went as file and as view."""

    def __init__(self, data: bytes, *, stride: int = 65536, fail_at: int | None = None) -> None:
        super().__init__(data, stride=stride, fail_at=fail_at)
        self.fd = os.memfd_create("filed")
        os.truncate(self.fd, 100)
        assert os.pwrite(self.fd, data, 100) == len(data)
        self.lent: Counter[str] = Counter()

    def __del__(self) -> None:
        os.close(self.fd)

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = 0) -> int:
        return super().lend(start, self.choose(use, use_file, start))

    def choose(self, use: Use, use_file: UseFile | None, start: int) -> Use:
        """A `use` that hands `use_file` the place of what it was given, if there is one."""

        def chosen(view: memoryview) -> int:
            self.lent["file" if use_file else "view"] += 1
            return use_file(self.fd, 100 + start, len(view)) if use_file else use(view)

        return chosen

    def hit(self, fields: bytes = b"") -> Hit:
        plain = super().hit(fields)

        def lend(start: int, stop: int, use: Use, use_file: UseFile | None, file_stop: int) -> int:
            return plain.lend(start, stop, self.choose(use, use_file, start), None, file_stop)

        return Hit(plain.head, plain.size_bytes, lend, stride_bytes=self.stride)


Decision = Callable[[Request], Answer]
Handler = Callable[[Request, BodyReader], Awaitable[Answer]]


@dataclass
class MemoryApp:
    """Answers by path: `hits` at once, `answers` by decision, `handlers` in a task, else 404."""

    hits: dict[bytes, Hit] = field(default_factory=dict)
    answers: dict[str, Decision] = field(default_factory=dict)
    handlers: dict[str, Handler] = field(default_factory=dict)

    def shares(self, host: str, accept: str) -> bool:
        return True

    def hit(self, target: bytes) -> Hit | None:
        return self.hits.get(target)

    def decide(self, request: Request) -> Answer | None:
        if request.path in self.handlers:
            return None
        decision = self.answers.get(request.path)
        return decision(request) if decision else Answer(404, [], b"nothing here\n")

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        return await self.handlers[request.path](request, body)


async def echo(request: Request, body: BodyReader) -> Answer:
    """A handler that gives the request body back."""
    return Answer(200, [], b"".join([piece async for piece in body]), kind="echo")


@dataclass
class Response:
    """A response as it came over the wire."""

    status: int
    fields: dict[str, str]
    body: bytes
    head: bytes


class Client:
    """A raw connection to a listener under test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str], bytes]:
        """The next response head: status, fields by lower-case name, raw bytes."""
        async with asyncio.timeout(PATIENCE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = raw[:-4].decode("latin-1").split("\r\n")
        pairs = (text.split(": ", 1) for text in lines)
        return int(line.split(" ")[1]), {name.lower(): value for name, value in pairs}, raw

    async def response(self, *, to_head: bool = False) -> Response:
        """The next whole response."""
        status, fields, raw = await self.head()
        body = b""
        async with asyncio.timeout(PATIENCE_S):
            if to_head or status in (100, 204, 304):
                pass
            elif fields.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    assert await self.reader.readexactly(2) == b"\r\n"
                assert await self.reader.readexactly(2) == b"\r\n"
            elif "content-length" in fields:
                body = await self.reader.readexactly(int(fields["content-length"]))
            else:
                body = await self.reader.read()
        return Response(status, fields, body, raw)

    async def ask(self, data: bytes, *, to_head: bool = False) -> Response:
        await self.send(data)
        return await self.response(to_head=to_head)

    async def rest(self) -> tuple[bytes, bool]:
        """Everything until the end, and whether that end was clean (not a reset)."""
        data = b""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while piece := await self.reader.read(65536):
                    data += piece
        except ConnectionError:
            return data, False
        return data, True

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Vanish: the server sees a reset, not an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Server:
    """A listener under test and what it was given."""

    def __init__(self, listener: Listener, address: Any, clock: ManualClock, meter: RecordingMeter) -> None:
        self.listener, self.address, self.clock, self.meter = listener, address, clock, meter
        self._clients: list[Client] = []

    async def client(self, *, tls: SSLContext | None = None, receive_buffer: int | None = None) -> Client:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, self.address)
        except OSError:
            sock.close()
            raise
        name = "localhost" if tls else None
        # A small limit: asyncio must not read ahead what the test leaves unread.
        reader, writer = await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name, limit=65536)
        client = Client(reader, writer)
        self._clients.append(client)
        return client

    def pass_time(self, seconds: float) -> None:
        """Move the clock on and let the timeouts see it."""
        self.clock.now += seconds
        self.listener.tick()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.listener.close()


@asynccontextmanager
async def served(
    app: App,
    limits: HttpLimits | None = None,
    *,
    tls: TlsServer | None = None,
    access: AccessLog | None = None,
    sock: socket.socket | None = None,
    send_buffer: int | None = None,
    hot: HotPath | None = None,
) -> AsyncIterator[Server]:
    """`app` on a free port (or `sock`), with a manual clock."""
    sock = sock or socket.create_server(("127.0.0.1", 0))
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    address = sock.getsockname()
    clock, meter = ManualClock(), RecordingMeter()
    limits = limits or HttpLimits()
    listener = await serve(sock, app, limits, meter, tls=tls, access=access, clock=clock, hot=hot)
    server = Server(listener, address, clock, meter)
    try:
        yield server
    finally:
        server.close()
        await asyncio.sleep(0.01)  # let asyncio close the clients' transports


def get(target: str, *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request without a body."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: a", *fields, "", ""]).encode()
