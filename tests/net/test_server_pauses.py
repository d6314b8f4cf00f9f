"""Bodies that have to be waited for, and CONNECT, over a real socket."""

import asyncio
from collections.abc import Iterator

import pytest

from net.answer import Answer, Hit, Pause, Use, UseFile, Wait
from runtime.errors import BlobDamaged, Unreachable
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


class Healing:
    """A piece whose second half is not at hand before it was waited for."""

    def __init__(self, content: bytes, heals: bool = True) -> None:
        self.content, self.heals, self.is_whole = content, heals, False
        self.size_bytes = len(content)

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = 0) -> int:
        half = len(self.content) // 2
        if start >= half and not self.is_whole:
            raise Wait(self.wait)
        stop = half if start < half else len(self.content)
        return use(memoryview(self.content)[start:stop])

    async def wait(self) -> None:
        await asyncio.sleep(0)
        if not self.heals:
            raise Unreachable("nobody has it")
        self.is_whole = True


@pytest.mark.parametrize("length", [None, 200_000], ids=["chunked", "length"])
def test_a_piece_may_wait_for_its_bytes_and_goes_on_where_it_was(length: int | None) -> None:
    content = bytes(range(256)) * 1000
    content = content[:200_000]

    async def main() -> None:
        app = MemoryApp(answers={"/": lambda _: Answer(200, [], [b"", Healing(content)], length=length)})
        async with served(app) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.ask(get("/"))).body == content

    run(main())


def test_a_piece_whose_wait_fails_resets_the_connection() -> None:
    async def main() -> None:
        piece = Healing(b"x" * 200_000, heals=False)
        async with served(MemoryApp(answers={"/": lambda _: Answer(200, [], [piece])})) as server:
            client = await server.client()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.ask(get("/"))

    run(main())


@pytest.mark.parametrize("fails_at", [0, 262_144, 600_000])
@pytest.mark.parametrize("has_other", [True, False])
def test_where_a_hit_fails_another_piece_takes_over(fails_at: int, has_other: bool) -> None:
    content = bytes(range(251)) * 4000

    def lend(start: int, stop: int, use: Use, use_file: UseFile | None, file_stop: int) -> int:
        if stop > fails_at:
            raise BlobDamaged("a segment is damaged")
        return use(memoryview(content)[start:stop])

    def other() -> Healing:
        return Healing(content)

    head = f"Content-Length: {len(content)}\r\n\r\n".encode()
    hit = Hit(head, len(content), lend, otherwise=other if has_other else None)

    async def main() -> None:
        async with served(MemoryApp(hits={b"/hit": hit})) as server:
            client = await server.client()
            if has_other:
                for _ in range(2):
                    assert (await client.ask(get("/hit"))).body == content
            elif not fails_at:
                assert (await client.ask(get("/hit"))).status == 500
            else:
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await client.ask(get("/hit"))

    run(main())
