"""TLS: the same answers under it, large writes, reload, and clients that do it wrong."""

import asyncio
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from net.answer import Answer
from net.limits import HttpLimits
from runtime.errors import UsageError
from tests.net.certificates import serving, trusting, write_certificate
from tests.net.memory_app import Bytes, Client, MemoryApp, Server, echo, get, run, served, until

BODY = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, "first")


def app() -> MemoryApp:
    hits = {b"/a": Bytes(b"hello").hit(), b"/b": Bytes(BODY, stride=262144).hit(), b"/e": Bytes(b"").hit()}
    return MemoryApp(hits=hits, handlers={"/echo": echo})


def organisation(stream: asyncio.StreamWriter) -> str:
    names = stream.get_extra_info("ssl_object").getpeercert()["subject"]
    return str(dict(pair for group in names for pair in group)["organizationName"])


async def by_hand(server: Server, cert: Path) -> tuple[Client, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A connection whose TLS the test does itself: client, session, its incoming and outgoing bytes."""
    return await shaken(await server.client(receive_buffer=4096), cert)


async def shaken(client: Client, cert: Path) -> tuple[Client, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(cert).wrap_bio(incoming, outgoing, server_hostname="localhost")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            await client.send(outgoing.read())
            answer = await client.reader.read(65536)
            assert answer, "the handshake was given up"
            incoming.write(answer)
    await client.send(outgoing.read())
    return client, tls, incoming, outgoing


def test_who_has_just_come_is_served_by_a_listener_that_drains(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            young = await server.client()
            await until(lambda: server.listener.connections == 1)
            draining = asyncio.create_task(server.listener.drain(10.0))
            await asyncio.sleep(0)
            client, tls, incoming, outgoing = await shaken(young, files[0])
            tls.write(get("/none"))
            await client.send(outgoing.read())
            answer, clean = await client.rest()
            incoming.write(answer)
            client.close()
            assert opened(tls).startswith(b"HTTP/1.1 404 ")
            assert clean
            assert await draining == 0

    run(main())


def opened(tls: ssl.SSLObject) -> bytes:
    data = b""
    try:
        while part := tls.read(65536):
            data += part
    except ssl.SSLWantReadError:
        pass
    return data


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_hits_and_uploads_are_the_same_under_tls(files: tuple[Path, Path], version: ssl.TLSVersion) -> None:
    async def main() -> None:
        trust = trusting(files[0])
        trust.minimum_version = trust.maximum_version = version
        async with served(app(), tls=serving(files)) as server:
            client = await server.client(tls=trust)
            assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            for _ in range(2):
                assert (await client.ask(get("/a"))).body == b"hello"
                assert (await client.ask(get("/e"))).body == b""
                assert (await client.ask(get("/b"))).body == BODY
            request = get("/echo", f"Content-Length: {len(BODY)}", "Expect: 100-continue", method="PUT")
            await client.send(request)
            assert (await client.head())[0] == 100
            sending = asyncio.create_task(client.send(BODY + get("/a") * 3))
            assert (await client.response()).body == BODY
            for _ in range(3):
                assert (await client.response()).body == b"hello"
            await sending
            assert server.meter.events["tls_handshakes"] == 1
            assert sum(row[2] for row in server.meter.responses) == 3 * len(BODY) + 5 * 5

    run(main())


def test_a_hit_that_was_sealed_whole_and_not_sent_is_sent_when_the_client_reads(
    files: tuple[Path, Path],
) -> None:
    async def main() -> None:
        data = bytes(range(250)) * 1000  # one write, more than the kernels hold
        one = MemoryApp(hits={b"/a": Bytes(b"hello").hit(), b"/one": Bytes(data, stride=262144).hit()})
        async with served(one, tls=serving(files), send_buffer=4096) as server:
            client, tls, incoming, outgoing = await by_hand(server, files[0])
            for target in ("/a", "/one"):
                client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport can
                tls.write(get(target))
                await client.send(outgoing.read())
                await asyncio.sleep(0.1)
                if target == "/one":
                    assert len(server.meter.responses) == 1, "sealed is not sent"
                client.writer.transport.resume_reading()  # type: ignore[attr-defined]
                got = b""
                while not got.endswith(b"hello" if target == "/a" else data):
                    incoming.write(await client.reader.read(65536))
                    got += opened(tls)
            await until(lambda: len(server.meter.responses) == 2)
            assert server.meter.responses[1] == (None, "blob", len(data), 200)

    run(main())


def test_a_body_that_fails_under_tls_has_no_close_notify(files: tuple[Path, Path]) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100_000
        yield b"x" * 100_000
        raise OSError("a disk gave up")

    async def main() -> None:
        failing = MemoryApp(answers={"/": lambda _: Answer(200, [], broken())})
        async with served(failing, tls=serving(files), send_buffer=4096) as server:
            client = await server.client(tls=trusting(files[0]))
            await client.send(get("/", version="1.0"))  # a body that ends with the connection
            data, clean = await client.rest()
            assert not clean
            assert len(data) < 201_000

    run(main())


def test_a_last_answer_under_tls_ends_with_close_notify(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            client = await server.client(tls=trusting(files[0]))
            response = await client.ask(get("/none", "Connection: close"))
            assert response.status == 404
            assert await client.rest() == (b"", True)

    run(main())


def test_a_client_that_never_reads_is_billed_for_what_left_and_not_for_what_was_sealed(
    files: tuple[Path, Path],
) -> None:
    async def main() -> None:
        piece = Bytes(bytes(32 << 20), stride=262144)
        stuck = MemoryApp(answers={"/": lambda _: Answer(200, [], iter([piece]), len(piece.data))})
        async with served(stuck, tls=serving(files), send_buffer=65536) as server:
            client = await server.client(tls=trusting(files[0]), receive_buffer=65536)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            await client.send(get("/"))
            await until(lambda: piece.taken_bytes > 0)
            before = -1
            while before != piece.taken_bytes:  # until the kernels are full
                before = piece.taken_bytes
                await asyncio.sleep(0.05)
            assert piece.taken_bytes < 8 << 20
            server.pass_time(HttpLimits().write_idle_s + 1)
            (_, _, billed, _), *more = server.meter.responses
            assert not more
            assert 0 < billed < piece.taken_bytes, "what was sealed and never left is not billed"

    run(main())


def test_bad_files_are_a_usage_error_that_names_them(files: tuple[Path, Path], tmp_path: Path) -> None:
    serving(files)
    other = tmp_path / "other"
    other.mkdir()
    strange_key = write_certificate(other, "other")[1]
    for cert, key in ((files[0], strange_key), (files[0], files[0]), (tmp_path / "none", files[1])):
        with pytest.raises(UsageError) as caught:
            serving((cert, key))
        assert str(cert) in caught.value.where


def test_a_handshake_that_is_not_one_or_takes_too_long_ends(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            plain = await server.client()
            await plain.send(get("/a"))
            await plain.rest()
            await until(lambda: server.meter.events["tls_failures"] == 1)
            silent = await server.client()
            await until(lambda: server.listener.connections == 1)
            server.pass_time(HttpLimits().tls_handshake_s + 1)
            assert not (await silent.rest())[1]
            assert server.meter.events["timeout_tls_handshake"] == 1
            vanished = await server.client()
            await until(lambda: server.listener.connections == 1)
            vanished.writer.write_eof()
            await until(lambda: server.listener.connections == 0)

    run(main())


def test_close_notify_ends_an_idle_connection_though_its_socket_stays_open(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            client, tls, _, outgoing = await by_hand(server, files[0])
            await until(lambda: server.meter.events["tls_handshakes"] == 1)
            with pytest.raises(ssl.SSLError):
                tls.unwrap()  # writes close_notify, and wants to wait for the answer
            await client.send(outgoing.read())
            await until(lambda: server.listener.connections == 0)

    run(main())


def test_an_idle_tls_connection_has_the_time_of_any_other(files: tuple[Path, Path]) -> None:
    async def main() -> None:
        limits = HttpLimits()
        async with served(app(), tls=serving(files)) as server:
            client = await server.client(tls=trusting(files[0]))
            assert (await client.ask(get("/a"))).body == b"hello"
            server.pass_time(limits.tls_handshake_s + 5)
            assert (await client.ask(get("/a"))).body == b"hello"
            server.pass_time(limits.keep_alive_s + 1)
            assert await client.rest() == (b"", True)

    run(main())


def test_a_request_that_ends_with_close_notify_is_answered_and_the_connection_closed(
    files: tuple[Path, Path],
) -> None:
    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            for target, size in (("/a", 5), ("/none", 0), ("/b", len(BODY))):
                client, tls, incoming, outgoing = await by_hand(server, files[0])
                tls.write(get(target))
                with pytest.raises(ssl.SSLError):
                    tls.unwrap()  # close_notify, in the same packet; the socket stays open
                await client.send(outgoing.read())
                got = b""
                while sealed := await client.reader.read(65536):
                    incoming.write(sealed)
                    try:
                        got += opened(tls)
                    except ssl.SSLZeroReturnError:
                        pass
                assert got.startswith(b"HTTP/1.1 404" if target == "/none" else b"HTTP/1.1 200")
                assert len(got) > size
                if size:
                    assert got.endswith(b"hello" if target == "/a" else BODY)
            await until(lambda: server.listener.connections == 0)

    run(main())


def test_a_handshake_larger_than_the_kernels_buffers_goes_on_when_the_client_reads(
    files: tuple[Path, Path],
) -> None:
    files[0].write_bytes(files[0].read_bytes() * 100)  # a long chain: clients take 100 kB of it

    async def main() -> None:
        async with served(app(), tls=serving(files), send_buffer=4096) as server:
            outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = trusting(files[0]).wrap_bio(incoming, outgoing, server_hostname="localhost")
            client = await server.client(receive_buffer=4096)
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]  # every transport here can
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            await client.send(outgoing.read())
            await asyncio.sleep(0.05)  # the server fills the kernels' buffers meanwhile
            client.writer.transport.resume_reading()  # type: ignore[attr-defined]
            while server.meter.events["tls_handshakes"] == 0:
                incoming.write(await client.reader.read(65536))
                try:
                    tls.do_handshake()
                    await client.send(outgoing.read())
                    await until(lambda: server.meter.events["tls_handshakes"] == 1)
                except ssl.SSLWantReadError:
                    pass

    run(main())


@pytest.mark.alone
def test_two_thousand_idle_connections_under_tls_do_not_disturb_the_others(files: tuple[Path, Path]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4200:
        pytest.skip(f"this machine allows {hard} descriptors, 4200 are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4200 if soft < 4200 else soft, hard))

    async def main() -> None:
        async with served(app(), tls=serving(files)) as server:
            idle = [await server.client() for _ in range(2000)]
            for client in idle[:50]:
                await client.send(b"\x16\x03\x01\x02")  # some of them in the middle of a hello
            await until(lambda: server.listener.connections == 2000)
            busy = await server.client(tls=trusting(files[0]))
            for _ in range(50):
                assert (await busy.ask(get("/a"))).body == b"hello"
            server.pass_time(HttpLimits().tls_handshake_s + 1)
            await until(lambda: server.meter.events["timeout_tls_handshake"] == 2000)
            assert (await busy.ask(get("/b"))).body == BODY

    try:
        run(main())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
