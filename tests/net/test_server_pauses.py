"""Bodies that have to be waited for, and CONNECT, over a real socket."""

import asyncio
from collections.abc import Iterator

import pytest

from net.answer import Answer, Pause
from runtime.errors import Unreachable
from tests.net.memory_app import MemoryApp, get, run, served


def test_a_body_goes_on_when_its_pause_is_over_and_others_are_served_meanwhile() -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def wait() -> None:
            await arrived.wait()

        def body() -> Iterator[bytes | Pause]:
            yield b"first "
            yield Pause(wait)
            yield b"second"

        app = MemoryApp(
            answers={"/slow": lambda _: Answer(200, [], body()), "/a": lambda _: Answer(200, [], b"a")}
        )
        async with served(app) as server:
            slow, other = await server.client(), await server.client()
            asked = asyncio.ensure_future(slow.ask(get("/slow")))
            assert (await other.ask(get("/a"))).body == b"a"
            assert not asked.done()
            arrived.set()
            assert (await asked).body == b"first second"
            assert (await slow.ask(get("/a"))).body == b"a", "the connection is kept"

    run(main())


async def nobody_has_it() -> None:
    raise Unreachable("nobody has it")


def test_a_pause_that_fails_before_a_byte_left_is_an_error_answer() -> None:
    def body() -> Iterator[bytes | Pause]:
        yield Pause(nobody_has_it)

    async def main() -> None:
        async with served(MemoryApp(answers={"/": lambda _: Answer(200, [], body(), length=5)})) as server:
            client = await server.client()
            assert (await client.ask(get("/"))).status == 502
            assert (await client.ask(get("/"))).status == 502

    run(main())


def test_a_pause_that_fails_later_resets_the_connection() -> None:
    def body() -> Iterator[bytes | Pause]:
        yield b"x" * 70_000
        yield Pause(nobody_has_it)

    async def main() -> None:
        async with served(MemoryApp(answers={"/": lambda _: Answer(200, [], body())})) as server:
            client = await server.client()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.ask(get("/"))

    run(main())


def test_after_connect_the_same_connection_is_read_as_http() -> None:
    async def main() -> None:
        app = MemoryApp(answers={"": lambda _: Answer(200), "/a": lambda r: Answer(200, [], r.host.encode())})
        async with served(app) as server:
            client = await server.client()
            reply = await client.ask(
                b"CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n", to_head=True
            )
            assert reply.status == 200
            assert "content-length" not in reply.fields
            assert (await client.ask(get("/a"))).status == 200

    run(main())
