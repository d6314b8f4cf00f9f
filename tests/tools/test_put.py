"""`put`: what lands in the store, what is said, and what a failure leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from content import names
from tests.tools.conftest import Edge


def test_every_file_gets_a_line_in_the_order_of_the_paths(edge: Edge, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    result = edge("put", tmp_path / "c", tmp_path / "a", tmp_path / "b", "--json")
    assert result.code == 0
    assert result.err == ""
    for record, name in zip(result.records, "cab", strict=True):
        root = blake3(name.encode() * 100_000).digest()
        assert record == {
            "path": str(tmp_path / name),
            "blake3": root.hex(),
            "cid": names.cid(root),
            "size_bytes": 100_000,
        }


def test_plain_output_is_a_hash_and_a_path_a_line_and_nothing_else(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    result = edge("put", tmp_path / "x")
    assert result.out.decode() == f"{blake3(b'x').hexdigest()}  {tmp_path / 'x'}\n"
    assert result.err == "", "a pipe is told nothing but what went wrong"


def test_a_directory_is_stored_with_all_below_it_and_links_are_named(edge: Edge, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "one").write_bytes(b"1")
    (tree / "two").write_bytes(b"2")
    os.symlink("/etc/passwd", tree / "link")
    result = edge("put", tree)
    assert [line.split(b"  ")[1].decode() for line in result.out.splitlines()] == [
        f"{tree}/deep/er/one",
        f"{tree}/two",
    ]
    assert f"left out: {tree}/link (symbolic link)\n" in result.err
    assert result.err.endswith("(symbolic link)\n")


def test_many_small_files_share_commits_and_all_arrive(edge: Edge, tmp_path: Path) -> None:
    for index in range(500):
        (tmp_path / f"{index:03}").write_text(str(index))
    result = edge("put", tmp_path, "--json")
    stored = {record["path"]: record["blake3"] for record in result.records if "/data/" not in record["path"]}
    assert len(stored) == 500
    assert all(blake3(Path(path).read_bytes()).hexdigest() == name for path, name in stored.items())


def test_what_is_put_is_pinned_by_name_unless_told_otherwise(edge: Edge) -> None:
    kept = edge("put", "-", "--name", "mine", "--json", stdin=b"kept").records[0]["blake3"]
    loose = edge("put", "-", "--no-pin", "--json", stdin=b"loose").records[0]["blake3"]
    keepers = edge("stat", kept, loose, "--json").records
    assert [(root["kind"], root["name"]) for root in keepers[0]["roots"]] == [("pin", "mine")]
    assert [root["kind"] for root in keepers[1]["roots"]] == ["lease"]
    assert keepers[1]["roots"][0]["expires_s"] > keepers[1]["roots"][0]["created_s"]


def test_a_media_type_is_kept_and_a_header_in_disguise_is_not(edge: Edge) -> None:
    name = edge("put", "-", "--content-type", "text/plain", "--json", stdin=b"t").records[0]["blake3"]
    assert edge("stat", name, "--json").records[0]["content_type"] == "text/plain"
    for bad in ("text", "text/plain\r\nX: y", "text/pläin", "text/" + "x" * 300, ""):
        assert edge("put", "-", "--content-type", bad, stdin=b"u").code == 2


def test_putting_the_same_twice_says_the_same(edge: Edge) -> None:
    first = edge("put", "-", "--json", stdin=b"same").records
    assert edge("put", "-", "--json", stdin=b"same").records == first
    assert len(edge("ls", "--json").records) == 1


def test_a_path_that_is_missing_stops_everything_before_it_begins(
    edge: Edge, tmp_path: Path, data: Path
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    result = edge("put", tmp_path / "x", tmp_path / "nothing", "--json")
    assert (result.code, result.out) == (3, b"")
    assert result.error["where"] == str(tmp_path / "nothing")
    assert not data.exists()


def test_a_failure_on_the_way_tells_what_was_stored_before_it(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"good")
    result = edge("put", tmp_path / "good", "/proc/self/mem", "--json")
    assert result.code != 0
    assert [record["path"] for record in result.records] == [str(tmp_path / "good")]
    assert result.error["where"] == "/proc/self/mem"
    assert len(edge("ls", "--json").records) == 1


def test_a_store_at_its_quota_is_full_and_stays_usable(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEEK_EDGE_STORE_QUOTA_BYTES", "1MiB")
    assert edge("put", "-", stdin=bytes(600_000)).code == 0
    result = edge("put", "-", "--json", stdin=b"\1" * 600_000)
    assert (result.code, result.error["kind"], result.out) == (7, "store_full", b"")
    assert edge("put", "-", stdin=b"small").code == 0
    assert len(edge("ls", "--json").records) == 2


def test_standard_input_is_read_once_and_from_a_pipe(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.edge", "put", "-", "--json"],
        cwd=Path(__file__).parents[2],
        input=b"x" * 1_000_000,
        capture_output=True,
        check=True,
    )
    assert blake3(b"x" * 1_000_000).hexdigest().encode() in done.stdout


def test_a_name_that_is_no_text_is_shown_escaped_and_stored(edge: Edge, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"a\xff\nb")
    path.write_bytes(b"odd")
    plain = edge("put", path)
    assert plain.out.count(b"\n") == 1
    assert b"a\\udcff\\nb" in plain.out
    assert edge("put", path, "--json").records[0]["path"] == str(path)


def test_a_data_folder_that_is_a_file_is_told(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused = edge("--data", tmp_path / "file", "put", "-", "--json", stdin=b"x")
    assert (refused.code, "a file where a folder should be" in refused.error["message"]) == (2, True)
    assert "Errno" not in refused.err
