"""Fuzz target `tls`: the server's end of a TLS session, fed with bytes of anybody.

The first byte says where the others strike, before, in the middle of or after the handshake: written over
what an honest client sends, or put between.

Invariants
 1. Only OSError is raised, whatever the bytes; once it was, nothing more is returned.
 2. What is returned is what the client sealed, in order, from its beginning.
 3. Before the handshake is done only handshake records and alerts are sent.
"""

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

from content.bao._native import TlsServer
from tests.net.certificates import trusting, write_certificate
from tests.net.tls_pair import Pair

TARGET = "tls"

_HELLO = bytes.fromhex("16030100f8010000f40303") + bytes(range(32))
SEEDS: list[bytes] = [
    b"\x00GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x00" + _HELLO,
    b"\x00\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x01\x00",  # a handshake message in crumbs
    b"\x00\x16\x03\x01\x00\x04\x01\xff\xff\xff" + b"\x16\x03\x03\x40\x00" * 4,  # one that says it is 16 MiB
    b"\x00\x15\x03\x03\x00\x02\x01\x00" * 2,  # close_notify, and as warnings
    b"\x00\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",  # SSL 2
    b"\x01\x00\x00",  # nothing struck: the handshake is done
    b"\x01\x2f\x00\xff",
    b"\x02\x00\x10\x14\x03\x03\x00\x01\x01",  # change_cipher_spec in the middle
    b"\x03\x00\x00",
    b"\x03\x00\x06\x01",
    b"\x04\x00\x00\x17\x03\x03\x00\x10" + bytes(16),
    b"\x04\x00\x16\x15\x03\x03\x00\x02\x01\x00",
    b"\x05\x00\x05\x00\x00",
    b"\x06\x01\x00\x18\x03\x03\x00\x03\x01\x40\x00",  # heartbeat
]

_CONTENT = (b"one", b"", b"two" * 100, b"three")
_STEPS = 10


def _peers() -> tuple[TlsServer, tuple[ssl.SSLContext, ssl.SSLContext]]:
    with TemporaryDirectory() as folder:
        cert, key = write_certificate(Path(folder), "fuzz")
        old, new = trusting(cert), trusting(cert)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        return TlsServer(cert.read_bytes(), key.read_bytes()), (old, new)


_SERVER, _CLIENTS = _peers()


def _struck(sealed: bytes, at: int, blow: bytes, *, between: bool) -> bytes:
    """`sealed` with `blow` put between its bytes, or written over them, at `at` (modulo)."""
    if not sealed:
        return sealed
    at %= len(sealed)
    return sealed[:at] + blow + sealed[at if between else at + len(blow) :]


def _feed(pair: Pair, data: bytes) -> tuple[bytes, bool]:
    """What came out of it, and whether the session broke."""
    try:
        return pair.feed(data), False
    except OSError:
        try:
            more = pair.feed(data or b"x")
        except OSError:
            return b"", True
        assert not more, "content after an error"
        return b"", True


def _flights(pair: Pair, at: int, blow: bytes, *, between: bool) -> bool:
    """A handshake whose first flight, or second, is struck; whether it came to its end."""
    for step in range(_STEPS):
        try:
            pair.client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return False  # the client has had enough
        said = pair.said()
        if step == at & 1:
            said = _struck(said, at >> 1, blow, between=between)
        content, broken = _feed(pair, said)
        assert content == b"", "content before the client sent any"
        sent = pair.wire()
        if not pair.session.ready:
            assert sent[:1] in (b"", b"\x14", b"\x15", b"\x16", b"\x17"), sent
            assert b"HTTP" not in sent
        if broken:
            return False
        pair.hear(sent)
        if pair.session.ready and not sent:
            return True
    return False


def one(data: bytes) -> None:
    """The invariant; raises on violation."""
    if len(data) < 3:
        return
    choice, at, blow = data[0] % 7, int.from_bytes(data[1:3], "big"), data[3:]
    with Pair(_SERVER, _CLIENTS[choice & 1]) as pair:
        if choice == 0:
            content, _ = _feed(pair, data[1:])
            assert content == b"", "content before a handshake"
            assert not pair.session.ready
            assert pair.wire()[:1] in (b"", b"\x15", b"\x16")
        elif choice <= 2:
            _flights(pair, at, blow, between=data[0] > 127)
        else:
            pair.shake()
            sealed = b"".join(pair.seal(piece) for piece in _CONTENT if piece)
            content, _ = _feed(pair, _struck(sealed, at, blow, between=choice > 4))
            assert b"".join(_CONTENT).startswith(content), content
