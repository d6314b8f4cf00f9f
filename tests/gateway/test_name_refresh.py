"""A node that may dial out asks again for a record whose time to live is over, and keeps to it meanwhile."""

import http.server
from pathlib import Path

import pytest

from content.cid import Cid
from tests.appliance import edge
from tests.gateway.dags import Dags
from tests.gateway.shared_node import Key
from tests.origins.test_fetching import LOOPBACK, Behave, give, node_with, server

pytestmark = pytest.mark.timeout(120)
RECORD = "application/vnd.ipfs.ipns-record"


def two_roots(tmp_path: Path) -> tuple[Cid, Cid]:
    """What a name points at first, and then; both here."""
    dags = Dags()
    first, second = dags.raw(b"first"), dags.raw(b"second")
    assert edge(tmp_path / "data", "dag", "import", str(dags.car(tmp_path / "a.car"))).returncode == 0
    return first, second


def keep(tmp_path: Path, key: Key, raw: bytes) -> None:
    (tmp_path / "record").write_bytes(raw)
    done = edge(tmp_path / "data", "name", "put", "--name", key.text, str(tmp_path / "record"))
    assert done.returncode == 0, done.stderr


def test_a_newer_record_is_found_although_one_is_kept_and_asked_for_once(tmp_path: Path) -> None:
    key, (first, second) = Key.of(81), two_roots(tmp_path)
    keep(tmp_path, key, key.record(f"/ipfs/{first}", sequence=1, ttl_s=3600))
    newer = key.record(f"/ipfs/{second}", sequence=2, ttl_s=3600)
    with (
        server(give(200, newer, RECORD)) as (url, asked),
        node_with(tmp_path, f'routers = ["{url}"]\nallow_nets = {LOOPBACK}', "--workers", "1") as node,
    ):
        cached = node.get(f"/ipns/{key.text}", {"Cache-Control": "only-if-cached"})
        assert (cached.body, asked) == (b"first", []), "who wants nothing fetched gets what is here"
        replies = [node.get(f"/ipns/{key.text}") for _ in range(4)]
        assert [reply.body for reply in replies] == [b"second"] * 4
        assert asked == [f"/routing/v1/ipns/{key.text}"]
        assert "cache;desc=miss, fetch;dur=" in replies[0].headers["Server-Timing"]
        assert replies[1].headers["Server-Timing"] == "cache;desc=hit"


def fail(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_error(503)


@pytest.mark.parametrize("answer", ["older", "none", "broken"])
def test_a_kept_record_counts_on_where_nobody_has_a_newer_one(tmp_path: Path, answer: str) -> None:
    key, (first, second) = Key.of(82), two_roots(tmp_path)
    keep(tmp_path, key, key.record(f"/ipfs/{first}", sequence=5, ttl_s=3600))
    older = key.record(f"/ipfs/{second}", sequence=4, ttl_s=3600)
    ways: dict[str, Behave] = {
        "older": give(200, older, RECORD),
        "none": give(404, b"", RECORD),
        "broken": fail,
    }
    with (
        server(ways[answer]) as (url, _),
        node_with(tmp_path, f'routers = ["{url}"]\nallow_nets = {LOOPBACK}', "--workers", "1") as node,
    ):
        assert [node.get(f"/ipns/{key.text}").body for _ in range(3)] == [b"first"] * 3
