"""Slow, silent, too many: every phase has an end, memory is bounded, and others are unaffected."""

import asyncio
import resource

import pytest

from net.answer import Answer
from net.app import BodyReader
from net.http1 import Request
from net.limits import HttpLimits
from tests.net.memory_app import Bytes, Client, MemoryApp, Response, Server, echo, get, run, served, until

LIMITS = HttpLimits()


def app() -> MemoryApp:
    return MemoryApp(hits={b"/a": Bytes(b"hello").hit()}, handlers={"/echo": echo})


async def _idle_client(server: Server) -> Client:
    """A client that was served once and is idle now."""
    client = await server.client()
    assert (await client.ask(get("/a"))).body == b"hello"
    return client


def test_an_idle_connection_is_closed_in_its_time_and_not_before() -> None:
    async def main() -> None:
        async with served(app()) as server:
            client = await _idle_client(server)
            server.pass_time(LIMITS.keep_alive_s - 2)
            assert (await client.ask(get("/a"))).body == b"hello"
            server.pass_time(LIMITS.keep_alive_s - 2)
            assert server.listener.connections == 1
            server.pass_time(4)
            assert await client.rest() == (b"", True)
            assert server.meter.events["timeout_keep_alive"] == 1

    run(main())


def test_a_head_that_does_not_arrive_is_408_however_steadily_it_trickles() -> None:
    async def main() -> None:
        async with served(app()) as server:
            client = await _idle_client(server)
            for byte in b"GET /":
                await client.send(bytes([byte]))
                await asyncio.sleep(0.005)
                server.pass_time(LIMITS.header_s / 4)
            response = await client.response()
            assert (response.status, response.fields["connection"]) == (408, "close")
            assert await client.rest() == (b"", True)
            assert server.meter.events["timeout_header"] == 1

    run(main())


def test_a_body_that_stalls_is_408() -> None:
    async def main() -> None:
        async with served(app()) as server:
            client = await server.client()
            await client.send(get("/echo", "Content-Length: 10", method="PUT") + b"hello")
            await until(lambda: server.listener.connections == 1)
            await asyncio.sleep(0.01)
            server.pass_time(LIMITS.body_idle_s + 1)
            assert (await client.response()).status == 408
            assert server.meter.events["timeout_body"] == 1

    run(main())


def test_a_body_that_trickles_too_slowly_is_408_and_one_that_moves_is_not() -> None:
    async def upload(server: Server, piece: bytes, count: int) -> Response:
        client = await server.client()
        await client.send(get("/echo", f"Content-Length: {20 * 2500}", method="PUT"))
        for _ in range(count):
            await client.send(piece)
            await asyncio.sleep(0.005)
            server.pass_time(LIMITS.body_idle_s / 4)
        return await client.response()

    async def main() -> None:
        async with served(app()) as server:
            assert (await upload(server, b"x" * 2500, 20)).status == 200
            assert (await upload(server, b"x", 5)).status == 408

    run(main())


def test_a_handler_that_takes_too_long_is_cancelled_and_504() -> None:
    async def main() -> None:
        async def forever(_: Request, __: BodyReader) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

        async with served(MemoryApp(handlers={"/": forever})) as server:
            client = await server.client()
            await client.send(get("/"))
            await until(lambda: server.listener.connections == 1)
            await asyncio.sleep(0.01)
            server.pass_time(LIMITS.answer_s + 1)
            assert (await client.response()).status == 504
            assert server.meter.events["timeout_answer"] == 1

    run(main())


def test_a_client_that_never_reads_costs_little_and_is_reset() -> None:
    async def main() -> None:
        piece = Bytes(bytes(64 << 20))
        never = MemoryApp(
            answers={"/big": lambda _: Answer(200, [], iter([piece]), len(piece.data), kind="blob")}
        )
        never.hits[b"/a"] = Bytes(b"hello").hit()
        async with served(never, send_buffer=65536) as server:
            client = await server.client(receive_buffer=65536)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            await client.send(get("/big"))
            await until(lambda: piece.taken_bytes > 0)
            other = await server.client()
            for _ in range(20):
                assert (await other.ask(get("/a"))).body == b"hello"
            assert piece.taken_bytes < 4 << 20, "what the client does not take is not read"
            server.pass_time(LIMITS.write_idle_s + 1)
            assert server.meter.events["timeout_write"] == 1
            # Billed is what the kernel took, not what was asked for.
            assert (None, "blob", piece.taken_bytes, 200) in server.meter.responses
            assert (await other.ask(get("/a"))).body == b"hello"
            await until(lambda: server.listener.connections == 1)

    run(main())


def test_a_slow_reader_that_moves_keeps_its_connection() -> None:
    async def main() -> None:
        data = bytes(3 << 20)
        async with served(MemoryApp(hits={b"/b": Bytes(data).hit()}), send_buffer=16384) as server:
            client = await server.client(receive_buffer=16384)
            await client.send(get("/b"))
            status, _, _ = await client.head()
            assert status == 200
            got = 0
            while got < len(data):
                got += len(await client.reader.readexactly(min(1 << 18, len(data) - got)))
                await asyncio.sleep(0.002)
                server.pass_time(LIMITS.write_idle_s / 2)
            await until(lambda: bool(server.meter.responses))
            assert server.meter.responses == [(None, "blob", len(data), 200)]

    run(main())


def test_too_many_connections_are_told_503_and_when_to_come_back() -> None:
    async def main() -> None:
        async with served(app(), HttpLimits(max_connections=3)) as server:
            clients = [await _idle_client(server) for _ in range(3)]
            refused = await server.client()
            response = await refused.ask(get("/a"))
            assert (response.status, response.fields["retry-after"]) == (503, "5")
            assert response.fields["connection"] == "close"
            assert await refused.rest() == (b"", True)
            refused.close()
            await until(lambda: server.listener.connections == 3)
            assert (await clients[0].ask(get("/a"))).body == b"hello"
            clients[1].close()
            await until(lambda: server.listener.connections == 2)
            assert (await (await server.client()).ask(get("/a"))).body == b"hello"
            assert server.meter.events["connections_refused"] == 1

    run(main())


def test_far_too_many_connections_are_dropped() -> None:
    async def main() -> None:
        async with served(app(), HttpLimits(max_connections=1)) as server:
            held = [await server.client() for _ in range(4)]
            await until(lambda: server.meter.events["connections_refused"] == 3)
            assert server.listener.connections == 2
            assert (await held[0].ask(get("/a"))).body == b"hello"

    run(main())


@pytest.mark.alone
def test_two_thousand_idle_connections_do_not_disturb_the_others() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4200:
        pytest.skip(f"this machine allows {hard} descriptors, 4200 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4200 if soft < 4200 else soft, hard))

    async def main() -> None:
        async with served(app()) as server:
            idle = [await server.client() for _ in range(2000)]
            for client in idle[:50]:
                await client.send(b"GET /a HT")  # some of them in the middle of a head
            await until(lambda: server.listener.connections == 2000)
            busy = await server.client()
            for _ in range(200):
                assert (await busy.ask(get("/a"))).body == b"hello"
            server.pass_time(LIMITS.header_s + 1)
            await until(lambda: server.meter.events["timeout_header"] == 50)
            assert (await idle[-1].ask(get("/a"))).body == b"hello"
            server.pass_time(LIMITS.keep_alive_s - 2)
            await until(lambda: server.listener.connections <= 52)

    try:
        run(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_draining_lets_requests_finish_and_closes_the_idle() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def waits(_: Request, __: BodyReader) -> Answer:
            await go.wait()
            return Answer(200, [], b"done")

        waiting = app()
        waiting.handlers["/wait"] = waits
        async with served(waiting) as server:
            idle, busy = await _idle_client(server), await server.client()
            await busy.send(get("/wait"))
            await until(lambda: server.listener.connections == 2)
            await asyncio.sleep(0.01)
            server.pass_time(2)  # nobody has just come
            draining = asyncio.create_task(server.listener.drain(10.0))
            assert await idle.rest() == (b"", True)
            with pytest.raises(ConnectionError):
                await server.client()
            go.set()
            response = await busy.response()
            assert (response.body, response.fields["connection"]) == (b"done", "close")
            busy.close()
            assert await draining == 0

    run(main())


def test_draining_serves_who_has_just_come_and_closes_who_asks_nothing() -> None:
    async def main() -> None:
        async with served(app()) as server:
            young, silent = await server.client(), await server.client()
            await until(lambda: server.listener.connections == 2)
            draining = asyncio.create_task(server.listener.drain(10.0))
            await asyncio.sleep(0)
            response = await young.ask(get("/none"))
            assert (response.status, response.fields["connection"]) == (404, "close")
            assert await young.rest() == (b"", True)
            young.close()
            assert await silent.rest() == (b"", True)
            assert await draining == 0

    run(main())


def test_draining_resets_what_does_not_finish_in_time() -> None:
    async def main() -> None:
        async with served(app(), send_buffer=16384) as server:
            big = Bytes(bytes(32 << 20))
            client = await server.client(receive_buffer=16384)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            server.listener._serving.app.hits[b"/big"] = big.hit()  # type: ignore[attr-defined]  # the memory app
            await client.send(get("/big"))
            await until(lambda: server.listener.connections == 1)
            await asyncio.sleep(0.01)
            assert await server.listener.drain(0.05) == 1
            assert server.listener.connections == 0
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            data, _ = await client.rest()
            assert len(data) < 32 << 20

    run(main())


def test_a_last_answer_is_waited_for_a_while_and_not_for_ever() -> None:
    async def main() -> None:
        async with served(app()) as server:
            client = await server.client()
            assert (await client.ask(get("/a", "Connection: close"))).status == 404
            assert server.listener.connections == 1  # the client has not closed
            server.pass_time(LIMITS.linger_s + 1)
            assert server.listener.connections == 0

    run(main())


def test_a_flood_of_pipelined_requests_is_bounded_and_all_are_answered() -> None:
    async def main() -> None:
        async with served(app(), HttpLimits(pipeline_bytes=4096, pipeline_depth=4)) as server:
            client = await server.client()
            count = 20_000
            sending = asyncio.create_task(client.send(get("/a") * count))
            for _ in range(count):
                assert (await client.response()).body == b"hello"
            await sending

    run(main())
