"""Fetching what is not here: a second node of ours and servers that lie, over real sockets."""

import hashlib
import http.server
import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from origins.fills import Fills
from origins.provider_records import PROVIDERS_MAX, base_url, providers
from origins.scores import Scores
from tests.appliance import Node, edge

pytestmark = pytest.mark.timeout(120)
LOOPBACK = '["127.0.0.0/8"]'


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, str, Path]]:
    """A node that holds a tree, the tree's CID, and the tree."""
    folder = tmp_path_factory.mktemp("source")
    tree = folder / "tree"
    (tree / "sub").mkdir(parents=True)
    chance = random.Random(9)
    (tree / "big.bin").write_bytes(chance.randbytes(9_000_000))
    (tree / "sub" / "note.txt").write_text("a note\n")
    done = edge(folder / "data", "add", "-Q", str(tree))
    assert done.returncode == 0, done.stderr
    with Node(folder / "data", "--workers", "1", "--offline") as node:
        yield node, done.stdout.decode().strip(), tree


@contextmanager
def node_with(tmp_path: Path, origins: str, *flags: str) -> Iterator[Node]:
    config = tmp_path / "config.toml"
    config.write_text(f"[origins]\n{origins}\n")
    with Node(tmp_path / "data", "--config", str(config), *flags) as node:
        yield node


def gateway_of(node: Node) -> str:
    return node.ready["public"].rstrip("/")


Behave = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def server(behave: Behave) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server of the test's own; (base URL, paths that were asked)."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            behave(self)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}", asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def give(
    status: int, body: bytes, kind: str = "application/vnd.ipld.raw", claim: int | None = None
) -> Behave:
    def behave(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if claim is None else claim))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return behave


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_tree_is_fetched_from_another_node_served_and_kept(
    source: tuple[Node, str, Path], tmp_path: Path, workers: str
) -> None:
    other, root, tree = source
    with node_with(
        tmp_path, f'gateways = ["{gateway_of(other)}"]\nallow_nets = {LOOPBACK}', "--workers", workers
    ) as node:
        assert node.get(f"/ipfs/{root}/sub/note.txt").body == b"a note\n"
        reply = node.get(f"/ipfs/{root}/big.bin")
        assert hashlib.sha256(reply.body).digest() == hashlib.sha256((tree / "big.bin").read_bytes()).digest()
        assert node.get(f"/ipfs/{root}/", {"Cache-Control": "only-if-cached"}).status == 200
    with Node(tmp_path / "data", "--offline", "--workers", "1") as node:
        again = node.get(f"/ipfs/{root}/big.bin", {"Range": "bytes=5000000-5000099"})
        assert again.body == (tree / "big.bin").read_bytes()[5_000_000:5_000_100]


def test_many_who_ask_at_once_cost_one_fetch(tmp_path: Path) -> None:
    block = Block.sealed(RAW, b"asked for by many")
    with (
        server(give(200, block.data)) as (url, asked),
        node_with(tmp_path, f'gateways = ["{url}"]\nallow_nets = {LOOPBACK}', "--workers", "2") as node,
    ):
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(node.get(f"/ipfs/{block.cid}").body))
            for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bodies == [block.data] * 16
        assert len(asked) == 1


def test_providers_are_found_by_a_router_and_asked(source: tuple[Node, str, Path], tmp_path: Path) -> None:
    other, root, _ = source
    with node_with(
        tmp_path, f'routers = ["{gateway_of(other)}"]\nallow_nets = {LOOPBACK}', "--workers", "1"
    ) as node:
        assert node.get(f"/ipfs/{root}/sub/note.txt").body == b"a note\n"


WRONG = Block.sealed(RAW, b"what was asked for")
LIARS: dict[str, Behave] = {
    "other bytes": give(200, b"something else"),
    "a body cut short": give(200, WRONG.data[:5], claim=len(WRONG.data)),
    "more than a block": give(200, bytes(3 << 20)),
    "not found": give(404, b"no"),
    "an error": give(500, b"oops"),
    "a page": give(200, b"<html>", "text/html"),
}


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS.keys())
def test_a_source_that_lies_harms_nobody_and_the_next_one_is_asked(tmp_path: Path, liar: Behave) -> None:
    with server(liar) as (bad, _), server(give(200, WRONG.data)) as (good, _):
        gateways = f'gateways = ["{bad}", "{good}"]\nallow_nets = {LOOPBACK}\nhedge_s = 5'
        with node_with(tmp_path, gateways, "--workers", "1") as node:
            assert node.get(f"/ipfs/{WRONG.cid}").body == WRONG.data


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS.keys())
def test_with_liars_alone_there_is_an_error_and_nothing_is_kept(tmp_path: Path, liar: Behave) -> None:
    with server(liar) as (bad, _):
        with node_with(tmp_path, f'gateways = ["{bad}"]\nallow_nets = {LOOPBACK}', "--workers", "1") as node:
            assert node.get(f"/ipfs/{WRONG.cid}").status in (404, 502)
        assert edge(tmp_path / "data", "cat", str(WRONG.cid)).returncode == 3


def test_a_source_that_never_answers_gets_company(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        with server(give(200, WRONG.data)) as (good, _):
            quiet = f"http://127.0.0.1:{silent.getsockname()[1]}"
            gateways = f'gateways = ["{quiet}", "{good}"]\nallow_nets = {LOOPBACK}\nhedge_s = 0.1'
            with node_with(tmp_path, gateways, "--workers", "1") as node:
                assert node.get(f"/ipfs/{WRONG.cid}").body == WRONG.data
    finally:
        silent.close()


def test_nothing_private_is_dialled_unless_it_is_allowed(tmp_path: Path) -> None:
    with server(give(200, WRONG.data)) as (url, asked):
        with node_with(tmp_path, f'gateways = ["{url}"]', "--workers", "1") as node:
            reply = node.get(f"/ipfs/{WRONG.cid}")
            assert reply.status == 502
        assert asked == []


def test_a_redirect_inwards_is_not_followed(tmp_path: Path) -> None:
    with server(give(200, WRONG.data)) as (inside, asked):
        port = inside.rpartition(":")[2]

        def inwards(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", f"http://[::ffff:127.0.0.2]:{port}{handler.path}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with server(inwards) as (outer, _):
            allowed = f'gateways = ["{outer}"]\nallow_nets = ["127.0.0.1/32"]'
            with node_with(tmp_path, allowed, "--workers", "1") as node:
                assert node.get(f"/ipfs/{WRONG.cid}").status == 502
        assert asked == []


def test_offline_nobody_is_asked(tmp_path: Path) -> None:
    with server(give(200, WRONG.data)) as (url, asked):
        with node_with(
            tmp_path, f'gateways = ["{url}"]\nallow_nets = {LOOPBACK}', "--workers", "1", "--offline"
        ) as node:
            assert node.get(f"/ipfs/{WRONG.cid}").status == 404
            assert node.get(f"/ipfs/{WRONG.cid}", {"Cache-Control": "only-if-cached"}).status == 412
        assert asked == []


def test_provider_records_are_read_with_care() -> None:
    record = {
        "Schema": "peer",
        "ID": "x",
        "Addrs": ["/ip4/1.2.3.4/tcp/80/http", "/dns/a.b/tcp/443/tls/http", "/ip4/1.2.3.4/udp/1/quic"],
    }
    found = ["http://1.2.3.4:80", "https://a.b:443"]
    assert providers(json.dumps({"Providers": [record]}).encode()) == found
    line = json.dumps(record).encode()
    assert (
        providers(line) == providers(line + b"\n") == providers(b"\n{broken\n" + line + b"\n" + line) == found
    )
    assert providers(json.dumps({**record, "Protocols": ["transport-bitswap"]}).encode()) == []
    many = [{**record, "Addrs": [f"/dns/h{number}.example/tcp/443/https"]} for number in range(200)]
    assert len(providers(json.dumps({"Providers": many}).encode())) == PROVIDERS_MAX
    assert providers(b"[" * 100_000) == []
    for broken in (
        b"",
        b"[]",
        b"{}",
        b'{"Providers": 3}',
        b'{"Providers": [3]}',
        b'{"Providers": [{"Addrs": 3}]}',
    ):
        assert providers(broken) == []
    assert base_url("/ip6/::1/tcp/8080/http") == "http://[::1]:8080"
    assert base_url("/dns/a@b/c/tcp/80/http") is None


def test_one_worker_at_a_time_fetches_a_name(tmp_path: Path) -> None:
    one, two = Fills(tmp_path / "fills"), Fills(tmp_path / "fills")
    assert one.take(b"a")
    assert not two.take(b"a")
    assert two.take(b"b")
    one.close()  # as the kernel does for a worker that died
    assert two.take(b"a")
    two.close()


def test_locks_of_thousands_of_names_are_one_empty_file(tmp_path: Path) -> None:
    one, two = Fills(tmp_path / "fills"), Fills(tmp_path / "fills")
    names = [number.to_bytes(4) for number in range(5000)]
    assert all(one.take(name) for name in names)
    assert not any(two.take(name) for name in names)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("fills", 0)]
    for name in names:
        one.give(name)
    assert all(two.take(name) for name in names)
    one.close()
    two.close()


def test_without_a_lock_file_each_worker_fetches_for_itself(tmp_path: Path) -> None:
    alone = Fills(tmp_path / "no such folder" / "fills")
    assert alone.take(b"a")
    alone.give(b"a")
    alone.close()


def test_sources_are_ordered_by_how_they_did() -> None:
    scores = Scores()
    scores.answered("fast", 0.01)
    scores.failed("slow", 0.0)
    scores.lied("liar", 0.0)
    assert scores.order(["slow", "liar", "fast", "new"], 1.0) == ["fast", "new", "slow"]
    assert "liar" in scores.order(["liar"], 1000.0)


def test_a_new_source_is_tried_beside_one_that_is_fast_and_busy() -> None:
    scores = Scores()
    for _ in range(30):
        scores.answered("fast", 0.001)
    assert scores.order(["new", "fast"], 0.0) == ["fast", "new"]
    scores.asked("fast")
    assert scores.order(["new", "fast"], 0.0) == ["new", "fast"]
    scores.asked("new")
    scores.asked("new")
    assert scores.order(["new", "fast"], 0.0) == ["fast", "new"]
    scores.ended("new")
    scores.ended("new")
    scores.chosen("new", 2)
    assert scores.order(["new", "fast"], 0.0) == ["fast", "new"]
    scores.chosen("new", -2)
    assert scores.order(["new", "fast"], 0.0) == ["new", "fast"]
    scores.answered("new", 2.0)
    assert scores.order(["new", "fast"], 0.0) == ["fast", "new"]
