"""The native TLS session by itself: crumbs, records of every size, resumption, ends, and what is hostile."""

import socket
import ssl
from pathlib import Path

import pytest

from content.bao._native import TlsServer as Native
from net.tls import TlsServer
from tests.net.certificates import serving, trusting, write_certificate
from tests.net.tls_pair import Pair

RECORD_BYTES = 16384
HELD_BYTES = 65536 + 5 * 64  # a batch of 64 KiB and what its records add


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, "first")


@pytest.fixture
def server(files: tuple[Path, Path]) -> TlsServer:
    return serving(files)


def client(cert: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = trusting(cert)
    context.minimum_version = context.maximum_version = version
    return context


BOTH = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@BOTH
def test_everything_may_arrive_byte_by_byte(
    server: TlsServer, files: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    with Pair(server, client(files[0], version)) as pair:
        pair.shake(at_a_time=1)
        assert pair.feed(pair.seal(b"one") + pair.seal(b"two"), at_a_time=1) == b"onetwo"
        assert pair.session.sendmsg([b"an", memoryview(b"swer")]) == 6
        assert pair.read() == b"answer"


@BOTH
def test_records_of_one_byte_and_many_records_in_one_read_are_all_opened(
    server: TlsServer, files: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    content = bytes(range(256)) * 4
    with Pair(server, client(files[0], version)) as pair:
        pair.shake()
        sealed = b"".join(pair.seal(content[at : at + 1]) for at in range(len(content)))
        assert pair.feed(sealed) == content
        large = content * 48  # three full records
        assert pair.feed(pair.seal(large)) == large


@BOTH
def test_parts_of_every_size_arrive_in_order_and_whole(
    server: TlsServer, files: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    with Pair(server, client(files[0], version)) as pair:
        pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        pair.shake()
        for sizes in ((0,), (1,), (200, RECORD_BYTES), (RECORD_BYTES, 1), (3, 65536, 0, 70000), (1 << 20, 9)):
            parts = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
            content = b"".join(parts)
            taken = pair.session.sendmsg(parts)
            assert taken == min(len(content), 1 << 20), "one call takes a mebibyte at most"
            got = b""
            while len(got) < taken:
                got += pair.read()
                pair.session.flush()
            assert got == content[:taken]


def test_what_a_client_does_not_read_is_held_once_and_counted(
    server: TlsServer, files: tuple[Path, Path]
) -> None:
    with Pair(server, client(files[0])) as pair:
        pair.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # full in the middle of a call
        pair.shake()
        content = bytes(262144)
        taken = 0
        with pytest.raises(BlockingIOError):
            while True:
                taken += pair.session.sendmsg([content])
        assert 0 < pair.session.held_bytes <= HELD_BYTES
        assert not pair.session.flush()
        got = 0
        while got < taken:
            got += len(pair.read())
            pair.session.flush()
        assert got == taken, "what was taken arrives, once"
        assert pair.session.held_bytes == 0


@BOTH
def test_a_session_is_resumed_by_its_ticket(
    server: TlsServer, files: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    context = client(files[0], version)
    with Pair(server, context) as first:
        whole = len(first.shake())
        first.feed(first.seal(b"x"))
        first.session.sendmsg([b"y"])
        assert first.read() == b"y"  # the tickets of TLS 1.3 are read with content
        ticket = first.client.session
    assert ticket is not None
    with Pair(server, context, resume=ticket) as second:
        assert len(second.shake()) < whole, "no certificate is sent again"
        assert second.client.session_reused
        assert second.feed(second.seal(b"x")) == b"x"
    with Pair(serving(files), context, resume=ticket) as elsewhere:
        elsewhere.shake()
        assert not elsewhere.client.session_reused, "another listener has other ticket keys"


def test_http_1_1_is_the_protocol_and_another_is_refused(server: TlsServer, files: tuple[Path, Path]) -> None:
    with Pair(server, client(files[0])) as pair:
        pair.shake()
        assert pair.client.selected_alpn_protocol() == "http/1.1"
    silent = ssl.create_default_context(cafile=str(files[0]))
    with Pair(server, silent) as pair:
        pair.shake()
        assert pair.client.selected_alpn_protocol() is None
    h2 = client(files[0])
    h2.set_alpn_protocols(["h2"])
    with Pair(server, h2) as pair, pytest.raises(ConnectionAbortedError, match="any known protocol"):
        pair.shake()


def test_nothing_is_sent_before_the_handshake_is_done(server: TlsServer, files: tuple[Path, Path]) -> None:
    with Pair(server, client(files[0])) as pair:
        with pytest.raises(OSError, match="not connected"):
            pair.session.sendmsg([b"secret"])
        assert pair.wire() == b""
        pair.shake()
        assert pair.read() == b""


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"\x16\x03\x01\xff\xff" + bytes(100),
        b"\x17\x03\x03\x00\x05hello",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"SSH-2.0-OpenSSH_9\r\n",
    ],
)
def test_what_is_no_handshake_is_refused_and_answered_with_an_alert_at_most(
    server: TlsServer, files: tuple[Path, Path], said: bytes
) -> None:
    with Pair(server, client(files[0])) as pair:
        with pytest.raises(ConnectionAbortedError):
            pair.feed(said)
        answer = pair.wire()
        assert answer[:1] in (b"", b"\x15")
        assert len(answer) <= 7
        with pytest.raises(OSError):
            pair.feed(said)


@BOTH
def test_a_changed_record_is_refused_and_none_of_it_returned(
    server: TlsServer, files: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    for at in (0, 3, 5, -1):
        with Pair(server, client(files[0], version)) as pair:
            pair.shake()
            sealed = bytearray(pair.seal(b"hello"))
            sealed[at] ^= 0x10
            got = b""
            with pytest.raises(OSError):
                got = pair.feed(bytes(sealed) + bytes(20000))
            assert got == b""
            with pytest.raises(OSError):
                pair.session.sendmsg([b"more"])


def test_a_repeated_or_reordered_record_is_refused(server: TlsServer, files: tuple[Path, Path]) -> None:
    for order in ((0, 0), (1, 0)):
        with Pair(server, client(files[0])) as pair:
            pair.shake()
            records = (pair.seal(b"one"), pair.seal(b"two"))
            with pytest.raises(ConnectionAbortedError):
                pair.feed(b"".join(records[number] for number in order))


def test_an_end_is_an_end_with_and_without_close_notify(server: TlsServer, files: tuple[Path, Path]) -> None:
    with Pair(server, client(files[0])) as pair:
        pair.shake()
        last = pair.seal(b"last")
        pair.end()
        assert pair.feed(last + pair.said()) == b"last"
        assert pair.session.ended
        assert pair.session.sendmsg([b"answer"]) == 6, "an end is of one direction"
        pair.session.finish()
        assert pair.read() == b"answer"
    with Pair(server, client(files[0])) as pair:
        pair.shake()
        pair.far.shutdown(socket.SHUT_WR)
        assert pair.session.recv(100) == b""
        assert pair.session.ended


def test_a_handshake_cut_anywhere_is_an_end(server: TlsServer, files: tuple[Path, Path]) -> None:
    with Pair(server, client(files[0])) as pair:
        with pytest.raises(ssl.SSLWantReadError):
            pair.client.do_handshake()
        hello = pair.said()
    for stop in range(0, len(hello), 37):
        with Pair(server, client(files[0])) as pair:
            assert pair.feed(hello[:stop]) == b""
            pair.far.shutdown(socket.SHUT_WR)
            assert pair.session.recv(100) == b""
            assert pair.session.ended
            assert not pair.session.ready


def test_a_session_of_tls_1_2_breaks_off_before_its_keys_wear_out(files: tuple[Path, Path]) -> None:
    native = Native(files[0].read_bytes(), files[1].read_bytes(), tls12_records=4)
    with Pair(native, client(files[0], ssl.TLSVersion.TLSv1_2)) as pair:
        pair.shake()
        assert pair.session.sendmsg([bytes(3 * RECORD_BYTES)]) == 3 * RECORD_BYTES
        assert len(pair.read()) == 3 * RECORD_BYTES
        with pytest.raises(ConnectionAbortedError):
            pair.session.sendmsg([bytes(RECORD_BYTES + 1)])
        assert pair.wire() == b"", "neither content nor a clean end"
    with Pair(native, client(files[0])) as pair:
        pair.shake()
        assert pair.session.sendmsg([bytes(5 * RECORD_BYTES)]) == 5 * RECORD_BYTES


def test_a_closed_session_leaves_its_descriptor_alone(server: TlsServer, files: tuple[Path, Path]) -> None:
    with Pair(server, client(files[0])) as pair:
        pair.shake()
        pair.session.close()
        pair.far.sendall(b"for whoever has this descriptor next")
        with pytest.raises(OSError, match="Bad file descriptor"):
            pair.session.recv(100)
        with pytest.raises(OSError, match="Bad file descriptor"):
            pair.session.sendmsg([b"x"])
        assert pair.wire() == b""
