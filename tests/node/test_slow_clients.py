"""A whole node beside clients that never read or that send a byte at a time: what they hold, and others."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import lmdb
import pytest

from tests.appliance import Node, ask, edge_json, eventually
from tests.bench.machine import anonymous_rss_bytes

SMALL = b"hello, edge\n"
IN_BULK = random.Random(1).randbytes(3 << 19)  # six segments
IN_EXTENT = random.Random(2).randbytes(8 << 20)
EACH_BYTES = 1 << 20  # of the worker's own memory for one client that never reads; a proof holds a segment


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slow") / "data"


@pytest.fixture(scope="module")
def paths(data: Path) -> dict[bytes, str]:
    contents = (SMALL, IN_BULK, IN_EXTENT)
    return {each: f"/blake3/{edge_json(data, 'put', '-', stdin=each)['blake3']}" for each in contents}


@pytest.fixture(scope="module")
def node(data: Path, paths: dict[bytes, str]) -> Iterator[Node]:
    with Node(data, "--workers", "1") as running:
        yield running


def in_transactions(data: Path) -> list[str]:
    """The rows of the reader tables of both environments that stand in a transaction."""
    held = []
    for name in ("index", "bulk"):
        with lmdb.open(str(data / name), readonly=True, max_dbs=1) as environment:
            rows = str(environment.readers()).splitlines()[1:]
        held += [f"{name}: {row}" for row in rows if row.split()[-1] != "-"]
    return held


def never_reads(node: Node, target: str, *fields: str) -> socket.socket:
    """A client whose answer has begun, and that takes no more of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = node.ready["public"].removeprefix("http://").partition(":")
    client.settimeout(20)
    client.connect((host, int(port)))
    client.sendall("\r\n".join((f"GET {target} HTTP/1.1", "Host: x", *fields, "", "")).encode())
    assert client.recv(12, socket.MSG_PEEK)[:10] == b"HTTP/1.1 2"
    return client


def taken(client: socket.socket, size: int) -> bytes:
    """The body, of so many bytes, of the answer that comes next."""
    with client.makefile("rb") as answer:
        while answer.readline().strip():
            pass
        return answer.read(size)


def test_clients_that_never_read_hold_no_transaction_and_little_memory(
    node: Node, data: Path, paths: dict[bytes, str]
) -> None:
    (worker,) = node.workers()
    with ExitStack() as stack:
        session = node.session()
        stack.callback(session.close)

        def others_are_served() -> None:
            for content in (SMALL, IN_BULK):
                for _ in range(10):
                    assert ask(session, "GET", paths[content]).body == content

        others_are_served()
        for _ in range(3):  # from then on a thread without Python sends it
            assert ask(session, "GET", paths[IN_EXTENT]).body == IN_EXTENT
        before_bytes, clients = anonymous_rss_bytes(worker), []
        for content in (IN_BULK, IN_EXTENT):
            for _ in range(3):
                clients.append(never_reads(node, paths[content]))
                clients.append(never_reads(node, paths[content], "Range: bytes=5-"))
                clients.append(never_reads(node, paths[content], "Range: bytes=0-400000,500000-1400000"))
                clients.append(never_reads(node, paths[content] + "?format=bao"))
                clients.append(never_reads(node, paths[content] + "?format=bao-chunk&entity-bytes=7:*"))
        for client in clients:
            stack.enter_context(client)
        others_are_served()
        eventually(lambda: not in_transactions(data))
        assert anonymous_rss_bytes(worker) - before_bytes < len(clients) * EACH_BYTES
        assert taken(clients[15], len(IN_EXTENT)) == IN_EXTENT  # one of them reads after all


def test_clients_that_send_a_byte_at_a_time_are_served_like_any_other(
    node: Node, paths: dict[bytes, str]
) -> None:
    for content in (SMALL, IN_BULK, IN_EXTENT):
        with node.connect() as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(3):  # decided, memoised, known to the native turn
                for byte in f"GET {paths[content]} HTTP/1.1\r\nHost: x\r\n\r\n".encode():
                    client.sendall(bytes([byte]))
                assert taken(client, len(content)) == content
