"""`get` of files and directories by CID, out of the store: whole, as they were, and never outside."""

import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from blockstore import Root, Store
from content import dag_pb
from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from content.unixfs.build_directory import build_symlink
from content.unixfs.message import Kind, Message, encode
from content.unixfs.profile import UNIXFS_V1_2025
from tests.tools import trees
from tests.tools.conftest import Edge
from tools.edge.tree_folder import stays_inside


def _add(edge: Edge, path: Path, *flags: str) -> str:
    done = edge("add", "-Q", *flags, path)
    assert done.code == 0, done.err
    return done.out.decode().strip()


def _directory(data: Path, links: Sequence[tuple[str, Block]]) -> str:
    """A directory of those entries, whatever their names; its CID."""
    node = dag_pb.Node(
        tuple(dag_pb.Link(block.cid, name, len(block.data)) for name, block in links),
        encode(Message(Kind.DIRECTORY)),
    )
    root = Block.sealed(DAG_PB, dag_pb.encode(node))
    with Store.open(data) as store:
        store.dag.put([block for _, block in links] + [root])
        store.dag.pin(root.cid, Root.pin())
    return root.cid.text()


def _file_bytes(tree: Path) -> int:
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


def _leaf(data: bytes = b"x") -> Block:
    return Block.sealed(RAW, data)


def _link_to(target: str) -> Block:
    return build_symlink(UNIXFS_V1_2025, target)


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_a_tree_of_every_kind_of_entry_comes_back_as_it_was(edge: Edge, tmp_path: Path, profile: str) -> None:
    tree = trees.many_shapes(tmp_path / "tree")
    cid = _add(edge, tree, "--profile", profile, "--preserve-mode", "--preserve-mtime")
    result = edge("get", cid, "-o", tmp_path / "back", "--json")
    assert (result.code, result.err) == (0, "")
    assert trees.content_of(tmp_path / "back", attributes=True) == trees.content_of(tree, attributes=True)
    assert result.records == [
        {
            "path": str(tmp_path / "back"),
            "cid": cid,
            "size_bytes": _file_bytes(tree),
            "resumed_bytes": 0,
            "files": 13,
            "folders": 3,
            "symlinks": 2,
        }
    ]
    again = _add(edge, tmp_path / "back", "--profile", profile, "--preserve-mode", "--preserve-mtime")
    assert again == cid, "what came back is the same DAG"


@pytest.mark.parametrize("build", [trees.deep, trees.wide])
def test_deep_and_sharded_directories_come_back(
    edge: Edge, tmp_path: Path, build: Callable[[Path], Path]
) -> None:
    tree = build(tmp_path / "tree")
    cid = _add(edge, tree)
    assert edge("get", cid, "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tree)


def test_modes_come_without_set_user_id_and_folders_of_no_mode_as_the_umask_says(
    edge: Edge, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "tool").write_text("x")
    (tree / "tool").chmod(0o4755)
    cid = _add(edge, tree, "--preserve-mode")
    plain = _add(edge, tree)
    before = os.umask(0o027)
    try:
        assert edge("get", cid, "-o", tmp_path / "back").code == 0
        assert edge("get", plain, "-o", tmp_path / "plain").code == 0
    finally:
        os.umask(before)
    assert (tmp_path / "back" / "tool").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "plain").stat().st_mode & 0o7777 == 0o750
    assert (tmp_path / "plain" / "tool").stat().st_mode & 0o7777 == 0o640


def test_without_o_a_file_goes_to_stdout_and_a_directory_to_its_name(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = trees.many_shapes(tmp_path / "tree")
    cid = _add(edge, tree)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert edge("get", f"{cid}/none").out == b""
    assert edge("get", f"/ipfs/{cid}/sub/big").out == (tree / "sub" / "big").read_bytes()
    assert (
        edge("get", f"ipfs://{cid}/sub/big", "--range", "5:9").out
        == (tree / "sub" / "big").read_bytes()[5:10]
    )
    assert edge("get", f"{cid}/sub/empty", "--json").records[0]["path"] == "empty"
    assert edge("get", cid).out.decode() == f"{cid}  {cid}\n"
    assert list((tmp_path / "here" / "empty").iterdir()) == []
    assert trees.content_of(tmp_path / "here" / cid) == trees.content_of(tree)


def test_a_file_with_o_appears_whole_and_tells_its_cid(edge: Edge, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(2_500_000)
    (tmp_path / "in").write_bytes(content)
    cid = _add(edge, tmp_path / "in")
    (tmp_path / "out").write_text("what was there")
    result = edge("get", cid, "-o", tmp_path / "out", "--json")
    assert (tmp_path / "out").read_bytes() == content
    assert result.records[0] == {
        "path": str(tmp_path / "out"), "cid": cid, "size_bytes": len(content), "resumed_bytes": 0
    }  # fmt: skip
    assert edge("get", cid, "-o", tmp_path / "span", "--range", "1000000:*").code == 0
    assert (tmp_path / "span").read_bytes() == content[1_000_000:]


@pytest.mark.parametrize("there", ["file", "folder", "link", "part"])
def test_a_directory_is_never_written_over_or_into_what_is_there(
    edge: Edge, tmp_path: Path, there: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "new").write_text("new")
    cid = _add(edge, tree)
    (tmp_path / "at").mkdir()
    target = tmp_path / "at" / "back"
    if there == "file":
        target.write_text("mine")
    elif there == "link":
        target.symlink_to(tree)
    else:
        place = tmp_path / "at" / "back.part" if there == "part" else target
        place.mkdir()
        (place / "mine").write_text("mine")
    before = trees.content_of(tmp_path / "at")
    result = edge("get", cid, "-o", target, "--json")
    assert (result.code, result.error["kind"]) == (5, "conflict")
    assert trees.content_of(tmp_path / "at") == before


def test_an_empty_folder_may_be_filled(edge: Edge, tmp_path: Path) -> None:
    tree = trees.wide(tmp_path / "tree", 3)
    cid = _add(edge, tree)
    (tmp_path / "back").mkdir()
    assert edge("get", cid, "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tree)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc/passwd", "../up", "nul\0"])
@pytest.mark.parametrize("nested", [False, True])
def test_names_that_lead_out_of_the_folder_are_refused_and_leave_nothing(
    edge: Edge, data: Path, tmp_path: Path, name: str, nested: bool
) -> None:
    bad = _directory(data, [("good", _leaf(b"1")), (name, _leaf(b"2"))])
    if nested:
        with Store.open(data) as store:
            inner = Block.verified(Cid.parse(bad), store.dag.read(Cid.parse(bad)))
        bad = _directory(data, [("inner", inner)])
    before = trees.content_of(tmp_path / "at") if (tmp_path / "at").exists() else {}
    (tmp_path / "at").mkdir()
    result = edge("get", bad, "-o", tmp_path / "at" / "back", "--json")
    assert (result.code, result.error["kind"]) == (5, "forbidden")
    assert trees.content_of(tmp_path / "at") == before
    assert edge("get", bad, "--archive").code == 5


def test_two_entries_of_one_name_are_refused(edge: Edge, data: Path, tmp_path: Path) -> None:
    twice = _directory(data, [("name", _link_to("/etc")), ("name", _leaf())])
    assert edge("get", twice, "-o", tmp_path / "back", "--json").error["kind"] == "forbidden"
    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "back.part").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../..", "a/../../x", "x/..", "", "./../y"])
def test_symlinks_that_lead_out_are_refused_and_an_archive_keeps_them(
    edge: Edge, data: Path, tmp_path: Path, target: str
) -> None:
    cid = _directory(data, [("link", _link_to(target))])
    result = edge("get", cid, "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["kind"]) == (5, "forbidden")
    assert not (tmp_path / "back").exists()
    assert edge("get", cid, "--archive").code == 0


@pytest.mark.parametrize(
    ("target", "depth", "inside"),
    [
        ("a", 1, True),
        ("../a", 1, False),
        ("../a", 2, True),
        ("../../a", 2, False),
        (".././../a", 3, True),
        ("a/./b", 1, True),
        ("a/..", 5, False),
        ("/a", 5, False),
        ("a\0b", 5, False),
    ],
)
def test_where_a_symlink_leads(target: str, depth: int, inside: bool) -> None:
    assert stays_inside(target, depth) is inside


def test_a_missing_block_is_named_and_leaves_nothing(edge: Edge, data: Path, tmp_path: Path) -> None:
    absent = Block.sealed(RAW, b"never stored")
    node = dag_pb.Node((dag_pb.Link(absent.cid, "gone", 12),), encode(Message(Kind.DIRECTORY)))
    root = Block.sealed(DAG_PB, dag_pb.encode(node))
    with Store.open(data) as store:
        store.dag.put([root])
    result = edge("get", root.cid.text(), "-o", tmp_path / "back", "--json")
    assert (result.code, result.error["where"]) == (3, absent.cid.text())
    assert not (tmp_path / "back.part").exists()


def test_what_fails_below_read_only_folders_is_cleared_away(edge: Edge, data: Path, tmp_path: Path) -> None:
    locked = Block.sealed(
        DAG_PB,
        dag_pb.encode(
            dag_pb.Node((dag_pb.Link(_leaf().cid, "f", 1),), encode(Message(Kind.DIRECTORY, mode=0o500)))
        ),
    )
    with Store.open(data) as store:
        store.dag.put([_leaf()])
    cid = _directory(data, [("locked", locked), ("..", _leaf())])
    assert edge("get", cid, "-o", tmp_path / "back").code == 5
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("back")] == []


@pytest.mark.parametrize("wanted", ["tree", "file"])
def test_an_archive_unpacks_to_the_same(edge: Edge, tmp_path: Path, wanted: str) -> None:
    tree = trees.many_shapes(tmp_path / "tree")
    cid = _add(edge, tree, "--preserve-mode", "--preserve-mtime")
    path = cid if wanted == "tree" else f"{cid}/sub/big"
    (tmp_path / "a.tar").write_bytes(edge("get", path, "--archive").out)
    (tmp_path / "x").mkdir()
    subprocess.run(["tar", "xpf", "a.tar", "-C", "x"], cwd=tmp_path, check=True)
    if wanted == "file":
        assert (tmp_path / "x" / "big").read_bytes() == (tree / "sub" / "big").read_bytes()
        return
    back = trees.content_of(tmp_path / "x" / cid, attributes=True)
    there = trees.content_of(tree, attributes=True)
    assert {path: what[:-1] for path, what in back.items()} == {
        path: what[:-1] for path, what in there.items()
    }
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames()[0] == cid


def test_a_range_or_stdout_of_a_directory_is_refused_with_the_way_out(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, trees.wide(tmp_path / "tree", 2))
    for flags in (["--range", "0:1"], ["-o", "-"]):
        result = edge("get", cid, *flags, "--json")
        assert (result.code, result.error["hint"]) == (2, "-o DIR writes it, --archive makes a TAR of it")
    assert edge("get", cid, "--archive", "-o", tmp_path / "x").code == 2


@pytest.mark.parametrize("place", [".", "/", "", ".."])
def test_a_folder_without_a_name_of_its_own_is_there_already(
    edge: Edge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    cid = _add(edge, trees.many_shapes(tmp_path / "tree"))
    monkeypatch.chdir(tmp_path / "tree")
    result = edge("get", cid, "-o", place, "--json")
    assert (result.code, result.error["message"]) == (5, "it exists already")
    assert edge("get", cid, "-o", "a" * 300, "--json").error["message"] == "file name too long"


def test_an_archive_that_nobody_takes_ends_with_one_error(edge: Edge, tmp_path: Path) -> None:
    cid = _add(edge, trees.many_shapes(tmp_path / "tree"))
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tools.edge", "get", cid, "--archive"],
            cwd=Path(__file__).parents[2],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 7
    assert done.stderr.startswith(b"error: no space left on device\n  where: standard output\n")
    assert b"Traceback" not in done.stderr
