"""IPNS from the command line: published above what is known, handed to routers, resolved and renewed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from content import ipns
from tests import appliance
from tests.tools.conftest import Edge

ONE = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
TWO = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No router and no DNS: what a test asks it names itself."""
    monkeypatch.setenv("FLEEK_EDGE_GATEWAY_DNSLINK_DNS", "false")
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_ALLOW_NETS", "127.0.0.0/8")


def _publish(edge: Edge, path: str, *flags: str) -> dict[str, object]:
    done = edge("name", "publish", path, "--json", *flags)
    assert done.code == 0, done.err
    record: dict[str, object] = done.records[0]
    return record


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "secp256k1"])
def test_a_published_name_leads_to_its_path(edge: Edge, kind: str) -> None:
    name = edge("key", "gen", "site", "--type", kind).out.decode().strip()
    record = _publish(edge, f"/ipfs/{ONE}/docs", "--key", "site", "--lifetime", "2h", "--ttl", "90s")
    assert (record["name"], record["value"], record["sequence"]) == (name, f"/ipfs/{ONE}/docs", 0)
    assert record["ttl_s"] == 90
    assert abs(float(str(record["expires_s"])) - time.time() - 7200) < 60
    for text in (name, f"/ipns/{name}", f"ipns://{name}/"):
        assert edge("name", "resolve", text).out.decode() == f"/ipfs/{ONE}/docs\n"
    told = edge("name", "resolve", name, "--json").records[0]
    assert told["path"] == f"/ipfs/{ONE}/docs"
    assert (told["sequence"], told["expires_s"]) == (0, record["expires_s"])


def test_each_record_is_above_the_one_before_and_self_is_made_when_needed(edge: Edge) -> None:
    first = _publish(edge, ONE)
    second = _publish(edge, TWO)
    assert (first["key"], first["sequence"], second["sequence"]) == ("self", 0, 1)
    assert first["name"] == second["name"]
    assert edge("name", "resolve", str(first["name"])).out.decode() == f"/ipfs/{TWO}\n"


def test_names_that_point_at_names_are_followed(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = _publish(edge, f"/ipfs/{ONE}/a")["name"]
    edge("key", "gen", "outer")
    outer = _publish(edge, f"/ipns/{inner}/b", "--key", "outer")["name"]
    table = tmp_path / "links.json"
    table.write_text(json.dumps({"docs.example": f"/ipns/{outer}/c"}))
    monkeypatch.setenv("FLEEK_EDGE_GATEWAY_DNSLINK_FILE", str(table))
    assert edge("name", "resolve", "docs.example").out.decode() == f"/ipfs/{ONE}/a/b/c\n"
    assert edge("name", "resolve", "other.example", "--json").error["kind"] == "not_found"


def test_content_is_reached_through_its_name(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("hello")
    cid = edge("add", "-Q", tmp_path / "site").out.decode().strip()
    name = _publish(edge, cid)["name"]
    assert edge("cat", f"/ipns/{name}/index.html").out == b"hello"
    assert edge("ls", f"/ipns/{name}", "--json").records[0]["name"] == "index.html"
    assert edge("get", f"/ipns/{name}", "-o", tmp_path / "back").code == 0
    assert (tmp_path / "back" / "index.html").read_text() == "hello"
    assert edge("stat", f"ipns://{name}", "--json").records[0]["cid"] == cid


def test_a_record_goes_out_and_in_and_an_older_one_is_not_taken(edge: Edge, tmp_path: Path) -> None:
    name = str(_publish(edge, ONE)["name"])
    old = edge("name", "get", name).out
    _publish(edge, TWO)
    (tmp_path / "old").write_bytes(old)
    assert edge("name", "put", "--name", name, tmp_path / "old", "--json").records[0]["sequence"] == 1
    assert edge("name", "resolve", name).out.decode() == f"/ipfs/{TWO}\n"
    other = ("--data", tmp_path / "other")
    assert edge(*other, "name", "put", "--name", name, tmp_path / "old").code == 0
    assert edge(*other, "name", "ls").out.decode() == f"{name}  /ipfs/{ONE}\n"
    (tmp_path / "old").write_bytes(old[:-1] + bytes((old[-1] ^ 1,)))
    assert edge("name", "put", "--name", name, tmp_path / "old").code in (2, 4)


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["publish", "nonsense"], 2),
        (["publish", ONE, "--key", "none"], 3),
        (["publish", ONE, "--lifetime", "1s"], 2),
        (["publish", ONE, "--lifetime", "soon"], 2),
        (["publish", ONE, "--lifetime", "9999d"], 2),
        (["resolve", "nonsense"], 2),
        (["resolve", "k51qzi5uqu5dhhplumifqlb75bamicinpfarvcmnfkpb2ayg9gxq8w6m1nhfc4"], 3),
        (["get", "k51qzi5uqu5dhhplumifqlb75bamicinpfarvcmnfkpb2ayg9gxq8w6m1nhfc4"], 3),
    ],
)
def test_what_cannot_be_done_says_so(edge: Edge, argv: list[str], code: int) -> None:
    edge("put", "-", stdin=b"x")
    result = edge("name", *argv, "--json")
    assert (result.code, result.out) == (code, b"")


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[appliance.Node]:
    """Another node, which takes and gives records."""
    with appliance.Node(tmp_path_factory.mktemp("router") / "data", "--offline") as node:
        yield node


def test_a_router_takes_the_record_and_gives_it_to_who_has_none(
    edge: Edge, tmp_path: Path, router: appliance.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_ROUTERS", router.ready["public"])
    refused = edge("name", "publish", ONE, "--json")
    assert refused.code == 6, "a router that wants a token did not take it"
    assert refused.records[0]["routers"][0]["problem"] == "it answered 401"
    (tmp_path / "token").write_text(appliance.token(router.data, "names", "put"))
    token = ("--token-file", str(tmp_path / "token"))
    record = _publish(edge, TWO, *token)
    assert record["routers"] == [{"router": router.ready["public"], "accepted": True, "problem": None}]
    name = str(record["name"])
    other = ("--data", tmp_path / "other")
    edge(*other, "put", "-", stdin=b"x")
    assert edge(*other, "name", "resolve", name, "--offline").code == 3
    assert edge(*other, "name", "resolve", name).out.decode() == f"/ipfs/{TWO}\n"
    _publish(edge, ONE, *token)
    assert edge(*other, "name", "resolve", name).out.decode() == f"/ipfs/{TWO}\n", "what is known here"
    assert edge(*other, "name", "resolve", name, "--nocache").out.decode() == f"/ipfs/{ONE}\n"


def test_a_key_that_moved_publishes_above_what_the_router_knows(
    edge: Edge, tmp_path: Path, router: appliance.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_ROUTERS", router.ready["public"])
    (tmp_path / "token").write_text(appliance.token(router.data, "names", "put"))
    token = ("--token-file", str(tmp_path / "token"))
    edge("key", "gen", "moving")
    for _ in range(3):
        _publish(edge, ONE, "--key", "moving", *token)
    pem = edge("key", "export", "moving").out
    other = ("--data", tmp_path / "other")
    edge(*other, "key", "import", "moving", "-", stdin=pem)
    done = edge(*other, "name", "publish", TWO, "--key", "moving", "--json", *token)
    assert (done.code, done.records[0]["sequence"]) == (0, 3)


def test_an_address_that_is_not_allowed_is_not_dialled(
    edge: Edge, router: appliance.Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEEK_EDGE_ORIGINS_ROUTERS", router.ready["public"])
    monkeypatch.delenv("FLEEK_EDGE_ORIGINS_ALLOW_NETS")
    result = edge("name", "publish", ONE, "--json")
    assert result.code == 6
    assert "is not dialled" in result.records[0]["routers"][0]["problem"]


def test_a_name_of_a_gateway_is_got_with_its_record_verified(edge: Edge, tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").write_text("by name")
    cid = edge("add", "-Q", tmp_path / "file").out.decode().strip()
    name = _publish(edge, cid)["name"]
    with appliance.Node(data, "--offline") as node:
        assert edge("get", f"{node.ready['public']}/ipns/{name}").out == b"by name"


def test_a_record_says_the_same_in_both_forms(edge: Edge) -> None:
    name = ipns.parse_name(str(_publish(edge, ONE)["name"]))
    raw = edge("name", "get", ipns.name_text(name)).out
    record = ipns.verified(name, raw, time.time())
    assert record.value == f"/ipfs/{ONE}"
    assert raw.count(f"/ipfs/{ONE}".encode()) == 2, "V1 for old readers, V2 for everybody"
