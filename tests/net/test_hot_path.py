"""A listener with a `HotPath`: what it answers, declines, begins and breaks is one conversation."""

import asyncio
import os
import select
from typing import Any

import pytest

from net.answer import Answer, Hit
from net.limits import HttpLimits
from tests.net.memory_app import PATIENCE_S, Bytes, Client, MemoryApp, Server, echo, get, run, served, until

BIG = bytes(range(256)) * 8192  # 2 MiB


class PythonHotPath:
    """The port in Python: whole heads of known targets, sent as far as the kernel takes them.

    Bodies of the targets in `going` it goes on with, as far as a test says by `send`.
    """

    def __init__(self, known: dict[bytes, tuple[Hit, bytes]], going: frozenset[bytes] = frozenset()) -> None:
        self.known, self.going = known, going
        self.answered = 0
        self.error: Exception | None = None
        self.bodies: dict[int, tuple[Any, bytes, int]] = {}  # owner, what is left, what was taken
        self.told: list[tuple[Any, bool]] = []
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)

    def turn(self, fd: int, plain: dict[bytes, Any], opening: bytes, owner: Any) -> Any:
        data = os.read(fd, 16384)
        if self.error is not None:
            raise self.error
        parts = data.split(b" ", 2)
        if len(parts) < 3 or parts[0] != b"GET" or parts[2] not in plain or parts[1] not in self.known:
            return data
        self.answered += 1
        hit, body = self.known[parts[1]]
        whole = opening + hit.head + body
        if parts[1] in self.going:
            taken = os.write(fd, whole[: len(whole) - len(body) + 1000])
            self.bodies[fd] = owner, whole[taken:], taken
            return data, hit
        taken = os.write(fd, whole)
        return hit if taken == len(whole) else (data, hit, taken)

    def send(self, count: int) -> None:
        """Send so much more of the one body that is going; its end is told of."""
        [(fd, (owner, left, taken))] = self.bodies.items()
        sent = os.write(fd, left[:count])
        self.bodies[fd] = owner, left[sent:], taken + sent
        if sent == len(left):
            del self.bodies[fd]
            self.tell(owner, whole=True)

    def tell(self, owner: Any, *, whole: bool) -> None:
        self.told.append((owner, whole))
        os.eventfd_write(self.bell, 1)

    def fileno(self) -> int:
        return self.bell

    def ended(self) -> list[tuple[Any, bool]]:
        os.eventfd_read(self.bell)
        told, self.told = self.told, []
        return told

    def taken_bytes(self, fd: int) -> int | None:
        return self.bodies[fd][2] if fd in self.bodies else None

    def take_back(self, fd: int) -> int | None:
        found = self.bodies.pop(fd, None)
        return None if found is None else found[2]


LONG = bytes(range(250)) * 400  # 100,000


def app(*going: bytes) -> tuple[MemoryApp, PythonHotPath]:
    pieces = {b"/a": Bytes(b"hello"), b"/big": Bytes(BIG), b"/long": Bytes(LONG)}
    hits = {target: piece.hit() for target, piece in pieces.items()}
    hot = PythonHotPath({target: (hits[target], pieces[target].data) for target in hits}, frozenset(going))
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


async def warm(server: Server) -> Client:
    """A client whose header block is known."""
    client = await server.client()
    assert (await client.ask(get("/a"))).body == b"hello"
    return client


async def begun(server: Server, hot: PythonHotPath) -> Client:
    """One whose request for the long body was begun."""
    client = await warm(server)
    await client.send(get("/long"))
    await until(lambda: bool(hot.bodies))
    return client


def test_a_body_that_the_hot_path_goes_on_with_is_one_answer_among_others() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await warm(server)
            for _ in range(3):
                await client.send(get("/long"))
                await until(lambda: bool(hot.bodies))
                hot.send(50_000)
                hot.send(50_000)
                assert (await client.response()).body == LONG
                assert (await client.ask(get("/a"))).body == b"hello"
            assert [row[2] for row in server.meter.responses] == [5, *(len(LONG), 5) * 3]

    run(main())


@pytest.mark.parametrize("sent", [0, 50_000])
def test_a_body_that_is_given_back_is_sent_to_its_end(sent: int) -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            hot.send(sent)
            [(owner, _, _)] = hot.bodies.values()
            hot.tell(owner, whole=False)
            assert (await client.response()).body == LONG
            assert not hot.bodies
            assert (await client.ask(get("/a"))).body == b"hello"
            assert [row[2] for row in server.meter.responses] == [5, len(LONG), 5]

    run(main())


def test_a_request_behind_a_body_that_is_going_is_answered_after_it() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            await client.send(get("/d") + get("/a"))
            assert [(await client.response()).body for _ in range(3)] == [LONG, b"decided", b"hello"]

    run(main())


def test_a_request_that_is_faster_than_the_news_of_the_bodys_end_is_answered() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            [(fd, (owner, left, taken))] = hot.bodies.items()
            assert os.write(fd, left) == len(left)
            hot.bodies[fd] = owner, b"", taken + len(left)
            assert (await client.response()).body == LONG
            assert (await client.ask(get("/a"))).body == b"hello"
            assert [row[2] for row in server.meter.responses] == [5, len(LONG), 5]
            assert hot.answered == 2

    run(main())


def test_what_left_of_a_body_is_metered_when_its_client_goes() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            hot.send(20_000)
            client.reset()
            await until(lambda: server.listener.connections == 0)
            assert not hot.bodies
            _, row = server.meter.responses
            assert 21_000 <= row[2] <= len(LONG)

    run(main())


def test_a_client_that_takes_nothing_of_a_body_is_cut_and_one_that_does_is_not() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        limits = HttpLimits(write_idle_s=10.0, progress_bytes=1024)
        async with served(memory, limits, hot=hot) as server:
            client = await begun(server, hot)
            for _ in range(3):
                hot.send(2000)
                server.pass_time(10.6)
                assert server.listener.connections == 1
            server.pass_time(10.6)
            assert server.listener.connections == 0
            assert not hot.bodies
            assert server.meter.events["timeout_write"] == 1
            assert not (await client.rest())[1]

    run(main())


def test_draining_waits_for_a_body_that_is_going() -> None:
    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            draining = asyncio.create_task(server.listener.drain(10.0))
            await asyncio.sleep(0)
            hot.send(len(LONG))
            assert (await client.response()).body == LONG
            assert await client.rest() == (b"", True)
            assert await draining == 0

    run(main())


@pytest.mark.parametrize("told", [False, True], ids=["before the news", "with the news"])
def test_a_request_that_came_by_the_end_of_a_body_is_answered_while_draining(told: bool) -> None:
    """The end is told a moment late; who asks again in that moment is not cut off."""

    async def main() -> None:
        memory, hot = app(b"/long")
        async with served(memory, hot=hot) as server:
            client = await begun(server, hot)
            draining = asyncio.create_task(server.listener.drain(10.0))
            await asyncio.sleep(0)
            [(fd, (owner, left, taken))] = hot.bodies.items()
            assert os.write(fd, left) == len(left)
            hot.bodies[fd] = owner, b"", taken + len(left)
            request = get("/d")
            assert os.write(client.writer.get_extra_info("socket").fileno(), request) == len(request)
            if told:
                select.select([fd], [], [], PATIENCE_S)
                del hot.bodies[fd]
                owner.went_whole()
            assert (await client.response()).body == LONG
            answer = await client.response()
            assert (answer.body, answer.fields["connection"]) == (b"decided", "close")
            assert await client.rest() == (b"", True)
            client.close()
            assert await draining == 0
            assert [row[2] for row in server.meter.responses] == [5, len(LONG), len(b"decided")]

    run(main())
