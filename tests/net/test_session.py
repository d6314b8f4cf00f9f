"""A kept connection of the command line's client: one for many requests, a new one when it is lost."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from net.client import ClientLimits
from net.session import Session
from runtime.errors import SourceTimeout, TooLarge, Unreachable, UsageError
from tests.net.certificates import trusting, write_certificate

QUICK = ClientLimits(connect_s=5.0, idle_s=0.3)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@contextmanager
def server(*connections: list[bytes]) -> Iterator[tuple[str, list[list[bytes]]]]:
    """Answers each request of each connection in turn, then closes; gives its address and what it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[list[bytes]] = []

    def serve() -> None:
        for answers in connections:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            got.append([])
            with sock:
                for answer in answers:
                    got[-1].append(_request(sock))
                    sock.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


def ask(session: Session, target: str = "/", method: str = "GET", **body: object) -> bytes:
    session.send(method, target, **body)  # type: ignore[arg-type]
    return session.body(session.receive(), 1000)


def test_requests_share_a_connection() -> None:
    with server([OK, OK, OK]) as (base, got), Session(base, limits=QUICK) as session:
        assert [ask(session, f"/{index}") for index in range(3)] == [b"ok"] * 3
    assert [request.split(b" ")[1] for request in got[0]] == [b"/0", b"/1", b"/2"]
    assert b"connection: close" not in got[0][0].lower()


def test_a_connection_that_the_server_ended_is_made_again() -> None:
    with server([LAST], [OK]) as (base, got), Session(base, limits=QUICK) as session:
        assert ask(session) == b"ok"
        assert ask(session) == b"ok"
    assert len(got) == 2


def test_a_body_is_sent_in_pieces_under_its_length() -> None:
    pieces = [b"a" * 70_000, b"b"]
    with server([OK, OK]) as (base, got), Session(base, limits=QUICK) as session:
        ask(session, "/x", "PATCH", body=pieces, body_bytes=70_001)
        ask(session, "/y", "POST")
    assert b"Content-Length: 70001" in got[0][0]
    assert got[0][0].endswith(b"ab")
    assert b"Content-Length: 0" in got[0][1]


def test_an_answer_in_the_middle_of_a_body_is_heard_and_ends_the_connection() -> None:
    refusal = b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(refusal)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 20):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    with Session(f"http://127.0.0.1:{listener.getsockname()[1]}", limits=QUICK) as session:
        session.send("POST", "/", (), (bytes(1 << 20) for _ in range(20)), 20 << 20)
        reply = session.receive()
        assert (reply.status, session.body(reply, 100)) == (413, b"no")
    thread.join()
    listener.close()


def test_a_server_that_answers_early_and_reads_on_is_not_sent_everything() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    read_bytes = 0

    def serve() -> None:
        nonlocal read_bytes
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno")
            while data := sock.recv(1 << 20):
                read_bytes += len(data)

    thread = threading.Thread(target=serve)
    thread.start()
    with Session(f"http://127.0.0.1:{listener.getsockname()[1]}", limits=ClientLimits()) as session:
        session.send("PATCH", "/", (), (bytes(1 << 20) for _ in range(200)), 200 << 20)
        assert session.receive().status == 503
    thread.join()
    listener.close()
    assert read_bytes < 150 << 20


def test_what_was_sent_is_never_sent_again_by_itself() -> None:
    with server([OK, b""], [OK]) as (base, got), Session(base, limits=QUICK) as session:
        ask(session)
        session.send("POST", "/once")
        with pytest.raises(Unreachable):
            session.receive()
        assert ask(session) == b"ok"
    assert [len(each) for each in got] == [2, 1]


def test_a_body_above_the_limit_and_one_that_is_cut_are_errors() -> None:
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(2000)
    with server([big], [cut]) as (base, _), Session(base, limits=QUICK) as session:
        with pytest.raises(TooLarge):
            ask(session)
        with pytest.raises(Unreachable):
            ask(session)


def test_a_server_that_says_nothing_is_given_up() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, Session(f"http://127.0.0.1:{listener.getsockname()[1]}", limits=QUICK) as session:
        session.send("GET", "/")
        with pytest.raises(SourceTimeout):
            session.receive()


def test_what_cannot_be_asked_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        Session("ftp://example.com")
    with server([b""], [OK]) as (base, _), Session(base, limits=QUICK) as session:
        with pytest.raises(UsageError):
            session.send("GET", "/", [("X", "a\r\nb")])
        assert ask(session) == b"ok"


def test_records_of_tls_itself_are_no_answer(tmp_path: Path) -> None:
    chain, key = write_certificate(tmp_path, "test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []

    def serve() -> None:
        sock, _ = listener.accept()
        with context.wrap_socket(sock, server_side=True) as secure:  # sends tickets nobody reads yet
            got.append(_request(secure))
            secure.sendall(LAST)

    thread = threading.Thread(target=serve)
    thread.start()
    base = f"https://localhost:{listener.getsockname()[1]}"
    with Session(base, limits=ClientLimits(), trust=trusting(chain)) as session:
        assert ask(session, method="PATCH", body=[b"a" * 100_000] * 5, body_bytes=500_000) == b"ok"
    thread.join()
    listener.close()
    assert got[0].endswith(b"a" * 100_000)
    assert len(got[0]) > 500_000
