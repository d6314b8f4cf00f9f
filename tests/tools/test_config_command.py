"""`config explain` and `config check`."""

import tomllib
from pathlib import Path

from node.config import load
from tests.tools.conftest import Edge


def test_explain_prints_a_file_that_says_the_same(edge: Edge, tmp_path: Path, data: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("[store]\nquota_bytes = '10GiB'\n[node]\nadmin_hosts = ['a', \"b\\\"\"]\n")
    text = edge("config", "explain", "--config", file).out.decode()
    assert "quota_bytes = 10737418240                # " + f"{file}:2" in text
    assert "# environment FLEEK_EDGE_DATA" in text
    again = tmp_path / "again.toml"
    again.write_text(text)
    tomllib.loads(text)
    first, second = load(file, {"FLEEK_EDGE_DATA": str(data)}, {}), load(again, {}, {})
    assert (first.node, first.store, first.http, first.log) == (
        second.node,
        second.store,
        second.http,
        second.log,
    )


def test_explain_with_json_gives_every_setting_its_source(edge: Edge, data: Path) -> None:
    records = {
        f"{each['section']}.{each['key']}": each for each in edge("config", "explain", "--json").records
    }
    assert records["node.data"] == records["node.data"] | {
        "value": str(data),
        "from": "environment FLEEK_EDGE_DATA",
    }
    assert records["store.durability"]["value"] == "full"
    assert records["node.tls_cert"]["value"] is None
    assert all(record["doc"] for record in records.values())


def test_explain_can_be_asked_for_a_part(edge: Edge) -> None:
    records = edge("config", "explain", "log", "store.quota_bytes", "--json").records
    assert {record["section"] for record in records} == {"store", "log"}
    assert sum(record["section"] == "store" for record in records) == 1


def test_explain_refuses_a_setting_that_is_not_there(edge: Edge) -> None:
    result = edge("config", "explain", "store.qota_bytes", "--json")
    assert (result.code, result.out) == (2, b"")
    assert result.error["hint"] == "did you mean store.quota_bytes?"


def test_check_says_whether_the_configuration_is_sound(edge: Edge, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("[node]\nworkers = 2\n")
    sound = edge("config", "check", "--config", file, "--json")
    assert sound.records == [{"ok": True, "file": str(file), "given": 2}]
    file.write_text("[node]\nworkrs = 2\n")
    broken = edge("config", "check", "--config", file, "--json")
    assert (broken.code, broken.out) == (2, b"")
    assert broken.error == {
        "kind": "usage",
        "message": "no such setting: node.workrs",
        "where": f"{file}:2",
        "hint": "did you mean node.workers?",
    }


def test_check_refuses_a_certificate_that_cannot_be_used(edge: Edge, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    (tmp_path / "cert.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    file.write_text("[node]\ntls_listen = '127.0.0.1:0'\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n")
    result = edge("config", "check", "--config", file)
    assert result.code == 2
    assert str(tmp_path / "cert.pem") in result.err


def test_a_file_may_be_named_before_the_command_too(edge: Edge, tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text("[node]\nworkers = 3\n")
    found = edge("--config", file, "config", "explain", "node.workers", "--json").records[0]
    assert (found["value"], found["from"]) == (3, f"{file}:2")
    assert edge("--config", tmp_path / "none", "config", "check", "--json").code == 2
