"""Pins over a running node: accepted in one process, brought here by the keeper, kept."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from blockstore import Store
from handshake.tokens import Tokens
from node.pin_work import TokenQuotas
from pinning.pin import Pin, Status, Wish
from pinning.pins import Pins
from tests.appliance import Node, eventually
from tests.origins.trustless_source import Source, in_a_thread
from tests.pinning.dags import tree

pytestmark = pytest.mark.timeout(120)
FILES = {f"file {index}": random.Random(index).randbytes(300_000) for index in range(3)}
ROOT, HELD = tree(FILES)


def until(holds: Callable[[], Pin | None]) -> Pin:
    """What `holds` gives in the end."""
    found: list[Pin] = []

    def looked() -> bool:
        pin = holds()
        found.extend([] if pin is None else [pin])
        return pin is not None

    eventually(looked)
    return found[0]


def test_a_pin_is_brought_here_by_the_keeper_and_served(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with in_a_thread(Source(dict(HELD))) as source:
        environ = {
            "FLEEK_EDGE_ORIGINS_GATEWAYS": source.url,
            "FLEEK_EDGE_ORIGINS_ALLOW_NETS": "127.0.0.0/8",
        }
        with Node(data, "--workers", "1", environ=environ) as node, Store.open(data) as store:
            pins = Pins(store)
            request_id = pins.add("alice", Wish(ROOT)).request_id

            def pinned() -> Pin | None:
                pin = pins.get("alice", request_id)
                return pin if pin.status is Status.PINNED else None

            pin = until(pinned)
            assert pin.dag_bytes == sum(len(block.data) for block in HELD.values())
            assert pin.raw_bytes == 900_000
            text = node.get("/metrics", which="admin").body.decode()
            assert 'fleek_pin_attempts_total{outcome="pinned"} 1' in text
            assert 'fleek_pins{status="queued"} ' in text
            assert "alice" not in text
            store.sweep()
            source.held.clear()
            reply = node.get(f"/ipfs/{ROOT}/file%201")
            assert (reply.status, reply.body) == (200, FILES["file 1"])


def test_an_offline_node_says_why_a_pin_does_not_come(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = {"FLEEK_EDGE_PINNING_ATTEMPTS": "1"}
    with Node(data, "--workers", "1", "--offline", environ=environ), Store.open(data) as store:
        pins = Pins(store)
        request_id = pins.add("alice", Wish(ROOT)).request_id

        def failed() -> Pin | None:
            pin = pins.get("alice", request_id)
            return pin if pin.status is Status.FAILED else None

        assert "this node is offline" in until(failed).details


def test_the_quota_of_an_account_is_the_largest_of_its_tokens_that_may_pin(tmp_path: Path) -> None:
    class Still:
        now = 0.0

        def now_s(self) -> float:
            return 1_700_000_000.0

        def tick_s(self) -> float:
            self.now += 10.0
            return self.now

    tokens = Tokens.open(tmp_path)
    with Store.open(tmp_path / "data") as store:
        quotas = TokenQuotas(tokens, Pins(store), Still())
        assert quotas.of("alice").limit_bytes is None
        tokens.add("alice", ["pin"], quota_bytes=100)
        tokens.add("alice", ["pin"], quota_bytes=300)
        tokens.add("alice", ["read"], quota_bytes=900)
        tokens.add("bob", ["pin"], quota_bytes=100)
        tokens.add("bob", ["admin"])
        assert (quotas.of("alice").limit_bytes, quotas.of("alice").room_bytes) == (300, 300)
        assert (quotas.of("bob").limit_bytes, quotas.of("bob").room_bytes) == (None, None)
    tokens.close()
