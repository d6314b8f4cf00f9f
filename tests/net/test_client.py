"""The command line's HTTP client against our server and against servers that misbehave."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from net.answer import Answer
from net.client import ClientLimits, fetch
from net.http1 import Request
from net.tls import TlsServer
from runtime.errors import SourceTimeout, Unreachable, UsageError
from tests.net.certificates import serving, trusting, write_certificate
from tests.net.memory_app import Bytes, MemoryApp, echo, run, served

QUICK = ClientLimits(connect_s=2.0, idle_s=0.2)


@contextmanager
def raw_server(answer: bytes, *, hold: bool = False) -> Iterator[str]:
    """A server that answers its one connection with `answer`, then closes, or holds it open."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve_one() -> None:
        with listener.accept()[0] as sock:
            sock.recv(65536)
            sock.sendall(answer)
            if hold:
                done.wait(10)

    thread = threading.Thread(target=serve_one)
    thread.start()
    host, port = listener.getsockname()
    try:
        yield f"http://{host}:{port}/x"
    finally:
        done.set()
        thread.join()
        listener.close()


def against(app: MemoryApp, work: Callable[[str], None], tls: TlsServer | None = None) -> None:
    """Run `work` with the base URL of a listener that serves `app`."""

    async def main() -> None:
        async with served(app, tls=tls) as server:
            scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
            await asyncio.to_thread(work, f"{scheme}://{host}:{server.address[1]}")

    run(main())


def test_a_body_is_streamed_whole() -> None:
    data = bytes(range(256)) * 20000

    def work(base: str) -> None:
        with fetch(f"{base}/a?x=1", headers=[("X-Probe", "1")]) as reply:
            assert reply.status == 200
            assert reply.content_length == len(data)
            pieces = list(reply.pieces())
        assert max(map(len, pieces)) <= 262144
        assert b"".join(pieces) == data
        with fetch(f"{base}/put", method="PUT", body=data) as reply:
            assert b"".join(reply.pieces()) == data

    def seen(request: Request) -> Answer:
        assert request.fields.get("x-probe") == "1"
        assert request.query == "x=1"
        return Answer(200, [], iter([Bytes(data)]), len(data))

    against(MemoryApp(answers={"/a": seen}, handlers={"/put": echo}), work)


def test_certificates_are_verified(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "x")
    app = MemoryApp(answers={"/a": lambda _: Answer(200, [], b"hello")})

    def work(base: str) -> None:
        with fetch(f"{base}/a", trust=trusting(files[0])) as reply:
            assert b"".join(reply.pieces()) == b"hello"
        with pytest.raises(Unreachable, match="not trusted"):
            fetch(f"{base}/a")

    against(app, work, serving(files))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_a_truncated_or_broken_body_is_not_whole(answer: bytes) -> None:
    with raw_server(answer) as url, fetch(url) as reply, pytest.raises(Unreachable) as caught:
        list(reply.pieces())
    assert caught.value.where == url


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"])
def test_what_is_not_an_answer_is_unreachable(answer: bytes) -> None:
    with raw_server(answer) as url, pytest.raises(Unreachable):
        fetch(url)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"])
def test_a_server_that_stalls_is_a_timeout(answer: bytes) -> None:
    with (
        raw_server(answer, hold=True) as url,
        pytest.raises(SourceTimeout),
        fetch(url, limits=QUICK) as reply,
    ):
        list(reply.pieces())


def test_nobody_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        fetch(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url", ["ftp://a/", "a", "http://", "http://a:b/", "http://u:p@a/", "http://127.0.0.1/\x00"]
)
def test_what_is_not_a_url_for_us_is_a_usage_error(url: str) -> None:
    with pytest.raises((UsageError, Unreachable)):
        fetch(url, limits=QUICK)


def test_redirects_are_bounded_and_drop_credentials_elsewhere() -> None:
    seen: list[str | None] = []

    def last(request: Request) -> Answer:
        seen.append(request.fields.get("authorization"))
        return Answer(200, [], b"there")

    app = MemoryApp()
    app.answers["/last"] = last
    app.answers["/loop"] = lambda _: Answer(302, [("Location", "/loop")])
    app.answers["/one"] = lambda _: Answer(307, [("Location", "/last")])

    def work(base: str) -> None:
        token = [("Authorization", "Bearer x")]
        elsewhere = base.replace("127.0.0.1", "localhost")
        app.answers["/away"] = lambda _: Answer(307, [("Location", f"{elsewhere}/last")])
        with fetch(f"{base}/one") as reply:
            assert reply.status == 307  # not followed unless asked to
        follow = ClientLimits(redirects=3)
        for path in ("/one", "/away"):
            with fetch(f"{base}{path}", headers=token, limits=follow) as reply:
                assert b"".join(reply.pieces()) == b"there"
        with pytest.raises(Unreachable, match="more than 3 redirects"):
            fetch(f"{base}/loop", limits=follow)

    against(app, work)
    assert seen == ["Bearer x", None]
