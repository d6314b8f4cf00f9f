"""Request bodies through the server: streaming, backpressure, 100-continue, what nobody reads."""

import asyncio
import json
import socket
import struct

import pytest

from net.answer import Answer
from net.app import BodyReader
from net.http1 import Request
from net.limits import HttpLimits
from runtime.errors import Forbidden
from tests.net.memory_app import Bytes, MemoryApp, echo, get, run, served, until

DATA = bytes(range(251)) * 4000  # about 1 MB, of no round length


def put(target: str, *fields: str) -> bytes:
    return get(target, *fields, method="PUT")


def chunks(data: bytes, size: int) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_a_counted_body_reaches_the_handler_and_the_meter() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo}, hits={b"/a": Bytes(b"hit").hit()})) as server:
            client = await server.client()
            request = put("/", f"Content-Length: {len(DATA)}") + DATA
            sending = asyncio.create_task(client.send(request + get("/a")))
            assert (await client.response()).body == DATA
            assert (await client.response()).body == b"hit"
            await sending
            assert server.meter.bodies == [(None, len(DATA))]

    run(main())


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_chunked_body_reaches_the_handler(size: int) -> None:
    async def main() -> None:
        data = DATA[: 3000 * size]
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            request = put("/", "Transfer-Encoding: chunked") + chunks(data, size)
            sending = asyncio.create_task(client.send(request + put("/", "Content-Length: 0")))
            assert (await client.response()).body == data
            assert (await client.response()).body == b""
            await sending

    run(main())


def test_a_client_that_vanishes_in_its_body_is_noticed_soon() -> None:
    """uvloop tells nobody of a reset behind data; the body's own time limit is far longer."""

    async def main() -> None:
        reached, ended = asyncio.Event(), asyncio.Event()

        async def waiting(_: Request, body: BodyReader) -> Answer:
            try:
                async for _piece in body:
                    reached.set()
            finally:
                ended.set()
            return Answer(200)

        async with served(MemoryApp(handlers={"/": waiting})) as server:
            client = socket.create_connection(server.address)
            client.sendall(put("/", "Content-Length: 1000000") + b"x" * 10)
            await reached.wait()
            client.sendall(b"x" * 100_000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            started = server.clock.now
            while not ended.is_set() or server.listener.connections:
                await asyncio.sleep(0.001)
                assert server.clock.now < started + 5, "nobody noticed for 5 s"
                server.clock.now += 0.01
                server.listener.tick()

    run(main())


def test_a_body_a_byte_at_a_time() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            for byte in put("/", "Transfer-Encoding: chunked") + chunks(b"hello world", 3):
                await client.send(bytes([byte]))
                await asyncio.sleep(0)
            assert (await client.response()).body == b"hello world"

    run(main())


def test_a_handler_that_does_not_read_stops_the_client() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def slow(_: Request, body: BodyReader) -> Answer:
            size = len(await anext(aiter(body)))
            await go.wait()
            async for piece in body:
                size += len(piece)
            return Answer(200, [], str(size).encode())

        async with served(MemoryApp(handlers={"/": slow}), HttpLimits(body_buffer_bytes=65536)) as server:
            client = await server.client()
            size = 64 << 20
            sending = asyncio.create_task(client.send(put("/", f"Content-Length: {size}") + bytes(size)))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await asyncio.shield(sending)  # it cannot be done: nobody reads
            go.set()
            assert (await client.response()).body == str(size).encode()
            await sending

    run(main())


def test_continue_is_sent_when_the_handler_reads() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def waits(request: Request, body: BodyReader) -> Answer:
            await go.wait()
            return await echo(request, body)

        async with served(MemoryApp(handlers={"/": waits})) as server:
            client = await server.client()
            await client.send(put("/", "Content-Length: 5", "Expect: 100-continue"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.reader.read(1)
            go.set()
            assert (await client.head())[0] == 100
            await client.send(b"hello")
            assert (await client.response()).body == b"hello"
            go.set()
            assert (await client.ask(put("/", "Content-Length: 2") + b"hi")).body == b"hi"

    run(main())


def test_continue_is_not_sent_to_a_client_that_did_not_wait() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            response = await client.ask(put("/", "Content-Length: 5", "Expect: 100-continue") + b"hello")
            assert (response.status, response.body) == (200, b"hello")

    run(main())


def test_a_refusal_instead_of_continue_ends_the_connection() -> None:
    def refuse(_: Request) -> Answer:
        raise Forbidden("not you")

    async def main() -> None:
        async with served(MemoryApp(answers={"/": refuse})) as server:
            client = await server.client()
            response = await client.ask(put("/", "Content-Length: 5", "Expect: 100-continue"))
            assert response.status == 403
            # Nobody can tell whether the client sends the five bytes or the next request.
            assert response.fields["connection"] == "close"
            assert await client.rest() == (b"", True)

    run(main())


def test_a_small_unread_body_is_read_off_and_the_connection_kept() -> None:
    async def main() -> None:
        async with served(MemoryApp()) as server:
            client = await server.client()
            await client.send(put("/", "Content-Length: 1000") + b"x" * 400)
            assert (await client.response()).status == 404
            await client.send(b"x" * 600 + get("/"))
            response = await client.response()
            assert response.status == 404
            assert "connection" not in response.fields

    run(main())


def test_the_answer_to_a_large_unread_body_is_not_lost() -> None:
    async def main() -> None:
        async with served(MemoryApp()) as server:
            client = await server.client()
            size = 8 << 20
            response = await client.ask(put("/", f"Content-Length: {size}") + bytes(size))
            assert response.status == 404
            assert response.fields["connection"] == "close"

    run(main())


def test_a_wrong_chunk_reaches_the_handler_and_then_the_client_as_a_400() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            response = await client.ask(put("/", "Transfer-Encoding: chunked") + b"5\r\nhelloX")
            assert response.status == 400
            assert response.fields["connection"] == "close"
            assert "longer than its size line" in json.loads(response.body)["error"]["message"]

    run(main())


def test_a_client_that_breaks_off_its_body_fails_the_handler() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            await client.send(put("/", "Content-Length: 10") + b"hello")
            client.writer.write_eof()
            response = await client.response()
            assert response.status == 400
            assert "broke off" in json.loads(response.body)["error"]["message"]
            assert await client.rest() == (b"", True)

    run(main())


def test_a_client_that_vanishes_cancels_its_handler() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def forever(_: Request, body: BodyReader) -> Answer:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            raise AssertionError

        async with served(MemoryApp(handlers={"/": forever})) as server:
            client = await server.client()
            await client.send(put("/", "Content-Length: 1"))
            await until(lambda: server.listener.connections == 1)
            client.reset()
            await until(lambda: seen == ["cancelled"])
            await until(lambda: server.listener.connections == 0)

    run(main())


def test_a_handler_without_a_body_sees_an_empty_one() -> None:
    async def main() -> None:
        async with served(MemoryApp(handlers={"/": echo})) as server:
            client = await server.client()
            assert (await client.ask(get("/"))).body == b""
            assert (await client.ask(put("/", "Content-Length: 0"))).body == b""
            assert server.meter.bodies == []

    run(main())
