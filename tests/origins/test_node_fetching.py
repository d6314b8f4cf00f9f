"""Nodes that fetch: over all workers once, while it arrives, on after a death, and never when told not to."""

import hashlib
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from content.block import Block
from content.cid import RAW
from tests.appliance import Node, eventually
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.origins.trustless_source import Asked, Response, Source, file_blocks, in_a_thread

pytestmark = pytest.mark.timeout(180)
MIB = 1 << 20
BIG = random.Random(21).randbytes(24 * MIB + 7)
ROOT, BLOCKS = file_blocks(BIG)
ONE = Block.sealed(RAW, b"one block")
NAME = "k51qzi5uqu5dh9ihj4p2v5sl3hxvv27ryx2w0xrsv6jmmqi91t9xp8p9kaipc2"


def origins(source: Source, more: str = "") -> str:
    return f'gateways = ["{source.url}"]\nrouters = ["{source.url}"]\nallow_nets = {LOOPBACK}\n{more}'


def stalls_at(at: int) -> Callable[[Source, Asked], Response]:
    def behave(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = at if asked.is_car and not source.go_on.is_set() else None
        return answer

    return behave


def test_fifty_clients_of_two_workers_cost_each_window_once(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS))) as source,
        node_with(tmp_path, origins(source), "--workers", "2") as node,
    ):
        digests: list[str] = []

        def get() -> None:
            digests.append(hashlib.sha256(node.get(f"/ipfs/{ROOT}").body).hexdigest())

        threads = [threading.Thread(target=get) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert digests == [hashlib.sha256(BIG).hexdigest()] * 50
        spans = [asked.query.get("entity-bytes") for asked in source.asked if asked.is_car]
        assert len(spans) == len(set(spans)) <= 5  # how it begins, four windows
        assert source.sent_bytes < len(BIG) + 2 * MIB


def test_the_first_bytes_leave_while_the_rest_is_still_on_its_way(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS), stalls_at(3 * MIB))) as source,
        node_with(tmp_path, origins(source, "hedge_s = 30.0"), "--workers", "1") as node,
    ):
        session = node.session()
        session.request("GET", f"/ipfs/{ROOT}")
        response = session.getresponse()
        assert response.read(2 * MIB) == BIG[: 2 * MIB]
        assert source.sent_bytes < len(BIG) / 2
        source.release()
        assert response.read() == BIG[2 * MIB :]
        session.close()


def test_a_slow_client_is_not_cut_off_when_the_file_becomes_one_blob(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS))) as source,
        node_with(tmp_path, origins(source), "--workers", "1") as node,
    ):
        session = node.session()
        session.request("GET", f"/ipfs/{ROOT}")
        response = session.getresponse()
        found = response.read(65536)
        assert node.get(f"/ipfs/{ROOT}").body == BIG
        eventually(lambda: "X-Fleek-Blake3" in node.request("HEAD", f"/ipfs/{ROOT}").headers)
        found += response.read()
        assert found == BIG
        session.close()


def test_a_range_of_a_file_that_is_not_here_costs_little(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS))) as source,
        node_with(tmp_path, origins(source), "--workers", "1") as node,
    ):
        reply = node.get(f"/ipfs/{ROOT}", {"Range": f"bytes={20 * MIB}-{20 * MIB + 99}"})
        assert (reply.status, reply.body) == (206, BIG[20 * MIB : 20 * MIB + 100])
        assert source.sent_bytes < 2 * MIB + 8192


def test_the_death_of_a_worker_frees_what_it_was_fetching(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS), stalls_at(3 * MIB))) as source,
        node_with(tmp_path, origins(source, "hedge_s = 60.0"), "--workers", "2") as node,
    ):
        session = node.session()
        session.request("GET", f"/ipfs/{ROOT}")
        eventually(lambda: sum(asked.is_car for asked in source.asked) >= 2)
        for pid in node.workers():
            os.kill(pid, signal.SIGKILL)
        session.close()
        source.release()

        def whole() -> bool:
            try:
                return node.get(f"/ipfs/{ROOT}").body == BIG
            except OSError:
                return False  # no worker is there yet

        eventually(whole)


def test_a_node_that_fetches_as_much_as_it_may_says_429(tmp_path: Path) -> None:
    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 1
        return answer

    with (
        in_a_thread(Source({ONE.cid.multihash: ONE}, stalls)) as source,
        node_with(tmp_path, origins(source, "\n[gateway]\nmax_misses = 1"), "--workers", "1") as node,
    ):
        session = node.session()
        session.request("GET", f"/ipfs/{ONE.cid}")
        eventually(lambda: bool(source.asked))
        refused = node.get(f"/ipfs/{ROOT}")
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) > 0
        source.release()
        assert session.getresponse().read() == ONE.data
        session.close()


NOT_HERE = [
    f"/ipfs/{ROOT}", f"/ipfs/{ROOT}?format=car", f"/ipfs/{ONE.cid}?format=raw", f"/ipns/{NAME}",
    f"/ipns/{NAME}?format=ipns-record", "/ipns/unknown.example", f"/routing/v1/ipns/{NAME}",
    f"/routing/v1/providers/{ROOT}",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_only_if_cached_asks_nobody(tmp_path: Path, method: str) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS))) as source,
        node_with(tmp_path, origins(source), "--workers", "1") as node,
    ):
        for path in NOT_HERE:
            reply = node.request(method, path, {"Cache-Control": "only-if-cached"})
            assert reply.status == (412 if path.startswith("/ip") else reply.status), path
        assert source.connections == 0


def test_offline_no_connection_is_made(tmp_path: Path) -> None:
    with (
        in_a_thread(Source(dict(BLOCKS))) as source,
        node_with(tmp_path, origins(source), "--workers", "1", "--offline") as node,
    ):
        for path in NOT_HERE:
            node.get(path)
        assert source.connections == 0


def test_what_fetching_did_is_counted(tmp_path: Path) -> None:
    with (
        in_a_thread(Source({ONE.cid.multihash: ONE})) as source,
        node_with(tmp_path, origins(source), "--workers", "1") as node,
    ):
        assert node.get(f"/ipfs/{ONE.cid}").body == ONE.data
        assert node.get(f"/ipfs/{ROOT}").status == 404
        lines = metrics(node)
        assert lines['fleek_origin_requests_total{for="block"}'] == 1
        assert lines['fleek_origin_requests_total{for="car"}'] == 1
        assert lines['fleek_origin_failures_total{why="not_found"}'] >= 1
        assert lines["fleek_origin_bytes_total"] == len(ONE.data)


def metrics(node: Node) -> dict[str, int]:
    lines = node.get("/metrics", which="admin").body.decode().splitlines()
    return {
        name: int(value)
        for name, _, value in (line.rpartition(" ") for line in lines)
        if name.startswith("fleek_origin")
    }
