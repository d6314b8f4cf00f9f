"""`ls` of directories: names, kinds and sizes as they stand in the DAG, also of what is not here."""

import json
import random
from pathlib import Path

import pytest

from blockstore import Store
from content import dag_cbor, dag_pb
from content.block import Block
from content.cid import DAG_CBOR, DAG_PB, RAW
from content.unixfs.message import Kind, Message, encode
from tests.tools import trees
from tests.tools.conftest import Edge


@pytest.fixture
def cid(edge: Edge, tmp_path: Path) -> str:
    done = edge("add", "-Q", trees.many_shapes(tmp_path / "tree"))
    return done.out.decode().strip()


def test_entries_come_with_cid_kind_size_and_name(edge: Edge, cid: str, tmp_path: Path) -> None:
    rows = {row["name"]: row for row in edge("ls", f"{cid}/sub", "--json").records}
    assert set(rows) == {"big", "zeros", "again", "up", "empty"}
    assert (rows["big"]["type"], rows["big"]["size_bytes"]) == ("file", 3_300_000)
    assert rows["again"]["cid"] == rows["big"]["cid"]
    assert (rows["empty"]["type"], rows["up"]["type"], rows["up"]["target"]) == (
        "directory",
        "symlink",
        "../none",
    )
    assert edge("cat", rows["big"]["cid"]).out == (tmp_path / "tree" / "sub" / "big").read_bytes()


def test_names_of_every_kind_are_one_line_each_and_exact_in_json(edge: Edge, cid: str) -> None:
    result = edge("ls", f"/ipfs/{cid}", "--json")
    names = {json.loads(line)["name"] for line in result.out.splitlines()}
    assert {trees.NFC, trees.NFD, trees.LONG, "new\nline"} <= names
    assert trees.NOT_TEXT.decode("utf-8", "surrogateescape") in names
    plain = edge("ls", f"ipfs://{cid}").out.decode()
    assert len(plain.splitlines()) == len(names)
    assert "new\\nline" in plain
    assert "  sub/\n" in plain
    assert "  dangling -> sub/nowhere\n" in plain


def test_a_file_is_its_own_entry(edge: Edge, cid: str) -> None:
    row = edge("ls", f"{cid}/sub/big", "--json").records
    assert [(each["name"], each["size_bytes"]) for each in row] == [("big", 3_300_000)]


def test_a_sharded_directory_is_listed_whole(edge: Edge, tmp_path: Path) -> None:
    root = edge("add", "-Q", trees.wide(tmp_path / "wide")).out.decode().strip()
    rows = edge("ls", root, "--json").records
    assert len(rows) == 6000
    assert {row["name"] for row in rows} == {path.name for path in (tmp_path / "wide").iterdir()}


def test_what_is_not_here_is_listed_as_its_directory_knows_it(edge: Edge, data: Path) -> None:
    gone, far = Block.sealed(RAW, b"gone"), Block.sealed(DAG_PB, b"")
    links = (dag_pb.Link(gone.cid, "raw", 4), dag_pb.Link(far.cid, "node", 77))
    root = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node(links, encode(Message(Kind.DIRECTORY)))))
    with Store.open(data) as store:
        store.dag.put([root])
    rows = edge("ls", root.cid.text(), "--json").records
    assert [(row["name"], row["type"], row["size_bytes"]) for row in rows] == [
        ("raw", "file", 4),
        ("node", None, 77),
    ]
    assert b"(not here)" in edge("ls", root.cid.text()).out


def test_without_arguments_it_lists_blobs_and_a_blob_has_no_entries(edge: Edge) -> None:
    name = edge("put", "-", "--json", stdin=b"x").records[0]["blake3"]
    assert name in {row["blake3"] for row in edge("ls", "--json").records}
    assert edge("ls", name).code == 2


def test_what_is_no_unixfs_is_refused_with_the_way_out(edge: Edge, data: Path) -> None:
    node = Block.sealed(DAG_CBOR, dag_cbor.encode({"a": 1}))
    other = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node((), b"no message")))
    with Store.open(data) as store:
        store.dag.put([node, other])
    refused = edge("ls", other.cid.text(), "--json")
    assert (refused.code, refused.error["hint"]) == (2, "`fleek-edge dag stat` counts any DAG")
    assert edge("ls", f"{node.cid}/a", "--json").code == 2


def test_a_name_that_is_not_there_is_not_found(edge: Edge, cid: str) -> None:
    assert edge("ls", f"{cid}/nothing", "--json").error["kind"] == "not_found"
    assert edge("ls", Block.sealed(RAW, random.Random(3).randbytes(9)).cid.text()).code == 3
