"""The server from outside, by raw bytes: hits, decisions, framing, failures while sending, metering."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from net.answer import Answer, Hit, Use, UseFile
from net.http1 import Request
from runtime.errors import Busy, NotFound, Unauthenticated
from tests.net.memory_app import Bytes, MemoryApp, get, run, served, until

BODY = bytes(range(256)) * 4096  # 1 MiB, 16 strides


def test_a_hit_is_sent_whole_and_the_connection_kept() -> None:
    async def main() -> None:
        app = MemoryApp(hits={b"/a": Bytes(b"hello").hit(b"ETag: x\r\n"), b"/b": Bytes(BODY).hit()})
        async with served(app) as server:
            client = await server.client()
            for _ in range(3):  # the first fills the memo of heads, the next take the short way
                first = await client.ask(get("/a"))
                assert (first.status, first.body) == (200, b"hello")
                assert first.fields["etag"] == "x"
                assert first.fields["date"].endswith("GMT")
                assert first.fields["server"] == "fleek-edge"
                assert (await client.ask(get("/b"))).body == BODY
            await until(lambda: len(server.meter.responses) == 6)
            assert server.meter.responses == [(None, "blob", 5, 200), (None, "blob", len(BODY), 200)] * 3

    run(main())


def test_an_empty_hit_is_a_head_alone() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/e": Bytes(b"").hit()})) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.ask(get("/e"))).body == b""
            assert server.meter.responses == [(None, "blob", 0, 200)] * 2

    run(main())


@pytest.mark.parametrize(
    "field", ["Range: bytes=0-1", "Authorization: Bearer x", "If-None-Match: *", "Connection: close"]
)
def test_a_request_that_is_not_plain_is_decided(field: str) -> None:
    async def main() -> None:
        app = MemoryApp(
            hits={b"/a": Bytes(b"hit").hit()}, answers={"/a": lambda _: Answer(200, [], b"decided")}
        )
        async with served(app) as server:
            client = await server.client()
            assert (await client.ask(get("/a"))).body == b"hit"
            assert (await client.ask(get("/a", field))).body == b"decided"

    run(main())


def test_a_hit_that_fails_before_a_byte_left_becomes_an_error_answer() -> None:
    async def main() -> None:
        gone = Bytes(b"x", fail_at=0)
        gone.error = NotFound("removed meanwhile", where="/a")
        async with served(MemoryApp(hits={b"/a": gone.hit()})) as server:
            client = await server.client()
            for _ in range(2):
                response = await client.ask(get("/a"))
                assert response.status == 404
                assert json.loads(response.body)["error"]["message"] == "removed meanwhile"

    run(main())


def test_a_hit_whose_loan_fails_after_bytes_left_is_never_followed_by_an_error_answer() -> None:
    async def main() -> None:
        piece = Bytes(b"x" * 50)
        hit = piece.hit()
        lend, calls = hit.lend, []

        def closes_badly(start: int, stop: int, use: Use, use_file: UseFile | None, file_stop: int) -> int:
            calls.append(start)
            lend(start, stop, use, use_file, file_stop)
            raise NotFound("the transaction would not close")

        hit.lend = closes_badly
        async with served(MemoryApp(hits={b"/a": Bytes(b"").hit(), b"/b": hit})) as server:
            client = await server.client()
            await client.ask(get("/a"))  # fills the memo of heads, so that /b takes the short way
            response = await client.ask(get("/b"))
            assert (response.status, response.body) == (200, b"x" * 50)
            assert calls == [0]
            assert (await client.ask(get("/a"))).status == 200

    run(main())


def test_an_app_that_fails_to_look_a_hit_up_answers_with_its_error() -> None:
    class Failing(MemoryApp):
        def hit(self, target: bytes) -> Hit | None:
            if target == b"/gone":
                raise NotFound("not even a memo")
            return super().hit(target)

    async def main() -> None:
        async with served(Failing(hits={b"/a": Bytes(b"hello").hit()})) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.ask(get("/a"))).body == b"hello"
                assert (await client.ask(get("/gone"))).status == 404

    run(main())


def test_a_hit_that_fails_in_its_middle_ends_in_a_reset() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/a": Bytes(BODY, fail_at=131072).hit()})) as server:
            client = await server.client()
            await client.send(get("/a"))
            data, clean = await client.rest()
            assert not clean
            assert len(data) < len(BODY)
            await until(lambda: bool(server.meter.responses))
            assert server.meter.responses == [(None, "blob", 131072, 200)]

    run(main())


def _items() -> Iterator[bytes | Bytes]:
    yield b"one,"
    yield b""
    yield Bytes(b"two," * 100, stride=7)
    yield b"three"


ITEMS = b"one," + b"two," * 100 + b"three"


def test_iterables_are_chunked_or_counted_or_ended_by_closing() -> None:
    async def main() -> None:
        app = MemoryApp(
            answers={
                "/chunked": lambda _: Answer(200, [], _items(), kind="k"),
                "/counted": lambda _: Answer(200, [], _items(), len(ITEMS), kind="k", account="acme"),
            }
        )
        async with served(app) as server:
            client = await server.client()
            chunked = await client.ask(get("/chunked"))
            assert chunked.fields["transfer-encoding"] == "chunked"
            assert chunked.body == ITEMS
            counted = await client.ask(get("/counted"))
            assert counted.fields["content-length"] == str(len(ITEMS))
            assert counted.body == ITEMS
            kept = await client.ask(get("/counted", "Connection: keep-alive", version="1.0"))
            assert kept.fields["connection"] == "keep-alive"
            old = await client.ask(get("/chunked", "Connection: keep-alive", version="1.0"))
            assert old.body == ITEMS
            assert old.fields["connection"] == "close"
            assert "transfer-encoding" not in old.fields
            size = len(ITEMS)
            billed = [
                (None, "k", size, 200),
                ("acme", "k", size, 200),
                ("acme", "k", size, 200),
                (None, "k", size, 200),
            ]
            assert server.meter.responses == billed

    run(main())


def test_head_gets_the_fields_of_get_and_no_body() -> None:
    async def main() -> None:
        app = MemoryApp(
            answers={
                "/bytes": lambda _: Answer(200, [("X", "y")], b"hello"),
                "/pieces": lambda _: Answer(200, [], _items()),
                "/bare": lambda _: Answer(200, [], None, 1 << 40),
            }
        )
        async with served(app) as server:
            client = await server.client()
            assert (await client.ask(get("/bytes", method="HEAD"), to_head=True)).fields[
                "content-length"
            ] == "5"
            fields = (await client.ask(get("/pieces", method="HEAD"), to_head=True)).fields
            assert fields["transfer-encoding"] == "chunked"
            fields = (await client.ask(get("/bare", method="HEAD"), to_head=True)).fields
            assert fields["content-length"] == str(1 << 40)
            assert (await client.ask(get("/bytes"))).body == b"hello"
            assert [row[2] for row in server.meter.responses] == [0, 0, 0, 5]

    run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_content_carry_none(status: int) -> None:
    async def main() -> None:
        async with served(MemoryApp(answers={"/": lambda _: Answer(status, [], b"never")})) as server:
            client = await server.client()
            response = await client.ask(get("/"))
            assert "content-length" not in response.fields
            assert (await client.ask(get("/"))).status == status

    run(main())


def _fails_after(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 100_000
    raise NotFound("the rest is gone")


@pytest.mark.parametrize("length", [None, 300_000])
def test_a_body_that_fails_after_the_head_left_has_no_clean_end(length: int | None) -> None:
    async def main() -> None:
        app = MemoryApp(answers={"/": lambda _: Answer(200, [], _fails_after(2), length)})
        async with served(app, send_buffer=4096) as server:
            client = await server.client()
            await client.send(get("/"))
            data, clean = await client.rest()
            assert not clean
            assert b"\r\n0\r\n\r\n" not in data
            assert server.meter.events["aborted"] == 1
            assert server.meter.responses[0][2] <= 200_000

    run(main())


def test_a_body_that_fails_at_once_becomes_an_error_answer() -> None:
    async def main() -> None:
        app = MemoryApp(answers={"/": lambda _: Answer(200, [], _fails_after(0))})
        async with served(app) as server:
            client = await server.client()
            response = await client.ask(get("/"))
            assert response.status == 404
            assert json.loads(response.body)["error"]["kind"] == "not_found"
            assert (await client.ask(get("/x"))).status == 404  # the connection lives on

    run(main())


@pytest.mark.parametrize("said", [len(ITEMS) - 1, len(ITEMS) + 1])
def test_a_body_of_another_length_than_announced_has_no_clean_end(said: int) -> None:
    async def main() -> None:
        app = MemoryApp(answers={"/": lambda _: Answer(200, [], _big_items(), said + 300_000)})
        async with served(app, send_buffer=4096) as server:
            client = await server.client()
            await client.send(get("/"))
            data, clean = await client.rest()
            assert not clean
            assert len(data.partition(b"\r\n\r\n")[2]) < said + 300_000

    run(main())


def _big_items() -> Iterator[bytes | Bytes]:
    yield b"x" * 300_000
    yield from _items()


def test_closing_is_said_and_done() -> None:
    async def main() -> None:
        app = MemoryApp(
            answers={
                "/": lambda _: Answer(200, [], b"bye", close=True),
                "/x": lambda _: Answer(200, [], b"x"),
            }
        )
        async with served(app) as server:
            for request in (get("/"), get("/x", "Connection: close"), get("/x", version="1.0")):
                client = await server.client()
                response = await client.ask(request)
                assert response.fields["connection"] == "close"
                assert await client.rest() == (b"", True)

    run(main())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def main() -> None:
        app = MemoryApp(
            hits={b"/hit": Bytes(b"hit").hit()}, answers={"/d": lambda r: Answer(200, [], r.query.encode())}
        )
        async with served(app) as server:
            client = await server.client()
            await client.send(b"".join(get(f"/d?{n}") + get("/hit") for n in range(200)))
            for n in range(200):
                assert (await client.response()).body == str(n).encode()
                assert (await client.response()).body == b"hit"

    run(main())


def test_a_client_that_sends_a_byte_at_a_time_is_served_like_any_other() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/a": Bytes(b"hello").hit()})) as server:
            client = await server.client()
            for _ in range(2):
                for byte in get("/a"):
                    await client.send(bytes([byte]))
                    await until(lambda: True)
                assert (await client.response()).body == b"hello"

    run(main())


def test_a_half_closed_client_still_gets_its_answers() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/a": Bytes(BODY).hit()})) as server:
            client = await server.client()
            await client.send(get("/a") + get("/a"))
            client.writer.write_eof()
            data, clean = await client.rest()
            assert clean
            assert data.count(BODY) == 2

    run(main())


def test_errors_are_the_json_of_the_contract_with_their_fields() -> None:
    def refuse(request: Request) -> Answer:
        raise {"/401": Unauthenticated("no token"), "/503": Busy("later")}[request.path]

    async def main() -> None:
        async with served(MemoryApp(answers={"/401": refuse, "/503": refuse})) as server:
            client = await server.client()
            response = await client.ask(get("/401"))
            assert response.status == 401
            assert response.fields["www-authenticate"].startswith("Bearer")
            assert json.loads(response.body) == {
                "error": {"kind": "unauthenticated", "message": "no token", "where": "", "hint": ""}
            }
            response = await client.ask(get("/503"))
            assert (response.status, response.fields["retry-after"]) == (503, "5")

    run(main())


def test_a_bug_in_the_app_is_a_500_that_says_nothing_of_it(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Request) -> Answer:
        raise ZeroDivisionError("secret detail")

    async def main() -> None:
        app = MemoryApp(
            answers={"/": broken, "/bad": lambda _: Answer(200, [("X", "a\r\nSet-Cookie: b")], b"")}
        )
        async with served(app) as server:
            client = await server.client()
            response = await client.ask(get("/"))
            assert response.status == 500
            assert b"secret" not in response.body
            assert (await client.ask(get("/bad"))).status == 500
            assert (await client.ask(get("/none"))).status == 404

    run(main())
    assert "secret detail" in caplog.text


def test_a_refused_request_gets_its_answer_and_then_the_end() -> None:
    async def main() -> None:
        async with served(MemoryApp()) as server:
            client = await server.client()
            # More follows than is read: without a lingering close the reset would overtake the answer.
            response = await client.ask(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n" + b"x" * 500_000)
            assert response.status == 400
            assert response.fields["connection"] == "close"
            assert json.loads(response.body)["error"]["where"] == "Host"
            assert await client.rest() == (b"", True)
            assert server.meter.events["parse_errors"] == 1

    run(main())


def test_a_unix_socket_is_served_too(tmp_path: Path) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / "s"))
        async with served(MemoryApp(hits={b"/a": Bytes(b"hello").hit()}), sock=sock) as server:
            client = await server.client()
            assert (await client.ask(get("/a"))).body == b"hello"

    run(main())
