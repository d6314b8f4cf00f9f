"""The TLS listener of a whole node: new certificates on SIGHUP, and what thousands of clients cost."""

import resource
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.appliance import Node, eventually
from tests.bench.machine import anonymous_rss_bytes
from tests.net.certificates import trusting, write_certificate

IDLE = 2000
IDLE_BYTES = 16 * 1024  # of the worker's own memory for one idle client; 9.2 KiB measured


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_certificate(tmp_path, "first")


@pytest.fixture
def node(files: tuple[Path, Path], tmp_path: Path) -> Iterator[Node]:
    flags = ("--tls-listen", "127.0.0.1:0", "--tls-cert", str(files[0]), "--tls-key", str(files[1]))
    with Node(tmp_path / "data", "--workers", "1", "--offline", *flags) as node:
        yield node


def connect(node: Node, trust: ssl.SSLContext) -> ssl.SSLSocket:
    where = urlsplit(node.ready["tls"])
    plain = socket.create_connection((where.hostname or "", where.port or 0), timeout=20)
    return trust.wrap_socket(plain, server_hostname="localhost")


def organisation(client: ssl.SSLSocket) -> str:
    certificate: Any = client.getpeercert()  # typed as a mapping of everything it may hold
    return str(dict(pair for group in certificate["subject"] for pair in group)["organizationName"])


def ask(client: ssl.SSLSocket) -> bytes:
    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return client.recv(65536).split(b"\r\n")[0]


def test_sighup_changes_the_certificate_and_a_bad_one_changes_nothing(
    node: Node, files: tuple[Path, Path], tmp_path: Path
) -> None:
    with connect(node, trusting(files[0])) as client:
        assert organisation(client) == "first"
        assert ask(client) == b"HTTP/1.1 200 OK"
    write_certificate(tmp_path, "second")
    trust = trusting(files[0])
    node.process.send_signal(signal.SIGHUP)

    def renewed() -> bool:
        try:
            with connect(node, trust) as client:
                return organisation(client) == "second"
        except ssl.SSLCertVerificationError:
            return False  # still the first

    eventually(renewed)
    files[1].write_text("not a key")
    node.process.send_signal(signal.SIGHUP)
    eventually(lambda: "holds no private key" in node.log.read_text())
    with connect(node, trust) as client:
        assert organisation(client) == "second"


@pytest.mark.slow
@pytest.mark.alone
def test_two_thousand_idle_clients_cost_little_memory_and_disturb_nobody(
    node: Node, files: tuple[Path, Path]
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 200:
        pytest.skip(f"this machine allows {hard} descriptors, {IDLE + 200} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 200), hard))
    trust = trusting(files[0])
    (worker,) = node.workers()
    try:
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(node, trust)) for _ in range(50)]
            for client in clients:
                assert ask(client) == b"HTTP/1.1 200 OK"
            before = anonymous_rss_bytes(worker)
            clients += [stack.enter_context(connect(node, trust)) for _ in range(IDLE)]
            for client in clients[50::100]:
                assert ask(client) == b"HTTP/1.1 200 OK"
            each = (anonymous_rss_bytes(worker) - before) / IDLE
            assert each < IDLE_BYTES, f"{each:.0f} bytes"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
