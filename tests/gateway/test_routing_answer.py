"""Delegated routing: this node as a provider of what it holds and as a peer, filtered as clients ask."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.hosts import Hosts
from gateway.routing_records import multiaddr
from tests.appliance import Node, edge, token

MISSING = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
OTHER_PEER = "12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5"
HTTP = "transport-ipfs-gateway-http"
Held = tuple[Node, str]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """A node, and the CID of what it holds."""
    folder = tmp_path_factory.mktemp("routing")
    (folder / "f").write_bytes(b"provided")
    done = edge(folder / "data", "add", "-Q", str(folder / "f"))
    assert done.returncode == 0, done.stderr
    with Node(folder / "data", "--workers", "1", "--offline") as node:
        yield node, done.stdout.decode().strip()


def providers(
    held: Held, query: str = "", cid: str = "", accept: str = "application/json"
) -> list[dict[str, object]]:
    node, root = held
    reply = node.get(f"/routing/v1/providers/{cid or root}{query}", {"Accept": accept})
    assert reply.status == 200
    assert reply.headers["Content-Type"] == accept
    assert reply.headers["Vary"] == "Accept"
    if accept.endswith("ndjson"):
        return [json.loads(line) for line in reply.body.splitlines()]
    found = json.loads(reply.body)["Providers"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_what_is_held_is_provided_by_this_node(held: Held, accept: str) -> None:
    node, _ = held
    (record,) = providers(held, accept=accept)
    port = node.ready["public"].rstrip("/").rpartition(":")[2]
    assert record["Schema"] == "peer"
    assert record["Addrs"] == [f"/ip4/127.0.0.1/tcp/{port}/http"]
    assert record["Protocols"] == [HTTP]
    assert str(record["ID"]).startswith("12D3KooW")
    assert providers(held, cid=MISSING, accept=accept) == []


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("edge.example:99999", "/dns/edge.example/tcp/80/http"),
        ("edge.example:0", "/dns/edge.example/tcp/80/http"),
        ("[1:.]", "/dns/1:./tcp/80/http"),
        ("[2001:db8::1]:81", "/ip6/2001:db8::1/tcp/81/http"),
        ("1.2.3", "/dns/1.2.3/tcp/80/http"),
    ],
)
def test_any_host_that_is_let_in_gives_an_address(host: str, address: str) -> None:
    hosts = Hosts((), (), lambda _: False)
    assert multiaddr(hosts.of(host, "http")) == address


def test_how_long_an_answer_may_be_believed(held: Held) -> None:
    node, root = held
    assert node.get(f"/routing/v1/providers/{root}").headers["Cache-Control"] == "public, max-age=300"
    assert node.get(f"/routing/v1/providers/{MISSING}").headers["Cache-Control"] == "public, max-age=15"


FILTERS = {
    "?filter-protocols=transport-bitswap": 0,
    f"?filter-protocols=transport-bitswap,{HTTP}": 1,
    f"?filter-protocols={HTTP.upper()}": 1,
    "?filter-protocols=unknown": 0,
    "?filter-protocols=": 1,
    "?filter-addrs=http": 1,
    "?filter-addrs=tcp": 1,
    "?filter-addrs=webtransport,HTTP": 1,
    "?filter-addrs=quic-v1": 0,
    "?filter-addrs=unknown": 0,
    "?filter-addrs=!http": 0,
    "?filter-addrs=tcp,!http": 0,
    "?filter-addrs=!tls": 1,
    "?filter-addrs=https,!tls,unknown": 0,
    f"?filter-addrs=http&filter-protocols={HTTP}": 1,
    "?filter-addrs=http&filter-protocols=transport-bitswap": 0,
}


@pytest.mark.parametrize(("query", "count"), FILTERS.items())
def test_records_are_filtered_by_what_the_client_can_use(held: Held, query: str, count: int) -> None:
    assert len(providers(held, query)) == count


def test_the_node_is_the_one_peer_it_knows(held: Held) -> None:
    node, _ = held
    (record,) = providers(held)
    assert json.loads(node.get(f"/routing/v1/peers/{record['ID']}").body) == {"Peers": [record]}
    assert json.loads(node.get(f"/routing/v1/peers/{OTHER_PEER}").body) == {"Peers": []}
    assert node.get("/routing/v1/peers/nonsense").status == 400
    assert node.get("/routing/v1/dht/closest/peers/x").status == 501


def test_the_peer_id_stays_and_its_key_is_its_owners_alone(held: Held) -> None:
    node, _ = held
    path = node.data / "node.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (record,) = providers(held)
    with Node(node.data.parent / "second", "--workers", "2", "--offline") as other:
        ids = {
            json.loads(other.get("/routing/v1/providers/bafkqaaa").body)["Providers"][0]["ID"]
            for _ in range(8)
        }
    assert len(ids) == 1, "both workers have the same key"
    assert ids != {record["ID"]}


def test_a_key_that_cannot_be_read_keeps_the_node_from_starting(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "node.key").write_text("no key")
    done = edge(data, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1")
    assert done.returncode == 2, done.stderr
    assert b"not an Ed25519 private key" in done.stderr


def test_a_record_of_another_type_is_not_taken(held: Held) -> None:
    node, _ = held
    secret = token(node.data, "a", "put")
    reply = node.request(
        "PUT",
        "/routing/v1/ipns/k51qzi5uqu5dh9ihj4p2v5sl3hxvv27ryx2w0xrsv6jmmqi91t9xp8p9kaipc2",
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
        b"{}",
    )
    assert reply.status == 406
