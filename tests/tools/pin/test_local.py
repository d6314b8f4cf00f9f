"""`fleek-pin --data`: the same commands on a store here, without a service and without a node."""

import json
import random
from pathlib import Path

import pytest

from blockstore import Store
from content.cid import Cid
from pinning.pin import Wish
from pinning.pins import Pins
from tests.tools.conftest import Result
from tests.tools.pin.conftest import Pin
from tools.edge import main as edge_main

ELSEWHERE = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

SIZE = 3_000_000


@pytest.fixture
def data(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEEK_EDGE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "index.html").write_text("hello")
    (folder / "sub" / "big.bin").write_bytes(random.Random(5).randbytes(SIZE))
    return folder


def edge_json(capsysbinary: pytest.CaptureFixture[bytes], *words: str | Path) -> Result:
    capsysbinary.readouterr()
    code = edge_main.run([*map(str, words), "--json"])
    captured = capsysbinary.readouterr()
    return Result(code, captured.out, captured.err.decode())


def test_a_folder_is_stored_and_pinned_at_once_and_gc_leaves_it(
    pin: Pin, data: Path, tree: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    record = pin("add", tree, "--json").records[0]
    assert (record["status"], record["name"]) == ("pinned", "site")
    assert int(record["info"]["raw_size"]) == 5 + SIZE
    assert int(record["info"]["dag_size"]) > int(record["info"]["raw_size"])
    assert edge_json(capsysbinary, "gc").code == 0
    assert edge_json(capsysbinary, "verify", record["cid"]).code == 0
    added = edge_json(capsysbinary, "add", tree, "-Q").records[0]
    assert record["cid"] == added["cid"], "the CID that fleek-edge gives it"
    assert pin("ls").out.decode().split()[:3] == [record["requestid"], "pinned", record["cid"]]
    assert pin("wait", record["requestid"]).code == 0


def test_no_store_is_not_found_and_a_cid_makes_none(pin: Pin, data: Path) -> None:
    for words in (["ls"], ["add", ELSEWHERE]):
        result = pin(*words, "--json")
        assert (result.code, result.error["kind"]) == (3, "not_found")
        assert result.error["where"] == str(data)
    assert not data.exists()


def test_what_is_not_here_waits_and_what_is_here_does_not(pin: Pin, data: Path, tree: Path) -> None:
    here = pin("add", tree, "--json").records[0]["cid"]
    waiting = pin("add", ELSEWHERE, "--name", "far", "--expires", "2h", "--json").records[0]
    assert waiting["status"] == "queued"
    assert "a node that runs on this folder" in waiting["info"]["status_details"]
    assert waiting["info"]["pinned_until"] > waiting["created"]
    again = pin("add", here, "--name", "again", "--meta", "k=v", "--json").records[0]
    assert again["status"] == "pinned"
    assert pin("ls", "--status", "queued", "-q").out.decode().split() == [waiting["requestid"]]
    assert pin("ls", "--meta", "k=v", "-q").out.decode().split() == [again["requestid"]]
    assert pin("ls", "--name", "AGA", "--match", "ipartial", "--count").out == b"1\n"
    assert pin("ls", "--after", waiting["created"], "-q").out.decode().split() == [again["requestid"]]
    assert pin("ls", "--before", again["created"], "--status", "queued", "--count").out == b"1\n"
    assert pin("wait", waiting["requestid"], "--timeout", "0").code == 6


def test_rm_and_replace(pin: Pin, data: Path, tree: Path) -> None:
    first = pin("add", tree, "-q").out.decode().strip()
    cid = pin("status", first, "--json").records[0]["cid"]
    second = pin("replace", first, cid, "--name", "renamed", "--json").records[0]
    assert (second["status"], second["name"]) == ("pinned", "renamed")
    assert pin("status", first).code == 3
    pin("add", cid)
    assert pin("rm", cid).code == 5
    assert pin("rm", cid, "--force").code == 0
    assert pin("ls").out == b""


def test_a_car_pins_its_roots(
    pin: Pin, data: Path, tree: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    cid = pin("add", tree, "--json").records[0]["cid"]
    car = tmp_path / "site.car"
    car.write_bytes(edge_json(capsysbinary, "dag", "export", cid).out)
    other = tmp_path / "other"
    record = pin("add", car, "--data", other, "--json").records[0]
    assert (record["cid"], record["status"], record["name"]) == (cid, "pinned", "site.car")
    as_file = pin("add", car, "--no-car", "--data", other, "--json").records[0]
    assert as_file["cid"] != cid
    assert pin("add", car, "--car", "--data", tmp_path / "third", "-q").code == 0


def test_standard_input_is_a_file(pin: Pin, data: Path) -> None:
    record = pin("add", "-", "--name", "in", "--json", stdin=b"from a pipe").records[0]
    assert (record["status"], record["name"]) == ("pinned", "in")
    assert record["info"]["raw_size"] == "11"


def test_size_and_origins_of_what_is_here(pin: Pin, data: Path, tree: Path) -> None:
    cid = pin("add", tree, "--json").records[0]["cid"]
    record = pin("size", cid, "--json").records[0]
    assert record["raw_bytes"] == 5 + SIZE
    assert record["size_bytes"] > record["raw_bytes"]
    assert pin("size", ELSEWHERE, "--json").error["kind"] == "not_found"
    rows = pin("origins", cid, "--json").records
    assert str(tree) in json.dumps(rows)
    assert pin("origins", ELSEWHERE).code == 3


def test_a_manifest_with_a_password_in_an_origin_is_taken_without_that_origin(
    pin: Pin, data: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin("add", tree)
    with Store.open(data) as store:
        origins = ("https://gateway.example", "https://ann:pw1@a.example/f")
        Pins(store).add("local", Wish(Cid.parse(ELSEWHERE), "far", origins))
    assert b"pw1" not in pin("export", "--name", "far").out
    with monkeypatch.context() as older:
        older.setattr("tools.pin.local.shown", tuple)
        older.setattr("pinning.manifest.shown", tuple)
        text = pin("export", "--name", "far").out
    assert b"pw1" in text, "an older version wrote it"
    pin("rm", "--name", "far", "--force")
    result = pin("import", "-", stdin=text)
    assert (result.code, "is left out" in result.err, "pw1" in result.err) == (0, True, False)
    assert pin("ls", "--name", "far", "--json").records[0]["origins"] == ["https://gateway.example"]


def test_a_pin_that_waits_has_the_origins_it_was_given(pin: Pin, data: Path, tree: Path) -> None:
    pin("add", tree)
    pin("add", ELSEWHERE, "--origin", "https://gateway.example")
    rows = pin("origins", ELSEWHERE, "--json").records
    assert [row["address"] for row in rows] == ["https://gateway.example"]


def test_pins_without_a_name_are_found_by_an_empty_one(pin: Pin, data: Path, tree: Path) -> None:
    pin("add", tree)
    nameless = pin("add", ELSEWHERE, "-q").out
    assert pin("ls", "--name", "", "-q").out == nameless
