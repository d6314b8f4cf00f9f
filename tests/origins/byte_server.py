"""An HTTP server made for tests: gives bytes under paths as told, and remembers what was asked."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field


@dataclass
class Held:
    """What is under a path. `cut_at`: the connection breaks after so many bytes. `every_s`: the body comes
    again and again, with so long between two, until the other side leaves.
    """

    body: bytes = b""
    status: int = 200
    fields: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    every_s: float | None = None


class ByteServer:
    """The server."""

    def __init__(self, held: dict[str, bytes | Held]) -> None:
        self.held = {path: Held(each) if isinstance(each, bytes) else each for path, each in held.items()}
        self.asked: list[str] = []
        self.sent_bytes = 0  # of what never ends
        self.open = 0
        self.url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            self.asked.append(target)
            held = self.held.get(target, Held(b"nothing here", 404))
            lines = [f"HTTP/1.1 {held.status} X", "Connection: close"]
            if held.every_s is None:
                lines.append(f"Content-Length: {len(held.body)}")
            lines += [f"{name}: {value}" for name, value in held.fields.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            while held.every_s is not None:
                writer.write(held.body)
                await writer.drain()
                self.sent_bytes += len(held.body)
                await asyncio.sleep(held.every_s)
            writer.write(held.body if held.cut_at is None else held.body[: held.cut_at])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def listening(server: ByteServer) -> AsyncIterator[ByteServer]:
    """The server on a free port of this machine."""
    made = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        made.close()


@contextmanager
def in_a_thread(server: ByteServer) -> Iterator[ByteServer]:
    """The server on a loop of its own, for nodes that run as programs."""
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with listening(server):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()
