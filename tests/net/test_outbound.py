"""The HTTP client of services: which addresses it dials, how far it follows, what it refuses."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from net.guard import Guard
from net.outbound import Outbound, OutboundLimits
from runtime.errors import Forbidden, SourceTimeout, TooLarge, Unreachable
from tests.net.certificates import trusting, write_certificate

pytestmark = pytest.mark.timeout(60)
ONLY_ONE = ("127.0.0.1/32",)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes, *, stays: bool = False) -> Talk:
    """A server that answers each request head with these bytes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await head(reader):
            writer.write(answer)
            await writer.drain()
            if not stays:
                return

    return talk


async def head(reader: asyncio.StreamReader) -> bytes:
    """One request head; b"" at the end."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


class Server:
    """A listening server that counts connections."""

    def __init__(self) -> None:
        self.port, self.connections = 0, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def server(talk: Talk, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    found = Server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, host, port)
    found.port = listening.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        listening.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def outbound(*nets: str, **limits: Any) -> Outbound:
    return Outbound(Guard(nets or ONLY_ONE), OutboundLimits(**limits))


async def fetched(client: Outbound, url: str, **how: Any) -> bytes:
    reply = await client.get(url, **{"max_bytes": 1 << 20, "deadline_s": 5.0, **how})
    async with reply:
        return await reply.read()


HIDDEN = {
    "decimal": "2130706434",
    "hexadecimal": "0x7f000002",
    "octal": "0177.0.0.2",
    "short": "127.2",
    "mapped": "[::ffff:127.0.0.2]",
    "mapped in hex": "[::ffff:7f00:2]",
    "loopback of IPv6": "[::1]",
    "unspecified": "0.0.0.0",
    "unspecified of IPv6": "[::]",
    "NAT64": "[64:ff9b::7f00:2]",
    "local NAT64": "[64:ff9b:1::7f00:2]",
    "6to4": "[2002:7f00:2::1]",
    "Teredo": "[2001:0:7f00:2::1]",
    "link-local": "169.254.169.254",
    "carrier-grade NAT": "100.64.0.1",
    "multicast": "224.0.0.1",
    "unique local": "[fd00::1]",
    "link-local of IPv6": "[fe80::1]",
    "multicast of IPv6": "[ff02::1]",
}


@pytest.mark.parametrize("host", HIDDEN.values(), ids=HIDDEN.keys())
@pytest.mark.parametrize("by_redirect", [False, True], ids=["asked for", "redirected to"])
def test_no_spelling_of_an_inner_address_is_dialled(host: str, by_redirect: bool) -> None:
    async def test() -> None:
        async with server(says(OK), "127.0.0.2") as inner:
            url = f"http://{host}:{inner.port}/x"
            moved = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
            async with server(says(moved)) as outer:
                with pytest.raises(Forbidden):
                    await fetched(outbound(), f"{outer.url}/" if by_redirect else url)
            assert inner.connections == 0

    run(test())


BAD_URLS = {
    "a file": "file:///etc/passwd",
    "another scheme": "ftp://127.0.0.1/",
    "user info": "http://user@127.0.0.1/",
    "user info that looks like a host": "http://example.org:80@127.0.0.1/",
    "a zone": "http://[fe80::1%25eth0]/",
    "the port of mail": "http://127.0.0.1:25/",
    "port 0": "http://127.0.0.1:0/",
    "no port at all": "http://127.0.0.1:65536/",
    "a unicode host": "http://127\u30020\u30020\u30021/",
    "wide digits": "http://\uff11\uff12\uff17.0.0.1/",
    "a new line": "http://127.0.0.1/\r\nX: y",
    "a delete": "http://127.0.0.1/\x7f",
    "no host": "http:///x",
    "no URL": "http",
}


@pytest.mark.parametrize("url", BAD_URLS.values(), ids=BAD_URLS.keys())
@pytest.mark.parametrize("by_redirect", [False, True], ids=["asked for", "redirected to"])
def test_only_plain_web_urls_are_fetched(url: str, by_redirect: bool) -> None:
    async def test() -> None:
        if not by_redirect:
            with pytest.raises(Forbidden):
                await fetched(outbound(), url)
            return
        raw = url.encode("utf-8").replace(b"\r\n", b"\r\n ")
        moved = b"HTTP/1.1 302 Found\r\nLocation: " + raw + b"\r\nContent-Length: 0\r\n\r\n"
        async with server(says(moved)) as outer:
            with pytest.raises((Forbidden, Unreachable)):
                await fetched(outbound(), f"{outer.url}/")
            assert outer.connections <= 1 + OutboundLimits().redirects

    run(test())


def test_the_address_that_was_judged_is_the_one_dialled() -> None:
    """A name that resolves differently the second time (DNS rebinding) gains nothing."""

    async def test() -> None:
        answers = iter((["127.0.0.1"], ["127.0.0.2"]))

        async def resolve(host: str, port: int) -> Sequence[str]:
            return next(answers)

        async with server(says(OK)) as outer, server(says(OK), "127.0.0.2", outer.port) as inner:
            client = Outbound(Guard(ONLY_ONE), resolve=resolve)
            assert await fetched(client, f"http://rebinding.example:{outer.port}/") == b"ok"
            with pytest.raises(Forbidden):
                await fetched(client, f"http://rebinding.example:{outer.port}/")
            assert (outer.connections, inner.connections) == (1, 0)

    run(test())


def test_a_name_with_one_inner_address_among_others_is_refused() -> None:
    async def test() -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1", "10.0.0.1"]

        async with server(says(OK)) as outer:
            with pytest.raises(Forbidden):
                await fetched(
                    Outbound(Guard(ONLY_ONE), resolve=resolve), f"http://mixed.example:{outer.port}/"
                )
            assert outer.connections == 0

    run(test())


def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    async def test() -> None:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.3", "127.0.0.1"]

        async with server(says(OK)) as outer:
            client = Outbound(Guard(("127.0.0.0/8",)), resolve=resolve)
            assert await fetched(client, f"http://two.example:{outer.port}/") == b"ok"

    run(test())


def test_redirects_end_and_a_loop_is_no_way_on() -> None:
    async def test() -> None:
        moved = b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
        async with server(says(moved)) as loop:
            with pytest.raises(Unreachable, match="too many redirects"):
                await fetched(outbound(), f"{loop.url}/")
            assert loop.connections == 1 + OutboundLimits().redirects

    run(test())


def test_a_redirect_is_followed_with_the_same_care() -> None:
    async def test() -> None:
        async with server(says(OK)) as there:
            moved = f"HTTP/1.1 308 Moved\r\nLocation: {there.url}/x\r\nContent-Length: 0\r\n\r\n".encode()
            async with server(says(moved)) as here:
                assert await fetched(outbound(), f"{here.url}/") == b"ok"

    run(test())


@pytest.mark.parametrize("framing", ["length", "chunks", "until close"])
def test_an_answer_that_is_too_long_is_cut_off(framing: str) -> None:
    heads = {
        "length": b"Content-Length: 1000000000000\r\n\r\n",
        "chunks": b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        "until close": b"Connection: close\r\n\r\n",
    }

    async def test() -> None:
        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\n" + heads[framing])
            while True:
                writer.write(bytes(65536))
                await writer.drain()

        async with server(endless) as bad:
            with pytest.raises(TooLarge):
                await fetched(outbound(), f"{bad.url}/", max_bytes=200_000)

    run(test())


def test_an_answer_that_drips_ends_at_the_deadline() -> None:
    async def test() -> None:
        async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.01)

        async with server(drips) as bad:
            with pytest.raises(SourceTimeout):
                await fetched(outbound(), f"{bad.url}/", deadline_s=0.5)

    run(test())


@pytest.mark.parametrize("silent", ["before the head", "in the body"])
def test_a_silent_server_is_given_up(silent: str) -> None:
    async def test() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await head(reader)
            if silent == "in the body":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            await reader.read()

        async with server(mute) as bad:
            with pytest.raises(SourceTimeout):
                await fetched(outbound(idle_s=0.2), f"{bad.url}/")

    run(test())


BROKEN = {
    "a cut body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "a cut chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_answer_is_an_error_and_never_a_shorter_body(answer: bytes) -> None:
    async def test() -> None:
        async with server(says(answer)) as bad:
            with pytest.raises(Unreachable):
                await fetched(outbound(), f"{bad.url}/")

    run(test())


def test_connections_are_reused_only_when_asked_for() -> None:
    async def test() -> None:
        async with server(says(OK, stays=True)) as good:
            client = outbound()
            for _ in range(3):
                assert await fetched(client, f"{good.url}/") == b"ok"
            assert good.connections == 3
            for _ in range(3):
                assert await fetched(client, f"{good.url}/", reuse=True) == b"ok"
            assert good.connections == 4
            client.close()

    run(test())


@pytest.mark.parametrize("late", [False, True], ids=["with the answer", "later"])
def test_a_connection_with_surplus_is_thrown_away(late: bool) -> None:
    async def test() -> None:
        said = asyncio.Event()

        async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await head(reader):
                writer.write(OK if late else OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
                await writer.drain()
                if late:
                    await asyncio.sleep(0.05)
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
                    await writer.drain()
                    await asyncio.sleep(0.05)
                said.set()

        async with server(chatty) as bad:
            client = outbound()
            assert await fetched(client, f"{bad.url}/", reuse=True) == b"ok"
            await said.wait()
            assert await fetched(client, f"{bad.url}/", reuse=True) == b"ok"
            assert bad.connections == 2
            client.close()

    run(test())


def test_put_sends_the_body_and_follows_no_redirect() -> None:
    async def test() -> None:
        taken: list[bytes] = []

        async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append(await head(reader))
            taken.append(await reader.readexactly(6))
            writer.write(b"HTTP/1.1 307 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()

        async with server(takes) as there:
            reply = await outbound().put(
                f"{there.url}/x", b"record", content_type="text/plain", max_bytes=100, deadline_s=5
            )
            async with reply:
                assert reply.status == 307
            assert taken[0].startswith(b"PUT /x HTTP/1.1\r\n")
            assert b"content-type: text/plain\r\n" in taken[0].lower()
            assert taken[1:] == [b"record"]
            assert there.connections == 1

    run(test())


def test_what_is_wrong_with_a_certificate_or_a_name_is_told_without_the_name(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "any")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(*files)

    async def local(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async def reason(url: str, *known: Any) -> str:
        with pytest.raises(Unreachable) as caught:
            await Outbound(Guard(ONLY_ONE), OutboundLimits(), *known).get(url, max_bytes=9, deadline_s=9)
        return caught.value.message

    async def test() -> None:
        async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=theirs) as listening:
            port = listening.sockets[0].getsockname()[1]
            url = f"https://inner.example:{port}/"
            assert (
                await reason(url, trusting(files[0]), local)
                == "its certificate is refused: hostname mismatch"
            )
            said = await reason(url, None, local)
            assert said.startswith("its certificate is refused: self"), said
        assert (await reason("http://inner.invalid/")).startswith("its name cannot be resolved: ")

    run(test())
