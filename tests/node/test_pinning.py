"""A running node is a pinning service beside its gateway."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from blockstore import Store
from content.block import Block
from pinning.api import DENIED
from pinning.pin import Wish
from pinning.pins import Pins
from tests.appliance import Node, edge, token
from tests.pinning.service import cid_of

PINS = "/pinning/v1/pins"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    data = tmp_path_factory.mktemp("pinning") / "data"
    with Node(data, "--workers", "2", "--offline") as running:
        yield running


@pytest.fixture(scope="module")
def bearer(node: Node) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(node.data, 'ada', 'pin')}", "Content-Type": "application/json"}


def posted(node: Node, fields: dict[str, str], **pin: object) -> Any:
    reply = node.request("POST", PINS, fields, json.dumps(pin).encode())
    assert reply.status == 202, reply.body
    return reply.json()


def test_a_pin_that_any_worker_took_every_worker_knows(node: Node, bearer: dict[str, str]) -> None:
    told = posted(node, bearer, cid=cid_of("one").text(), name="one")
    for _ in range(8):
        reply = node.get(f"{PINS}/{told['requestid']}", bearer)
        assert (reply.status, reply.json()["pin"]) == (200, told["pin"])
    assert node.request("DELETE", f"{PINS}/{told['requestid']}", bearer).status == 202
    for _ in range(8):
        assert node.get(f"{PINS}/{told['requestid']}", bearer).status == 404


def test_delegates_name_the_address_that_was_asked_and_the_peer_id_of_the_node(
    node: Node, bearer: dict[str, str]
) -> None:
    port = node.ready["public"].rpartition(":")[2].strip("/")
    (delegate,) = posted(node, bearer, cid=cid_of("two").text())["delegates"]
    assert delegate.startswith(f"/ip4/127.0.0.1/tcp/{port}/http/p2p/12D3KooW")
    proxied = {**bearer, "X-Forwarded-Host": "edge.example", "X-Forwarded-Proto": "https"}
    (delegate,) = posted(node, proxied, cid=cid_of("two").text())["delegates"]
    assert delegate.startswith("/dns4/edge.example/tcp/443/tls/http/p2p/12D3KooW")


def test_a_cids_own_origin_has_no_pinning_service(node: Node, bearer: dict[str, str]) -> None:
    isolated = {**bearer, "Host": "bafkqaaa.ipfs.localhost"}
    assert node.get(PINS, isolated).status == 404
    assert b"reason" not in node.get(PINS, isolated).body


def test_what_is_refused_before_the_path_is_known_has_a_reason_too(
    node: Node, bearer: dict[str, str]
) -> None:
    reply = node.get(f"{PINS}?name={'x' * 9000}", bearer)
    assert (reply.status, reply.json()["error"]["reason"]) == (414, "URI_TOO_LONG")


def test_origins_are_told_beside_the_specification(node: Node, bearer: dict[str, str]) -> None:
    cid = cid_of("three").text()
    posted(node, bearer, cid=cid, origins=["https://a.example/three"])
    reply = node.get(f"/pinning/v1/x/origins/{cid}", bearer)
    assert reply.status == 200
    assert reply.json()["origins"][0]["address"] == "https://a.example/three"  # type: ignore[index]
    assert node.get(f"/pinning/v1/x/origins/{cid}").status == 401


def test_what_was_denied_after_it_was_pinned_is_kept_and_served_by_no_name(tmp_path: Path) -> None:
    data, rules = tmp_path / "data", tmp_path / "denied.txt"
    cid = cid_of("denied later")
    with Store.open(data) as store:
        store.dag.put([Block(cid, b"denied later")])
        pins = Pins(store)
        pin = pins.add("ada", Wish(cid))
        pins.begin(pin.request_id)
        pins.pinned(pin.request_id, 12, 12)
    rules.write_text(f"/ipfs/{cid}\n")
    fields = {"Authorization": f"Bearer {token(data, 'ada', 'pin')}", "Content-Type": "application/json"}
    environ = {"FLEEK_EDGE_GATEWAY_DENYLISTS": str(rules)}
    with Node(data, "--workers", "1", "--offline", environ=environ) as node:
        (told,) = json.loads(node.get(PINS, fields).body)["results"]
        assert (told["status"], told["info"]["status_details"]) == ("pinned", DENIED)
        blob = blake3(b"denied later").hexdigest()
        for path in (
            f"/ipfs/{cid}",
            f"/ipfs/{cid}?format=raw",
            f"/blake3/{blob}",
            f"/blake3/{blob}?format=bao",
        ):
            assert node.get(path).status == 410, path
        assert node.get(f"/pinning/v1/x/proof/{cid}/{'00' * 32}/1", fields).status == 403
        again = node.request("POST", PINS, fields, json.dumps({"cid": cid.text()}).encode())
        assert (again.status, again.json()["error"]["reason"]) == (403, "BLOCKED")
        assert edge(data, "gc").returncode == 0
    with Store.open(data) as store:
        assert store.dag.read(cid) == b"denied later", "nothing is lost by a rule that is taken back"
