"""The commands beside a running node, and `get` from it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Node
from tests.tools.conftest import Edge

CONTENT = random.Random(1).randbytes(3 * 262_144 + 4321)


@pytest.fixture
def node(data: Path) -> Iterator[Node]:
    with Node(data, "--workers", "2") as running:
        yield running


def test_what_a_command_puts_the_node_serves_and_what_it_removes_it_does_not(edge: Edge, node: Node) -> None:
    name = edge("put", "-", "--json", stdin=CONTENT).records[0]["blake3"]
    url = f"{node.ready['public']}/blake3/{name}"
    assert edge("get", url).out == CONTENT
    assert edge("get", url, "--range", "300000:300099").out == CONTENT[300_000:300_100]
    assert edge("verify", name).code == 0
    assert edge("gc").code == 0
    assert edge("rm", name).code == 0
    assert edge("get", url).code == 3
    assert edge("get", url, "--range", "0:9", "--json").error["kind"] == "not_found"


def test_a_download_from_a_node_is_resumed(edge: Edge, node: Node, tmp_path: Path) -> None:
    name = edge("put", "-", "--json", stdin=CONTENT).records[0]["blake3"]
    (tmp_path / "out.part").write_bytes(CONTENT[:500_000])
    result = edge("get", f"{node.ready['public']}/blake3/{name}", "-o", tmp_path / "out", "--json")
    assert result.records[0]["resumed_bytes"] == 29 * 16_384
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_node_without_anonymous_reading_asks_for_a_token(edge: Edge, data: Path, tmp_path: Path) -> None:
    name = edge("put", "-", "--json", stdin=CONTENT).records[0]["blake3"]
    (tmp_path / "token").write_bytes(edge("token", "add", "--account", "a", "--scope", "read").out)
    with Node(data, "--workers", "1", environ={"FLEEK_EDGE_NODE_ANONYMOUS_READ": "false"}) as node:
        url = f"{node.ready['public']}/blake3/{name}"
        refused = edge("get", url)
        assert refused.code == 5
        assert "--token-file" in refused.err
        assert edge("get", url, "--token-file", tmp_path / "token").out == CONTENT


def test_the_doctor_knows_our_own_node_from_a_stranger_on_the_port(
    edge: Edge, node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLEEK_EDGE_NODE_LISTEN", node.ready["public"].removeprefix("http://"))
    monkeypatch.setenv("FLEEK_EDGE_NODE_ADMIN", node.ready["admin"].removeprefix("http://"))
    ours = {each["check"]: each for each in edge("doctor", "--json").records}
    assert "taken by the node" in ours["port listen"]["detail"]
    other = edge("doctor", "--data", tmp_path / "other", "--json")
    assert other.code == 2
    assert {each["check"] for each in other.records if each["status"] == "fail"} == {
        "port listen",
        "port admin",
    }


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (["--listen", "8080"], "--listen"),
        (["--listen", "[::1:80"], "--listen"),
        (["--workers", "many"], "--workers"),
        (["--workers", "1000"], "--workers"),
        (["--tls-listen", "127.0.0.1:0"], "--tls-listen"),
        (["--listen", "127.0.0.1:1234", "--admin", "127.0.0.1:1234"], "--listen, --admin"),
        (["--config", "/nowhere/edge.toml"], "/nowhere/edge.toml"),
    ],
)
def test_a_node_that_cannot_be_started_as_written_is_refused_with_2(
    edge: Edge, data: Path, argv: list[str], where: str
) -> None:
    result = edge("serve", "--json", *argv)
    assert (result.code, result.out) == (2, b"")
    assert result.error["where"] == where
    assert not data.exists()


@pytest.mark.parametrize("argv", [["serve", "--listen", "127.0.0.1:0"], ["config", "check"]], ids=" ".join)
@pytest.mark.parametrize(
    ("key", "text"),
    [("dnslink_file", "{bad"), ("dnslink_file", "[" * 200_000), ("denylists", "{bad")],
    ids=["no JSON", "JSON in JSON", "no rule"],
)
def test_a_file_of_the_gateway_that_is_wrong_is_told_before_anything_starts(
    edge: Edge, data: Path, tmp_path: Path, argv: list[str], key: str, text: str
) -> None:
    (tmp_path / "bad").write_text(text)
    value = '"bad"' if key == "dnslink_file" else '["bad"]'
    (tmp_path / "edge.toml").write_text(f"[gateway]\n{key} = {value}\n")
    result = edge(*argv, "--config", tmp_path / "edge.toml", "--json")
    assert (result.code, result.out) == (2, b"")
    assert result.error["where"].startswith(str(tmp_path / "bad")), "beside the file that names it"
    assert not data.exists()


def test_a_second_node_on_the_same_data_is_refused_with_2(edge: Edge, node: Node) -> None:
    result = edge("serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert (result.code, result.out) == (2, b"")
    assert "already runs" in result.err


def test_a_taken_port_is_refused_with_2(edge: Edge, node: Node, tmp_path: Path) -> None:
    taken = node.ready["public"].removeprefix("http://")
    result = edge(
        "serve", "--data", tmp_path / "other", "--listen", taken, "--admin", "127.0.0.1:0", "--json"
    )
    assert (result.code, result.out) == (2, b"")
    assert result.error["where"] == taken
