"""CARs in and out, counts of blocks, and what the other commands do with a DAG."""

import os
import random
from pathlib import Path

import pytest

from blockstore import Root, Store
from blockstore.records import RootKind
from content import car, dag_cbor, dag_pb, multihash, varint
from content.block import Block
from content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from content.unixfs.message import Kind, Message, encode
from pinning.losing import REMOVED
from pinning.pin import Status, Wish
from pinning.pins import Pins
from tests.tools import trees
from tests.tools.conftest import Edge


def _add(edge: Edge, path: Path, *flags: str) -> str:
    return edge("add", "-Q", *flags, path).out.decode().strip()


def _folder(tmp_path: Path, name: str, *files: tuple[str, bytes]) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    for file, content in files:
        (folder / file).write_bytes(content)
    return folder


def _random(seed: int, size: int = 3_000_000) -> bytes:
    return random.Random(seed).randbytes(size)


def test_a_car_goes_out_and_in_and_a_pipe_hears_no_remarks(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, trees.many_shapes(tmp_path / "tree"))
    exported = edge("dag", "export", cid)
    assert (exported.code, exported.err) == (0, "")
    other = ("--data", tmp_path / "other")
    imported = edge(*other, "dag", "import", "-", stdin=exported.out)
    assert (imported.out.decode(), imported.err) == (f"{cid}\n", "")
    assert edge(*other, "get", cid, "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tmp_path / "tree")


def test_a_path_below_a_root_is_exported_as_a_dag_of_its_own(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, trees.many_shapes(tmp_path / "tree"))
    reader = car.CarReader()
    blocks = list(reader.feed(edge("dag", "export", f"/ipfs/{cid}/sub/big").out))
    reader.end()
    assert reader.roots == (blocks[0].cid,)
    assert edge("ls", f"{cid}/sub/big", "--json").records[0]["cid"] == blocks[0].cid.text()


def test_counts_of_one_dag_and_of_several_together(edge: Edge, tmp_path: Path) -> None:
    one = _add(edge, _folder(tmp_path, "one", ("a", _random(1)), ("b", _random(2))))
    two = _add(edge, _folder(tmp_path, "two", ("a", _random(1)), ("c", _random(3))))
    first, second, together = edge("dag", "stat", one, two, "--json").records
    assert first == edge("dag", "stat", one, "--json").records[0]
    assert (first["blocks"], first["missing"]) == (9, 0)  # a folder; two files of a root and three leaves
    assert together["unique_blocks"] == first["blocks"] + second["blocks"] - 4
    assert together["total_size_bytes"] == first["size_bytes"] + second["size_bytes"]
    shared = edge("dag", "stat", f"{one}/a", "--json").records[0]["size_bytes"]
    assert together["shared_size_bytes"] == shared
    assert together["unique_size_bytes"] == together["total_size_bytes"] - shared


def test_a_block_that_a_dag_has_twice_counts_once(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, _folder(tmp_path, "same", ("a", b"x" * 100), ("b", b"x" * 100)))
    assert edge("dag", "stat", cid, "--json").records[0]["blocks"] == 2


def test_missing_blocks_are_counted_and_the_first_is_named_with_3(edge: Edge, data: Path) -> None:
    leaves = [Block.sealed(RAW, bytes([at])) for at in range(3)]
    links = tuple(dag_pb.Link(leaf.cid, str(at), 1) for at, leaf in enumerate(leaves))
    root = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node(links, encode(Message(Kind.DIRECTORY)))))
    with Store.open(data) as store:
        store.dag.put([root, leaves[1]])
    result = edge("dag", "stat", root.cid.text(), "--json")
    assert (result.code, result.error["where"]) == (3, leaves[0].cid.text())
    assert (result.records[0]["blocks"], result.records[0]["missing"]) == (2, 2)
    for command in (["pin"], ["verify"]):
        refused = edge(*command, root.cid.text(), "--json")
        assert (refused.code, refused.error["where"]) == (3, leaves[0].cid.text())
    assert edge("stat", root.cid.text(), "--json").records[0]["roots"] == [], "a pin of a part is no pin"


def test_what_only_an_inline_block_links_to_is_counted_verified_evicted_and_removed(
    edge: Edge, data: Path
) -> None:
    leaf = Block.sealed(RAW, _random(11, 100_000))
    inline = Cid.v1(DAG_CBOR, multihash.of(multihash.IDENTITY, dag_cbor.encode([leaf.cid])))
    root = Block.sealed(DAG_CBOR, dag_cbor.encode({"below": inline}))
    name = root.cid.text()
    with Store.open(data) as store:
        store.dag.put([root])
    for command in (["pin"], ["verify"], ["dag", "stat"]):
        refused = edge(*command, name, "--json")
        assert (refused.code, refused.error["where"]) == (3, leaf.cid.text()), command
    with Store.open(data) as store:
        store.dag.put([leaf])
    assert edge("pin", name).code == 0
    assert edge("dag", "stat", name, "--json").records[0]["blocks"] == 2
    assert edge("verify", name, "--json").records[0]["blocks"] == 2
    evicted = edge("evict", name, "--json").records[0]
    assert (evicted["size_bytes"], evicted["blocks_kept"]) == (100_000, 1)
    with Store.open(data) as store:
        store.dag.put([leaf])
    assert edge("rm", name, "--json").records[0]["blocks_removed"] == 2
    with Store.open(data) as store:
        assert not store.dag.has(leaf.cid)


def test_stat_tells_both_names_of_a_file_and_who_keeps_it(edge: Edge, tmp_path: Path) -> None:
    folder = _folder(tmp_path, "f", ("big", _random(4)))
    (folder / "big").chmod(0o640)
    cid = _add(edge, folder, "--preserve-mode", "--name", "mine")
    whole = edge("stat", cid, "--json").records[0]
    assert (whole["type"], whole["blake3"], whole["roots"][0]["name"]) == ("directory", None, "mine")
    file = edge("stat", f"{cid}/big", "--json").records[0]
    assert (file["type"], file["size_bytes"], file["mode"]) == ("file", 3_000_000, "0640")
    assert edge("get", file["blake3"]).out == _random(4), "a file is a blob as well"
    plain = edge("stat", cid).out.decode()
    assert "kept by           pin mine\n" in plain
    assert edge("stat", Cid.v1(RAW, Block.sealed(RAW, b"?").cid.multihash).text()).code == 3


def test_pins_of_a_dag_are_let_go_by_either_spelling_of_its_cid(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, _folder(tmp_path, "f", ("a", b"a")), "--profile", "unixfs-v0-2015", "--no-pin")
    assert cid.startswith("Qm")
    other = Cid.parse(cid).as_v1().text()
    assert edge("pin", cid, "--name", "one", "--json").records == [
        {"cid": cid, "pinned": True, "name": "one"}
    ]
    assert edge("pin", other, "--name", "two").code == 0
    assert {root["name"] for root in edge("stat", cid, "--json").records[0]["roots"]} == {"one", "two"}
    assert edge("unpin", cid, "--name", "none").code == 3
    assert edge("unpin", other, "--name", "one", "--json").records == [{"cid": other, "pins_removed": 1}]
    assert edge("unpin", cid, "--json").records[0]["pins_removed"] == 1
    assert edge("stat", cid, "--json").records[0]["roots"] == []


def test_rm_of_a_dag_takes_what_no_other_needs_at_once(edge: Edge, tmp_path: Path) -> None:
    shared, own = _random(5), _random(6)
    kept = _add(edge, _folder(tmp_path, "kept", ("shared", shared)))
    gone = _add(edge, _folder(tmp_path, "gone", ("shared", shared), ("own", own)))
    own_hash = edge("stat", f"{gone}/own", "--json").records[0]["blake3"]
    result = edge("rm", gone, "--json").records[0]
    assert (result["removed"], result["blocks_removed"], result["blocks_kept"]) == (True, 5, 4)
    assert edge("stat", gone).code == 3
    assert edge("get", own_hash).code == 3, "its bytes went with it"
    assert edge("cat", f"{kept}/shared").out == shared
    assert edge("verify", kept).code == 0
    assert edge("rm", gone).code == 3


def test_rm_of_a_dag_that_an_account_keeps_is_refused_with_5_unless_forced(
    edge: Edge, data: Path, tmp_path: Path
) -> None:
    cid = _add(edge, _folder(tmp_path, "f", ("a", b"a")))
    with Store.open(data) as store:
        store.dag.pin(Cid.parse(cid), Root.account("studio"))
        pin = Pins(store).add("ada", Wish(Cid.parse(cid)))
    refused = edge("rm", cid, "--json")
    assert (refused.code, refused.error["kind"]) == (5, "conflict")
    assert edge("cat", f"{cid}/a").out == b"a"
    assert edge("rm", cid, "--force").code == 0
    assert edge("cat", f"{cid}/a").code == 3
    with Store.open(data) as store:
        told = Pins(store).get("ada", pin.request_id)
        assert (told.status, told.details) == (Status.FAILED, REMOVED)


def test_a_blob_that_was_put_outlives_the_file_that_lies_in_it(edge: Edge, tmp_path: Path) -> None:
    name = edge("put", "-", "--json", stdin=_random(7)).records[0]["blake3"]
    cid = _add(edge, _folder(tmp_path, "f", ("a", _random(7))))
    assert edge("stat", f"{cid}/a", "--json").records[0]["blake3"] == name
    assert edge("rm", cid).code == 0
    assert edge("get", name).out == _random(7)


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_evict_drops_bytes_and_keeps_links_pins_and_a_gc_that_works(
    edge: Edge, tmp_path: Path, profile: str
) -> None:
    folder = _folder(tmp_path, "f", ("big", _random(8)), ("small", b"s"))
    cid = _add(edge, folder, "--profile", profile)
    record = edge("evict", cid, "--json").records[0]
    assert (record["evicted"], record["size_bytes"], record["blocks_kept"]) == (True, 3_000_001, 2)
    assert edge("cat", f"{cid}/big").code == 3
    assert [row["name"] for row in edge("ls", cid, "--json").records] == ["big", "small"]
    assert edge("stat", cid, "--json").records[0]["roots"][0]["kind"] == "pin"
    loose = _add(edge, _folder(tmp_path, "loose", ("x", b"loose")))
    assert edge("rm", loose).code == 0, "what the evicted DAG links to is still known"
    assert edge("gc", "--json").records[-1]["unreadable"] == ""
    assert edge("evict", cid, "--json").records[0]["size_bytes"] == 0
    assert _add(edge, folder, "--profile", profile) == cid
    assert edge("cat", f"{cid}/big").out == _random(8)


def test_a_damaged_block_is_told_by_verify_with_4(edge: Edge, data: Path, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8000
    cid = _add(edge, _folder(tmp_path, "f", ("big", content)))
    assert edge("verify", cid, "--json").records[0]["ok"] is True
    file = data / "bulk" / "data.mdb"
    raw = bytearray(file.read_bytes())
    at = raw.find(content[:4096])
    raw[at + 100] ^= 1
    file.write_bytes(raw)
    result = edge("verify", cid, "--json")
    assert (result.code, result.error["kind"]) == (4, "unverified")
    assert (result.records[0]["ok"], result.records[0]["damaged_blocks"] > 0) == (False, True)
    assert result.records[0]["damaged"][0].startswith("bafkrei")


@pytest.mark.parametrize("flags", [["dag", "export"], ["dag", "stat"], ["cat"], ["get"], ["stat"], ["rm"]])
def test_a_root_that_is_not_here_is_not_found(edge: Edge, flags: list[str]) -> None:
    edge("put", "-", stdin=b"x")
    absent = Block.sealed(RAW, b"absent").cid.text()
    result = edge(*flags, absent, "--json")
    assert (result.code, result.error["where"]) == (3, absent)


_LEAF = Block.sealed(RAW, b"a leaf")
_HEADER = car.header((_LEAF.cid,))
_SECTION = car.frame(_LEAF.cid, len(_LEAF.data)) + _LEAF.data
_SOUND = _HEADER + _SECTION
_BOMB = b"\xff" * 12


def _v2(offset: int, size: int) -> bytes:
    numbers = offset.to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8)
    return bytes.fromhex("0aa16776657273696f6e02") + bytes(16) + numbers + _SOUND


@pytest.mark.parametrize(
    ("code", "content"),
    [
        (0, _SOUND),
        (0, _v2(51, len(_SOUND))),
        (2, b""),
        (2, b"<html>"),
        (2, b"PK\x03\x04" + bytes(100)),
        (2, bytes(1000)),
        (2, _BOMB),
        (2, varint.encode(10) + bytes.fromhex("a16776657273696f6e03")),
        (3, _HEADER),
        (4, _HEADER[:20]),
        (4, _HEADER[:1]),
        (4, _HEADER[:10] + b"\xff" + _HEADER[11:]),
        (4, _SOUND[:-1]),
        (4, _HEADER + _SECTION[:1]),
        (4, _SOUND[:-1] + b"?"),
        (4, _HEADER + varint.encode(len(_SECTION) - 2) + _SECTION[1:]),
        (4, _HEADER + varint.encode(len(_SECTION) + 100) + _SECTION[1:]),
        (4, _HEADER + varint.encode(3) + _SECTION[1:]),
        (4, _SOUND + _BOMB),
        (4, _SOUND + bytes(10)),
        (4, _SOUND + b"what follows"),
        (4, _v2(51, 0)),
        (4, _v2(50, len(_SOUND))),
        (4, _v2(51, len(_SOUND) - 1)),
        (4, _v2(51, 1 << 40)),
        (4, _v2(1 << 62, len(_SOUND))),
        (4, _v2(1 << 63, len(_SOUND))),
        (4, _v2(51, len(_SOUND))[:30]),
        (5, varint.encode(1 << 40) + _HEADER[1:]),
        (5, _HEADER + varint.encode(1 << 40) + _SECTION[1:]),
        (5, _HEADER + varint.encode(3 << 20) + _SECTION[1:]),
    ],
)
def test_what_is_no_car_is_2_what_is_broken_or_untrue_4_and_what_is_above_the_bounds_5(
    edge: Edge, tmp_path: Path, code: int, content: bytes
) -> None:
    file = tmp_path / "page.car"
    file.write_bytes(content)
    done = edge("dag", "import", file, "--json")
    assert done.code == code, done.err
    assert code == 0 or done.error["where"].startswith(f"{file}, ")
    assert edge("dag", "import", "-", stdin=content).code == code, "the same of a pipe"


def test_cat_of_a_directory_says_that_it_is_one_and_what_to_use(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, _folder(tmp_path, "f", ("a", b"a")))
    refused = edge("cat", cid, "--json")
    assert (refused.code, refused.error["message"], refused.error["where"]) == (2, "it is a directory", cid)
    assert "ls" in refused.error["hint"]


def test_a_key_is_no_name_and_the_error_says_so(edge: Edge, tmp_path: Path) -> None:
    _add(edge, _folder(tmp_path, "f", ("a", b"a")))
    refused = edge("name", "resolve", "site", "--json")
    assert refused.code == 2
    assert refused.error["message"].startswith("not an IPNS name")
    assert "k51" in refused.error["hint"]


def test_a_store_that_fills_up_says_what_becomes_of_the_blocks_that_came(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = edge("add", "-", "-Q", stdin=os.urandom(8 << 20)).out.decode().strip()
    (tmp_path / "a.car").write_bytes(edge("dag", "export", cid).out)
    monkeypatch.setenv("FLEEK_EDGE_STORE_QUOTA_BYTES", "2MiB")
    result = edge("dag", "import", tmp_path / "a.car", "--data", tmp_path / "other", "--json")
    assert result.code == 7
    assert "store.lease_s" in result.error["hint"]


@pytest.mark.parametrize("name", ["a" * 254 + "\u00e9", "\U0001f4cc" * 64], ids=["cut", "long"])
def test_a_pin_s_name_is_refused_before_anything_is_kept_when_it_is_too_long(
    edge: Edge, tmp_path: Path, name: str
) -> None:
    cid = edge("add", "-", "-Q", stdin=b"here").out.decode().strip()
    (tmp_path / "a.car").write_bytes(edge("dag", "export", cid).out)
    for argv in (["add", "-"], ["put", "-"], ["dag", "import", tmp_path / "a.car"], ["pin", cid]):
        result = edge(*argv, "--name", name, "--json", stdin=b"new")
        assert (result.code, result.out) == (2, b"")
        assert "255 bytes" in result.error["message"]
    assert len(edge("ls", "--json").records) == 1
    assert edge("gc").code == 0


def test_a_name_that_was_cut_in_a_character_is_read_and_removed(edge: Edge, data: Path) -> None:
    cid = edge("add", "-", "-Q", stdin=b"here").out.decode().strip()
    with Store.open(data) as store:
        store.dag.pin(Cid.parse(cid), Root(RootKind.PIN, "a" * 254 + "\u00e9", "cut"))
    assert edge("gc").code == 0
    assert "pin aaa" in edge("stat", cid).out.decode()
    assert edge("unpin", cid, "--json").records[0]["pins_removed"] == 2
    kinds = {root["kind"] for root in edge("stat", cid, "--json").records[0]["roots"]}
    assert "pin" not in kinds
