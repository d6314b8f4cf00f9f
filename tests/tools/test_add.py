"""`add`: what people give it, what it says, and what comes back out."""

import os
import threading
from pathlib import Path

import pytest

from blockstore import Store
from content.cid import Cid
from content.path import resolve
from content.unixfs import directory
from content.unixfs.file import node
from content.unixfs.message import Message, Mtime
from tests.tools.conftest import Edge
from tools.edge.local_blocks import LocalBlocks


class Dag:
    """What a store holds, as UnixFS."""

    def __init__(self, data: Path) -> None:
        self.store = Store.open(data, create=False)

    def __enter__(self) -> "Dag":
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def at(self, root: str, *names: str) -> Cid:
        return resolve(Cid.parse(root), list(names), self.store.dag.read).terminal

    def message(self, root: str, *names: str) -> Message:
        cid = self.at(root, *names)
        return node(cid, self.store.dag.read(cid)).message

    def names(self, root: str, *names: str) -> list[str]:
        cid = self.at(root, *names)
        read = self.store.dag.read
        return [link.name or "" for link in directory.entries(cid, read(cid), read)]

    def bytes(self, root: str, *names: str) -> bytes:
        return b"".join(LocalBlocks(self.store).pieces(self.at(root, *names)))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of small and large files, empty ones, symlinks and hidden names."""
    tree = tmp_path / "tree"
    (tree / "sub" / "empty").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"hello")
    (tree / "big.bin").write_bytes(os.urandom(3_000_000))
    (tree / ".hidden").write_bytes(b"hidden")
    (tree / "sub" / "nothing").write_bytes(b"")
    (tree / "sub" / "link").symlink_to("../a.txt")
    (tree / "sub" / "dangling").symlink_to("nowhere")
    return tree


def test_entries_come_before_their_directory_and_the_root_last(edge: Edge, tree: Path) -> None:
    done = edge("add", "--json", tree)
    assert done.code == 0
    assert done.err == ""
    assert [record["path"] for record in done.records] == [
        "tree/.hidden",
        "tree/a.txt",
        "tree/big.bin",
        "tree/sub/dangling",
        "tree/sub/empty",
        "tree/sub/link",
        "tree/sub/nothing",
        "tree/sub",
        "tree",
    ]
    assert all(set(record) == {"path", "cid", "size_bytes"} for record in done.records)
    assert done.records[2]["size_bytes"] == 3_000_000


def test_without_json_a_line_is_a_cid_and_a_path(edge: Edge, tree: Path) -> None:
    records = edge("add", "--json", tree).records
    done = edge("add", tree)
    assert done.out.decode().splitlines() == [f"{each['cid']}  {each['path']}" for each in records]


def test_quieter_prints_the_last_root_only(edge: Edge, tree: Path) -> None:
    root = edge("add", "--json", tree).records[-1]["cid"]
    done = edge("add", "-Q", tree / "a.txt", tree)
    assert (done.code, done.out.decode()) == (0, f"{root}\n")
    assert edge("add", "-Q", "--json", tree).records == [{"cid": root}]


def test_what_was_added_comes_back_byte_for_byte(edge: Edge, tree: Path, data: Path) -> None:
    root = edge("add", "-Q", tree).out.decode().strip()
    with Dag(data) as dag:
        assert dag.names(root) == [".hidden", "a.txt", "big.bin", "sub"]
        for path in ("a.txt", "big.bin", "sub/nothing"):
            assert dag.bytes(root, *path.split("/")) == (tree / path).read_bytes()
        assert dag.message(root, "sub", "link").data == b"../a.txt"
        assert dag.message(root, "sub", "dangling").data == b"nowhere"
        assert dag.names(root, "sub", "empty") == []


@pytest.mark.parametrize("profile", ["unixfs-v1-2025", "unixfs-v0-2015"])
def test_every_file_is_whole_under_its_cid(edge: Edge, tree: Path, data: Path, profile: str) -> None:
    root = edge("add", "-Q", "--profile", profile, tree).out.decode().strip()
    with Dag(data) as dag:
        for path in ("a.txt", "big.bin", "sub/nothing"):
            blob = dag.store.dag.file(dag.at(root, *path.split("/")))
            assert blob is not None
            assert blob.read(0, blob.size_bytes) == (tree / path).read_bytes()


def test_adding_again_says_the_same_and_stores_nothing(edge: Edge, tree: Path, data: Path) -> None:
    first = edge("add", tree)
    with Dag(data) as dag:
        before = dag.store.usage()
    assert edge("add", tree, tree).out == first.out * 2
    with Dag(data) as dag:
        assert (dag.store.usage().blobs, dag.store.usage().bytes_) == (before.blobs, before.bytes_)


def test_gc_leaves_what_is_pinned(edge: Edge, tree: Path, data: Path) -> None:
    root = edge("add", "-Q", tree, "--name", "mine").out.decode().strip()
    assert edge("gc").code == 0
    with Dag(data) as dag:
        assert dag.bytes(root, "big.bin") == (tree / "big.bin").read_bytes()
        assert [each.name for each in dag.store.dag.roots_of(Cid.parse(root))] == ["mine"]


def test_no_pin_and_no_hidden_are_kept_to(edge: Edge, tree: Path, data: Path) -> None:
    root = edge("add", "-Q", "--no-pin", "--no-hidden", tree).out.decode().strip()
    with Dag(data) as dag:
        assert ".hidden" not in dag.names(root)
        assert dag.store.dag.roots_of(Cid.parse(root)) == []


def test_standard_input_has_the_cid_of_the_same_file(edge: Edge, tree: Path) -> None:
    content = (tree / "big.bin").read_bytes()
    cid = edge("add", "-Q", tree / "big.bin").out
    assert edge("add", "-Q", "-", stdin=content).out == cid
    assert edge("add", "--json", "-", stdin=content).records[-1]["path"] == "-"


NAMES = {
    "composed": "é".encode(),
    "decomposed": "e\u0301".encode(),
    "longest": b"n" * 255,
    "no-utf8": b"\xff\xfe-\x80",
    "spaces": b" a\tb\n",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_are_kept_byte_for_byte(edge: Edge, tmp_path: Path, data: Path, name: bytes) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    (Path(os.fsdecode(os.fsencode(folder) + b"/" + name))).write_bytes(name)
    done = edge("add", "-Q", folder)
    assert done.code == 0
    with Dag(data) as dag:
        root = done.out.decode().strip()
        assert dag.names(root) == [name.decode("utf-8", "surrogateescape")]
        assert dag.bytes(root, name.decode("utf-8", "surrogateescape")) == name


def test_composed_and_decomposed_names_are_two_entries(edge: Edge, tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "names"  # not where the store itself is
    folder.mkdir()
    (folder / "é").write_bytes(b"1")
    (folder / "e\u0301").write_bytes(b"2")
    root = edge("add", "-Q", folder).out.decode().strip()
    with Dag(data) as dag:
        assert [dag.bytes(root, each) for each in ("é", "e\u0301")] == [b"1", b"2"]


def test_two_hundred_folders_inside_one_another_are_added(edge: Edge, tmp_path: Path, data: Path) -> None:
    inner = tmp_path / "top" / "/".join("d" for _ in range(200))
    inner.mkdir(parents=True)
    (inner / "leaf").write_bytes(b"deep")
    root = edge("add", "-Q", tmp_path / "top").out.decode().strip()
    with Dag(data) as dag:
        assert dag.bytes(root, *["d"] * 200, "leaf") == b"deep"


def test_folders_inside_one_another_without_end_are_refused(edge: Edge, tmp_path: Path) -> None:
    inner = tmp_path / "top" / "/".join("d" for _ in range(402))
    inner.mkdir(parents=True)
    done = edge("add", "--json", tmp_path / "top")
    assert done.code == 2
    assert "400 folders" in done.error["message"]


def test_attributes_are_kept_when_asked_for(edge: Edge, tree: Path, data: Path) -> None:
    (tree / "sub" / "nothing").chmod(0o4751)
    os.utime(tree / "sub" / "nothing", ns=(0, 1_500_000_000_123_456_789))
    os.utime(tree / "sub" / "link", ns=(0, -3_000_000_000), follow_symlinks=False)
    (tree / "sub").chmod(0o1770)
    os.utime(tree / "sub", ns=(0, 7_000_000_000))
    root = edge("add", "-Q", "--preserve-mode", "--preserve-mtime", tree).out.decode().strip()
    with Dag(data) as dag:
        file = dag.message(root, "sub", "nothing")
        assert (file.mode, file.mtime) == (0o4751, Mtime(1_500_000_000, 123_456_789))
        link = dag.message(root, "sub", "link")
        assert (link.mode, link.mtime) == (None, Mtime(-3))
        sub = dag.message(root, "sub")
        assert (sub.mode, sub.mtime) == (0o1770, Mtime(7))
        assert dag.bytes(root, "big.bin") == (tree / "big.bin").read_bytes()


# What is no plain file


def test_pipes_inside_folders_are_left_out_with_a_note(edge: Edge, tree: Path) -> None:
    without = edge("add", "-Q", tree).out
    os.mkfifo(tree / "pipe")
    done = edge("add", "-Q", tree)
    assert (done.code, done.out) == (0, without)
    assert f"left out: {tree}/pipe" in done.err


def test_a_named_pipe_is_read_to_its_end(edge: Edge, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"through a pipe",))
    writer.start()
    cid = edge("add", "-Q", tmp_path / "pipe").out
    writer.join()
    (tmp_path / "file").write_bytes(b"through a pipe")
    assert edge("add", "-Q", tmp_path / "file").out == cid


def test_a_device_is_refused(edge: Edge) -> None:
    done = edge("add", "--json", "/dev/null")
    assert (done.code, done.error["where"]) == (2, "/dev/null")


def test_a_file_that_cannot_be_read_is_named_and_leaves_no_root(edge: Edge, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"fine")
    done = edge("add", "--json", folder, "/proc/self/mem")
    assert done.code == 2
    assert done.error["where"] == "/proc/self/mem"
    assert [record["path"] for record in done.records] == ["folder/a", "folder"]


def test_a_symlink_on_the_command_line_is_what_it_points_to(edge: Edge, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "to-folder").symlink_to(tree)
    (tmp_path / "to-file").symlink_to(tree / "a.txt")
    (tmp_path / "to-nothing").symlink_to("nowhere")
    assert edge("add", "-Q", tmp_path / "to-folder").out == edge("add", "-Q", tree).out
    assert edge("add", "-Q", tmp_path / "to-file").out == edge("add", "-Q", tree / "a.txt").out
    assert edge("add", tmp_path / "to-nothing").code == 3


def test_what_is_not_there_is_said_before_any_work(edge: Edge, tree: Path) -> None:
    done = edge("add", "--json", tree, tree / "missing")
    assert (done.code, done.out) == (3, b"")
    assert done.error["where"] == str(tree / "missing")


@pytest.mark.parametrize("spelled", [".", "./", "../tree", "../tree/", "sub/.."])
def test_a_folder_has_one_cid_however_it_is_spelled(
    edge: Edge, tree: Path, monkeypatch: pytest.MonkeyPatch, spelled: str
) -> None:
    expected = edge("add", "-Q", tree).out
    monkeypatch.chdir(tree)
    assert edge("add", "-Q", spelled).out == expected


def test_help_shows_examples_that_work(edge: Edge, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    help_text = edge("add", "--help").out.decode()
    monkeypatch.chdir(tree.parent)
    for old, new in (("site/", "tree/"), ("photo.jpg", "tree/a.txt")):
        line = next(line for line in help_text.splitlines() if old in line and "tar c" not in line)
        words = line.replace(old, new).split()
        assert words[0] == "fleek-edge"
        assert edge(*words[1:]).code == 0
