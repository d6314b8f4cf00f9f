"""A directory from a gateway that breaks off: the next run takes over what is proven, and trusts nothing."""

import fcntl
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockstore import Store
from content.block import Block
from content.cid import DAG_PB, RAW
from content.dag_pb import Link, Node, encode
from content.unixfs.message import Kind, Message
from content.unixfs.message import encode as encode_message
from tests.tools import trees
from tests.tools.conftest import Edge
from tests.tools.gateway_server import Conduct, Frame, serving

PROFILES = ("unixfs-v1-2025", "unixfs-v0-2015")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return trees.many_shapes(tmp_path / "tree")


@pytest.fixture(params=PROFILES)
def source(data: Path, tree: Path, edge: Edge, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with the tree in it, which the gateway serves."""
    flags = ("--profile", request.param, "--preserve-mode", "--preserve-mtime")
    assert edge("add", tree, *flags).code == 0
    with Store.open(data) as store:
        yield store


@pytest.fixture
def cid(source: Store) -> str:
    return next(iter(source.dag.roots())).cid.text()


@pytest.mark.parametrize("has_cars", [True, False])
@pytest.mark.parametrize("cut", [2_000_000, 8_000_000])
def test_a_second_run_has_the_rest_and_fetches_little_more(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path, cut: int, *, has_cars: bool
) -> None:
    back = tmp_path / "back"
    broken = Conduct(cut_after_bytes=cut)
    with serving(source.dag.read, broken) as base:
        failed = edge("get", f"{base}/ipfs/{cid}", "-o", back, "--json")
    assert (failed.code, failed.error["kind"]) == (6, "unreachable")
    assert "back.part" in failed.error["hint"]
    assert not back.exists()
    conduct = Conduct(has_cars=has_cars)
    with serving(source.dag.read, conduct) as base:
        done = edge("get", f"{base}/ipfs/{cid}", "-o", back, "--json")
    assert (done.code, done.err) == (0, "")
    record = done.records[0]
    assert trees.content_of(back, attributes=True) == trees.content_of(tree, attributes=True)
    assert not (tmp_path / "back.part").exists()
    counts = (record["files"], record["folders"], record["symlinks"])
    assert (*counts, record["size_bytes"]) == (13, 3, 2, 9_746_127)
    assert record["resumed_bytes"] > cut - (1 << 20) - 100_000
    # each answer is rounded up to 64 KiB by the count
    most = record["size_bytes"] - record["resumed_bytes"] + 65_536 * (len(conduct.targets) + 1)
    assert conduct.sent_bytes <= most + 10_000


def _flipped(part: Path) -> None:
    for path in (part / trees.NFC, part / "sub" / "big"):
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)


def _other_kinds(part: Path) -> None:
    (part / trees.NFC).unlink()
    (part / trees.NFC).symlink_to("/etc/passwd")
    (part / "none").unlink()
    os.mkfifo(part / "none")
    (part / "-dash").unlink()
    (part / "-dash").mkdir()
    (part / "-dash" / "inner").mkdir(mode=0o500)
    (part / "sub" / "big").unlink()
    (part / "sub" / "big").symlink_to("../../elsewhere")
    (part / "dangling").unlink()
    (part / "dangling").write_text("no link")
    (part / "sub" / "empty").rmdir()
    (part / "sub" / "empty").write_text("no folder")


def _more(part: Path) -> None:
    (part / "stray").write_text("nobody's")
    (part / "sub" / "stray" / "deep").mkdir(parents=True)
    (part / "sub" / "stray").chmod(0o500)
    with (part / "sub" / "big").open("ab") as file:
        file.write(b"more than it has")
    with (part / "none").open("ab") as file:
        file.write(b"x")
    (part / "sub" / "empty").chmod(0o700)
    (part / "sub" / "empty" / "x").write_text("x")


def _closed(part: Path) -> None:
    (part / "sub" / "zeros").write_bytes(bytes(1_500_000))
    for path in (part / "sub" / "zeros", part / trees.NFD, part / "sub" / "empty", part / "sub", part):
        path.chmod(0)


def _folder_is_a_link(part: Path) -> None:
    os.rename(part / "sub", part.parent / "outside")
    (part / "sub").symlink_to(part.parent / "outside")


@pytest.mark.parametrize("change", [_flipped, _other_kinds, _more, _closed, _folder_is_a_link])
def test_nothing_of_what_was_left_is_believed(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path, change: Callable[[Path], None]
) -> None:
    part, back = tmp_path / "back.part", tmp_path / "back"
    (tmp_path / "elsewhere").write_text("mine")
    with serving(source.dag.read, Conduct()) as base:
        assert edge("get", f"{base}/ipfs/{cid}", "-o", back).code == 0
        back.rename(part)
        change(part)
        done = edge("get", f"{base}/ipfs/{cid}", "-o", back, "--json")
    assert (done.code, done.err) == (0, "")
    assert trees.content_of(back, attributes=True) == trees.content_of(tree, attributes=True)
    assert (tmp_path / "elsewhere").read_text() == "mine"
    if change is _folder_is_a_link:
        assert (tmp_path / "outside" / "big").exists(), "what a link leads to is left alone"


def test_what_is_whole_is_taken_over_without_its_bytes(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path
) -> None:
    back = tmp_path / "back"
    conduct = Conduct()
    with serving(source.dag.read, conduct) as base:
        assert edge("get", f"{base}/ipfs/{cid}", "-o", back).code == 0
        back.rename(tmp_path / "back.part")
        conduct.targets.clear()
        record = edge("get", f"{base}/ipfs/{cid}", "-o", back, "--json").records[0]
    assert record["resumed_bytes"] == record["size_bytes"]
    assert not [target for target in conduct.targets if "format=car" in target]
    assert trees.content_of(back, attributes=True) == trees.content_of(tree, attributes=True)


def test_many_small_files_come_as_one_car_again(edge: Edge, tmp_path: Path, data: Path) -> None:
    tree = trees.wide(tmp_path / "tree")
    cid = edge("add", "-Q", tree).out.decode().strip()
    conduct = Conduct(cut_after_bytes=200_000)
    with Store.open(data) as store, serving(store.dag.read, conduct) as base:
        assert edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back").code == 6
        conduct.cut_after_bytes = None
        conduct.targets.clear()
        assert edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tree)
    assert len([target for target in conduct.targets if "format=car" in target]) == 1


def test_a_liar_is_refused_in_a_second_run_too(edge: Edge, tmp_path: Path, source: Store, cid: str) -> None:
    def spoil(frames: list[Frame]) -> list[Frame]:
        name, block = frames[-1]
        return [*frames[:-1], (name, bytes((block[0] ^ 1, *block[1:])))]

    conduct = Conduct(cut_after_bytes=5_000_000)
    with serving(source.dag.read, conduct) as base:
        assert edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back").code == 6
        conduct.cut_after_bytes, conduct.spoil = None, spoil
        lied = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
    assert (lied.code, lied.error["kind"]) == (4, "unverified")
    assert not (tmp_path / "back").exists()


def test_a_folder_that_another_run_writes_is_left_to_it(
    edge: Edge, tmp_path: Path, source: Store, cid: str
) -> None:
    part = tmp_path / "back.part"
    part.mkdir()
    (part / "its").write_text("its")
    fd = os.open(part, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with serving(source.dag.read, Conduct()) as base:
        refused = edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back", "--json")
        assert (refused.code, refused.error["kind"]) == (5, "conflict")
        assert (part / "its").read_text() == "its"
        os.close(fd)
        assert edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back").code == 0
    assert not (tmp_path / "back" / "its").exists()


def test_cut_at_any_byte_again_and_again_it_ends_whole(
    edge: Edge, tmp_path: Path, source: Store, cid: str, tree: Path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    conduct = Conduct()
    with serving(source.dag.read, conduct) as base:
        for _ in range(8):
            conduct.cut_after_bytes = chance.randrange(1, 3_000_000)
            edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back")
        conduct.cut_after_bytes = None
        if not (tmp_path / "back").exists():
            assert edge("get", f"{base}/ipfs/{cid}", "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back", attributes=True) == trees.content_of(tree, attributes=True)


def test_a_name_that_no_file_can_have_is_told_so_in_a_second_run_too(edge: Edge, tmp_path: Path) -> None:
    page = Block.sealed(RAW, b"page")
    links = (Link(page.cid, "n" * 256, 4), Link(page.cid, "page", 4))
    folder = Block.sealed(DAG_PB, encode(Node(links, encode_message(Message(Kind.DIRECTORY)))))
    held = {each.cid: each.data for each in (page, folder)}
    with serving(held.__getitem__, Conduct()) as base:
        first = edge("get", f"{base}/ipfs/{folder.cid}", "-o", tmp_path / "back", "--json")
        (tmp_path / "back.part").mkdir()
        (tmp_path / "back.part" / "page").write_bytes(b"page")
        second = edge("get", f"{base}/ipfs/{folder.cid}", "-o", tmp_path / "back", "--json")
    assert second.code == first.code != 1, second
    assert second.error["message"] == first.error["message"]
