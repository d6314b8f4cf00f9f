"""A listener with a `HotPath`: what it answers, declines, begins and breaks is one conversation."""

import asyncio
import os
from typing import Any

import pytest

from net.answer import Answer, Hit
from tests.net.memory_app import Bytes, MemoryApp, echo, get, run, served, until

BIG = bytes(range(256)) * 8192  # 2 MiB


class PythonHotPath:
    """The port in Python: whole heads of known targets, sent as far as the kernel takes them."""

    def __init__(self, known: dict[bytes, tuple[Hit, bytes]]) -> None:
        self.known = known
        self.answered = 0
        self.error: Exception | None = None

    def turn(self, fd: int, plain: dict[bytes, Any], opening: bytes) -> Any:
        data = os.read(fd, 16384)
        if self.error is not None:
            raise self.error
        parts = data.split(b" ", 2)
        if len(parts) < 3 or parts[0] != b"GET" or parts[2] not in plain or parts[1] not in self.known:
            return data
        self.answered += 1
        hit, body = self.known[parts[1]]
        whole = opening + hit.head + body
        taken = os.write(fd, whole)
        return hit if taken == len(whole) else (data, hit, taken)


def app() -> tuple[MemoryApp, PythonHotPath]:
    pieces = {b"/a": Bytes(b"hello"), b"/big": Bytes(BIG)}
    hits = {target: piece.hit() for target, piece in pieces.items()}
    hot = PythonHotPath({target: (hits[target], pieces[target].data) for target in hits})
    answers = {"/d": lambda _: Answer(200, [], b"decided")}
    return MemoryApp(hits, answers, {"/echo": echo}), hot


def test_answered_begun_and_declined_requests_share_a_connection() -> None:
    async def main() -> None:
        memory, hot = app()
        async with served(memory, hot=hot, send_buffer=16384) as server:
            client = await server.client()
            for _ in range(3):
                assert (await client.ask(get("/a"))).body == b"hello"
                assert (await client.ask(get("/big"))).body == BIG
                assert (await client.ask(get("/d"))).body == b"decided"
                assert (await client.ask(get("/a", "Range: bytes=0-0"))).status == 404
                upload = get("/echo", "Content-Length: 5", method="PUT") + b"hello"
                assert (await client.ask(upload)).body == b"hello"
            for byte in get("/a"):
                await client.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await client.response()).body == b"hello"
            await client.send(get("/a") * 40)
            for _ in range(40):
                assert (await client.response()).body == b"hello"
            assert hot.answered >= 5
            billed = [row for row in server.meter.responses if row[1] == "blob"]
            assert sum(row[2] for row in billed) == 3 * len(BIG) + 44 * 5

    run(main())


def test_a_hot_path_that_fails_ends_one_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        memory, hot = app()
        async with served(memory, hot=hot) as server:
            client = await server.client()
            assert (await client.ask(get("/a"))).body == b"hello"
            hot.error = RuntimeError("a bug")
            await client.send(get("/a"))
            assert not (await client.rest())[1]
            await until(lambda: server.listener.connections == 0)
            hot.error = None
            assert (await (await server.client()).ask(get("/a"))).body == b"hello"

    run(main())
    assert "a bug" in caplog.text


def test_draining_goes_past_the_hot_path() -> None:
    async def main() -> None:
        memory, hot = app()
        async with served(memory, hot=hot, send_buffer=16384) as server:
            client = await server.client(receive_buffer=16384)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            await client.send(get("/a"))
            await until(lambda: len(server.meter.responses) == 1)
            await client.send(get("/big"))
            await until(lambda: hot.answered >= 1)
            draining = asyncio.create_task(server.listener.drain(10.0))
            await asyncio.sleep(0)
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert (await client.response()).body == b"hello"
            assert (await client.response()).body == BIG
            assert await client.rest() == (b"", True)
            assert await draining == 0

    run(main())
