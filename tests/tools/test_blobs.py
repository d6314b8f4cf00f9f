"""`stat`, `ls`, `verify`, `rm`, `pin`, `unpin`, `evict`, `gc`, `scrub` on a real store."""

import random
from pathlib import Path

import pytest

from blockstore import Root, Store
from tests.tools.conftest import Edge

ABSENT = "00" * 32


def _put(edge: Edge, content: bytes, *flags: str) -> str:
    name: str = edge("put", "-", "--json", *flags, stdin=content).records[0]["blake3"]
    return name


def _spoil(data: Path, name: str) -> None:
    """Flip a bit of a stored segment, as a failing disk would, behind the store's back."""
    with Store.open(data) as store:
        blob = store.blob(bytes.fromhex(name))
        content = blob.read(0, min(blob.size_bytes, 64))
    file = data / "bulk" / "data.mdb"
    raw = bytearray(file.read_bytes())
    at = raw.find(content)
    assert at >= 0
    raw[at] ^= 1
    file.write_bytes(raw)


def test_stat_tells_everything_known(edge: Edge) -> None:
    name = _put(edge, b"hello", "--name", "greeting")
    record = edge("stat", name, "--json").records[0]
    assert record["blake3"] == name
    assert record["cid"].startswith("bafkr4i")
    assert (record["size_bytes"], record["state"], record["damaged_segments"]) == (5, "present", [])
    assert record["created_s"] > 1e9
    plain = edge("stat", name).out.decode()
    assert f"blake3            {name}\n" in plain
    assert "kept by           pin greeting\n" in plain


@pytest.mark.parametrize("command", ["stat", "verify", "rm", "pin", "unpin", "evict"])
def test_a_blob_that_is_not_there_is_not_found(edge: Edge, command: str) -> None:
    _put(edge, b"x")
    result = edge(command, ABSENT, "--json")
    assert (result.code, result.out) == (3, b"")
    assert result.error["kind"] == "not_found"
    assert result.error["where"] == ABSENT


def test_ls_lists_in_the_order_of_hashes(edge: Edge) -> None:
    wanted = sorted(_put(edge, bytes([index])) for index in range(20))
    assert [record["blake3"] for record in edge("ls", "--json").records] == wanted
    assert [line[:64].decode() for line in edge("ls").out.splitlines()] == wanted


def test_rm_takes_a_pinned_blob_away(edge: Edge) -> None:
    name = _put(edge, b"away")
    assert edge("rm", name, "--json").records == [{"blake3": name, "removed": True}]
    assert edge("get", name).code == 3
    assert edge("rm", name).code == 3


def test_rm_of_what_an_account_holds_is_refused_with_5_unless_forced(edge: Edge, data: Path) -> None:
    name = _put(edge, b"held")
    with Store.open(data) as store:
        store.add_root(bytes.fromhex(name), Root.account("studio"))
    refused = edge("rm", name, "--json")
    assert (refused.code, refused.error["kind"]) == (5, "conflict")
    assert edge("get", name).code == 0
    assert edge("rm", name, "--force").code == 0
    assert edge("get", name).code == 3


def test_gc_takes_what_was_unpinned_and_nothing_else(edge: Edge) -> None:
    kept, loose = _put(edge, b"kept"), _put(edge, b"loose")
    assert edge("unpin", loose, "--json").records == [{"blake3": loose, "pins_removed": 1}]
    report = edge("gc", "--json").records[0]
    assert (report["removed_blobs"], report["removed_bytes"]) == (1, 5)
    assert [record["blake3"] for record in edge("ls", "--json").records] == [kept]
    assert edge("gc").out.startswith(b"0 blocks and 0 blobs removed")


def test_pins_of_different_names_are_let_go_one_by_one(edge: Edge) -> None:
    name = _put(edge, b"x", "--name", "one")
    assert edge("pin", name, "--name", "two").code == 0
    assert edge("unpin", name, "--name", "three").code == 3
    assert edge("unpin", name, "--name", "one").code == 0
    assert [root["name"] for root in edge("stat", name, "--json").records[0]["roots"]] == ["two"]


def test_evict_keeps_the_record_and_not_the_bytes(edge: Edge) -> None:
    name = _put(edge, b"evict me")
    assert edge("evict", name, "--json").records == [{"blake3": name, "evicted": True}]
    assert edge("stat", name, "--json").records[0]["state"] == "evicted"
    assert b"evicted" in edge("ls").out
    assert edge("get", name).code == 3
    assert _put(edge, b"evict me") == name
    assert edge("get", name).out == b"evict me"


def test_sound_blobs_verify_and_scrub(edge: Edge) -> None:
    first, second = _put(edge, b"x" * 300_000), _put(edge, b"y")
    records = edge("verify", first, second, "--json").records
    assert [(record["blake3"], record["ok"]) for record in records] == [(first, True), (second, True)]
    report = edge("scrub", "--json")
    assert report.code == 0
    assert (report.records[0]["blobs"], report.records[0]["damaged_blobs"]) == (2, 0)


def test_damage_is_told_by_verify_with_4_and_by_scrub_with_8_and_never_got(
    edge: Edge, data: Path, tmp_path: Path
) -> None:
    sound, damaged = _put(edge, b"s" * 1000), _put(edge, bytes(range(256)) * 40)
    _spoil(data, damaged)
    verified = edge("verify", sound, damaged, "--json")
    assert verified.code == 4
    assert [record["ok"] for record in verified.records] == [True, False]
    assert verified.records[1]["damaged_segments"] == [0]
    assert verified.error == verified.error | {"kind": "unverified", "where": damaged}
    scrubbed = edge("scrub", "--json")
    assert scrubbed.code == 8
    assert scrubbed.records[0]["damaged"] == [damaged]
    assert scrubbed.error["kind"] == "damaged"
    got = edge("get", damaged, "-o", tmp_path / "out")
    assert got.code == 8
    assert list(tmp_path.glob("out*")) == []
    assert b"DAMAGED" in edge("ls").out
    assert edge("get", sound).code == 0


def test_damage_is_healed_by_putting_the_content_again(edge: Edge, data: Path) -> None:
    content = bytes(range(256)) * 40
    name = _put(edge, content)
    _spoil(data, name)
    assert edge("verify", name).code == 4
    assert _put(edge, content) == name
    assert edge("verify", name).code == 0
    assert edge("get", name).out == content


def test_a_blob_that_many_blocks_lie_in_is_told_in_a_few_lines(edge: Edge) -> None:
    cid = edge("add", "-", "-Q", stdin=random.Random(1).randbytes(5 << 20)).out.decode().strip()
    name = edge("stat", cid, "--json").records[0]["blake3"]
    plain = edge("stat", name).out.decode()
    assert "kept by           6 blocks, which --json lists\n" in plain
    assert plain.count("kept by") == 1
    assert len(edge("stat", name, "--json").records[0]["roots"]) == 6
