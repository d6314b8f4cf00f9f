"""Bodies whose bytes lie in files: sent without a copy, with nothing else different."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from net.answer import NO_LIMIT, Answer, Pause, Piece, file_stop
from net.limits import HttpLimits
from net.outgoing import Outgoing, Part, Pumped
from net.response import Framing
from net.wire import Wire
from tests.net.certificates import serving, trusting, write_certificate
from tests.net.memory_app import Bytes, Filed, MemoryApp, get, run, served, until

BODY = bytes(range(256)) * 4096  # 1 MiB, 16 strides


def test_a_hit_in_a_file_is_sent_whole_and_the_connection_kept() -> None:
    async def main() -> None:
        small, large = Filed(b"hello"), Filed(BODY)
        async with served(MemoryApp(hits={b"/a": small.hit(), b"/b": large.hit()})) as server:
            client = await server.client()
            for _ in range(3):
                assert (await client.ask(get("/a"))).body == b"hello"
                assert (await client.ask(get("/b"))).body == BODY
            await until(lambda: len(server.meter.responses) == 6)
            assert server.meter.responses == [(None, "blob", 5, 200), (None, "blob", len(BODY), 200)] * 3
        assert (small.lent["view"], large.lent["view"]) == (0, 0)

    run(main())


def test_a_slow_reader_gets_every_byte_of_a_file() -> None:
    async def main() -> None:
        data = os.urandom(3 << 20)
        async with served(MemoryApp(hits={b"/b": Filed(data).hit()}), send_buffer=16384) as server:
            client = await server.client(receive_buffer=16384)
            for _ in range(2):
                assert (await client.ask(get("/b"))).body == data
            await until(lambda: len(server.meter.responses) == 2)
            assert server.meter.responses == [(None, "blob", len(data), 200)] * 2

    run(main())


def _items() -> Iterator[bytes | Piece | Pause]:
    yield b"one,"
    yield Filed(b"two," * 100, stride=7)
    yield Bytes(b"three," * 10, stride=7)
    yield Filed(b"four")


ITEMS = b"one," + b"two," * 100 + b"three," * 10 + b"four"


@pytest.mark.parametrize("length", [len(ITEMS), None], ids=["counted", "chunked"])
def test_files_views_and_bytes_make_one_body_in_order(length: int | None) -> None:
    async def main() -> None:
        app = MemoryApp(answers={"/": lambda _: Answer(200, [], _items(), length)})
        async with served(app) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.ask(get("/"))).body == ITEMS
            await until(lambda: len(server.meter.responses) == 2)
            assert server.meter.responses == [(None, "other", len(ITEMS), 200)] * 2

    run(main())


def test_a_file_that_fails_in_its_middle_ends_in_a_reset() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/a": Filed(BODY, fail_at=131072).hit()})) as server:
            client = await server.client()
            await client.send(get("/a"))
            data, clean = await client.rest()
            assert not clean
            assert len(data) < len(BODY)
            await until(lambda: bool(server.meter.responses))
            assert server.meter.responses == [(None, "blob", 131072, 200)]

    run(main())


def test_a_file_that_is_shorter_than_was_said_ends_in_a_reset_and_not_in_a_loop() -> None:
    async def main() -> None:
        piece = Filed(BODY)
        os.truncate(piece.fd, 100 + 200_000)
        async with served(MemoryApp(hits={b"/a": piece.hit()})) as server:
            client = await server.client()
            await client.send(get("/a"))
            data, clean = await client.rest()
            assert not clean
            assert len(data) < len(BODY)
            await until(lambda: bool(server.meter.responses))
            assert server.meter.responses == [(None, "blob", 200_000, 200)]

    run(main())


def test_a_file_that_fails_before_a_byte_left_becomes_an_error_answer() -> None:
    async def main() -> None:
        async with served(MemoryApp(hits={b"/a": Filed(BODY, fail_at=0).hit()})) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.ask(get("/a"))).status == 500

    run(main())


def test_a_client_that_never_reads_is_billed_for_what_the_kernel_took_of_a_file() -> None:
    async def main() -> None:
        piece = Filed(bytes(64 << 20))
        never = MemoryApp(answers={"/": lambda _: Answer(200, [], iter([piece]), len(piece.data))})
        async with served(never, send_buffer=65536) as server:
            client = await server.client(receive_buffer=65536)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            await client.send(get("/"))
            await until(lambda: piece.taken_bytes > 0)
            server.pass_time(HttpLimits().write_idle_s + 1)
            assert server.meter.events["timeout_write"] == 1
            assert server.meter.responses == [(None, "other", piece.taken_bytes, 200)]
            assert 0 < piece.taken_bytes < 8 << 20

    run(main())


def test_under_tls_files_go_as_views(tmp_path: Path) -> None:
    async def main() -> None:
        files = write_certificate(tmp_path, "first")
        piece = Filed(BODY, stride=262144)
        async with served(MemoryApp(hits={b"/a": piece.hit()}), tls=serving(files)) as server:
            client = await server.client(tls=trusting(files[0]))
            for _ in range(2):
                assert (await client.ask(get("/a"))).body == BODY
        assert piece.lent["file"] == 0
        assert piece.lent["view"] > 0

    run(main())


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_file_system_cannot_lend_pages_views_are_sent(code: int) -> None:
    piece, sent = Filed(BODY), bytearray()

    def sendmsg(parts: list[Part]) -> int:
        sent.extend(b"".join(parts))
        return sum(map(len, parts))

    def send_file(parts: object, fd: int, offset: int, count: int) -> int:
        raise OSError(code, os.strerror(code))

    out = Outgoing(b"head", (piece,), Framing.LENGTH, len(BODY), status=200, kind="k", account=None)
    assert out.pump(sendmsg, 1 << 30, send_file) is Pumped.DONE  # type: ignore[arg-type]
    assert bytes(sent) == b"head" + BODY
    assert out.body_bytes == len(BODY)


def _pumped(piece: Filed, takes: int, room: int) -> tuple[Pumped, int]:
    """One pump of `piece` into a kernel that takes `takes` bytes at once and says it has `room`."""
    out = Outgoing(b"", (piece,), Framing.LENGTH, len(BODY), status=200, kind="k", account=None)

    def send_file(parts: object, fd: int, offset: int, count: int) -> int:
        return min(count, takes)

    ended = out.pump(lambda parts: 0, 1 << 30, send_file, lambda: room)
    return ended, out.body_bytes


def test_a_send_that_came_short_ends_the_turn_so_nothing_is_read_for_another_try() -> None:
    piece = Filed(BODY)
    assert _pumped(piece, 1000, 1 << 20) == (Pumped.BLOCKED, 1000)
    assert piece.lent["file"] == 1


def test_nothing_is_read_while_the_kernel_has_no_room() -> None:
    piece = Filed(BODY)
    assert _pumped(piece, 1 << 20, 0) == (Pumped.BLOCKED, 0)
    assert piece.lent["file"] == 0


@pytest.mark.parametrize(
    ("start", "stop", "room_bytes", "expected"),
    [
        (0, 1000, NO_LIMIT, 1000),
        (0, 1000, 1000, 1000),
        (0, 1000, 999, 900),
        (250, 1000, 100, 300),
        (250, 1000, 49, 200),  # not even the stride it is in: that one is offered all the same
    ],
)
def test_a_file_is_offered_by_whole_strides_where_there_is_no_room_for_all(
    start: int, stop: int, room_bytes: int, expected: int
) -> None:
    assert file_stop(start, stop, room_bytes, 100) == expected


def test_the_kernel_tells_its_room_and_none_when_it_would_not_wake_us() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    ours.setblocking(False)
    wire = Wire(ours, "", None, None)  # type: ignore[arg-type]  # nothing is watched
    assert wire.room_bytes() > 0
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(bytes(65536))
    assert wire.room_bytes() == 0
    for each in (ours, theirs, server):
        each.close()


def test_head_and_file_leave_together_and_what_the_kernel_did_not_take_is_told() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    piece = Filed(BODY)
    wire = Wire(ours, "", None, None)  # type: ignore[arg-type]  # nothing is watched
    taken = wire.send_file((b"head", b"ing"), piece.fd, 100, len(BODY))
    assert 7 < taken < len(BODY)
    assert theirs.recv(taken, socket.MSG_WAITALL) == (b"heading" + BODY)[:taken]
    while True:
        try:
            taken += wire.send_file((), piece.fd, 100 + taken - 7, len(BODY))
        except BlockingIOError:
            break
    assert taken < len(BODY)
    ours.close()
    theirs.close()
