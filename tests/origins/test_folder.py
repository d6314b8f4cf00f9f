"""What was added from a folder of this machine comes back from it: what is asked for, if it is as it was."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import origins.folder_hash
from blockstore import Durability, Store, StoreSettings
from blockstore.origin import Origin, OriginKind
from content.block import BlockMissing
from content.cid import Cid
from content.dag_walk import walk
from content.unixfs import directory
from runtime.errors import BlobDamaged, NotFound, Unverified
from tests.appliance import Node, Reply, edge
from tests.node.test_damage import flip
from tests.origins.test_healing import delete_all, evict_all
from tests.origins.test_refetch import note, refetching
from tests.tools import trees

pytestmark = pytest.mark.timeout(300)
TEXT = b"a page\n" * 30_000  # 210,000 bytes: small, in a pack
BIG = os.urandom(3_300_000)  # several leaves, an extent


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Store]:
    """A store that has nothing."""
    with Store.open(tmp_path / "elsewhere", StoreSettings(durability=Durability.NONE)) as opened:
        yield opened


def little_tree(folder: Path) -> Path:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "index.html").write_bytes(TEXT)
    (folder / "sub" / "deep" / "big").write_bytes(BIG)
    (folder / "sub" / "deep" / "small").write_bytes(b"few")
    (folder / ".hidden").write_bytes(b"shown on request")
    (folder / "sub" / "link").symlink_to("../index.html")
    (folder / "out").symlink_to("/etc")
    os.mkfifo(folder / "pipe")  # is left out
    return folder


@dataclass
class Added:
    """A folder that was added to a store of its own."""

    data: Path
    tree: Path
    root: Cid
    cids: dict[str, Cid]

    @contextmanager
    def node(self) -> Iterator[Node]:
        with Node(self.data, "--workers", "1") as running:
            yield running

    def lacks(self) -> list[str]:
        """What of the DAG is not here, or not sound."""
        with Store.open(self.data) as store:
            return [str(cid) for cid in walk(self.root, partial(_read, store)) if not _read(store, cid)]


def _read(store: Store, cid: Cid) -> bytes:
    """A block, or no bytes for one that cannot be read (and for an empty file)."""
    try:
        return store.dag.read(cid) or b"nothing"
    except (BlockMissing, BlobDamaged):
        return b""


def add(tmp_path: Path, *flags: str, make: Callable[[Path], Path] = little_tree) -> Added:
    tree = make(tmp_path / "tree")
    done = edge(tmp_path / "data", "add", *flags, str(tree))
    assert done.returncode == 0, done.stderr
    lines = [line.partition("  ") for line in os.fsdecode(done.stdout).splitlines()]
    cids = {path.removeprefix("tree").removeprefix("/"): Cid.parse(cid) for cid, _, path in lines if path}
    return Added(tmp_path / "data", tree, list(cids.values())[-1], cids)


def same(reply: Reply, content: bytes) -> bool:
    assert reply.status == 200, reply.body[:300]
    return reply.body == content


LOSSES: dict[str, Callable[[Path], Any]] = {"evicted": evict_all, "deleted": delete_all}


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize(
    "flags",
    [(), ("--preserve-mode", "--preserve-mtime"), ("--profile", "unixfs-v0-2015"), ("--no-hidden",)],
    ids=["plain", "attributes", "v0", "no hidden"],
)
def test_a_folder_whose_blocks_are_all_lost_is_read_again(
    tmp_path: Path, how: str, flags: tuple[str, ...]
) -> None:
    added = add(tmp_path, *flags)
    LOSSES[how](added.data)
    with added.node() as node:
        listing = node.get(f"/ipfs/{added.root}/sub/deep/", {"Accept": "text/html"})
        assert (listing.status, b"small" in listing.body) == (200, True), listing.body[:300]
        assert same(node.get(f"/ipfs/{added.root}/index.html"), TEXT)
        assert same(node.get(f"/ipfs/{added.root}/"), TEXT)
        assert same(node.get(f"/ipfs/{added.root}/sub/deep/big"), BIG)
        assert same(node.get(f"/ipfs/{added.root}/sub/deep/small"), b"few")
        hidden = node.get(f"/ipfs/{added.root}/.hidden")
        assert hidden.status == (404 if "--no-hidden" in flags else 200), hidden.body[:300]
        assert node.get(f"/ipfs/{added.root}?format=tar").status == 200
    assert added.lacks() == []


def test_evict_by_name_and_read_of_a_file_below(tmp_path: Path) -> None:
    added = add(tmp_path)
    assert edge(added.data, "evict", str(added.root)).returncode == 0
    with added.node() as node:
        span = node.get(f"/ipfs/{added.root}/sub/deep/big", {"Range": "bytes=1500000-1500099"})
        assert (span.status, span.body) == (206, BIG[1_500_000:1_500_100])
    lacking = added.lacks()
    assert str(added.cids["index.html"]) in lacking  # only what was asked for was read
    assert str(added.cids["sub/deep/big"]) not in lacking


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("path", ["index.html", "sub/deep/big"])
def test_a_file_or_a_block_asked_for_by_its_own_name_is_found_through_the_root(
    tmp_path: Path, how: str, path: str
) -> None:
    added = add(tmp_path)
    content = (added.tree / path).read_bytes()
    with Store.open(added.data) as store:
        names = list(walk(added.cids[path], store.dag.read))
        whole = store.dag.file(added.cids[path])
        assert whole is not None
        blob = whole.root.hex()
        blocks = {cid: store.dag.read(cid) for cid in names}
    LOSSES[how](added.data)
    with added.node() as node:
        last = names[-1]
        assert same(node.get(f"/ipfs/{last}?format=raw"), blocks[last])
    LOSSES[how](added.data)
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.cids[path]}"), content)
    LOSSES[how](added.data)
    with added.node() as node:
        assert same(node.get(f"/blake3/{blob}"), content)


def test_a_bit_that_flipped_below_a_folder_heals(tmp_path: Path) -> None:
    added = add(tmp_path)
    flip(added.data, BIG[2_000_000:2_000_040])
    with Store.open(added.data) as store:
        flip(added.data, store.dag.read(added.cids["sub"])[:60])
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/sub/deep/big"), BIG)
    assert added.lacks() == []


def test_what_has_changed_is_told_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    added = add(tmp_path)
    assert edge(added.data, "evict", str(added.root)).returncode == 0
    other = b"something else, which nobody added"
    (added.tree / "index.html").write_bytes(other)
    with added.node() as node:
        reply = node.get(f"/ipfs/{added.root}/index.html", {"Accept": "application/json"})
        assert reply.status == 502
        assert "has changed since" in reply.json()["error"]["message"]
        assert str(added.tree) not in reply.body.decode()
        assert same(node.get(f"/ipfs/{added.root}/sub/deep/big"), BIG)
    with Store.open(added.data) as store:
        assert all(len(other) != each.size_bytes for each in store.list())


def test_where_a_folder_has_changed_its_lost_directory_does_not_come_back(tmp_path: Path) -> None:
    added = add(tmp_path)
    evict_all(added.data)
    (added.tree / "index.html").write_bytes(b"something else")
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/sub/deep/big").status == 502
        assert same(node.get(f"/ipfs/{added.cids['sub/deep/big']}"), BIG)  # it is what it was
        assert node.get(f"/ipfs/{added.cids['sub']}/deep/small").body == b"few"
        (added.tree / "index.html").write_bytes(TEXT)
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/index.html"), TEXT)


def test_modes_and_times_are_part_of_it(tmp_path: Path) -> None:
    added = add(tmp_path, "--preserve-mode", "--preserve-mtime")
    evict_all(added.data)
    path = added.tree / "index.html"
    was = path.stat()
    path.chmod(0o600)
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/index.html").status == 502
    path.chmod(was.st_mode)
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/index.html"), TEXT)


def test_a_single_file_with_its_mode_comes_back(tmp_path: Path) -> None:
    (tmp_path / "alone").write_bytes(BIG)
    done = edge(tmp_path / "data", "add", "-Q", "--preserve-mode", str(tmp_path / "alone"))
    cid = done.stdout.decode().strip()
    evict_all(tmp_path / "data")
    with Node(tmp_path / "data", "--workers", "1") as node:
        assert same(node.get(f"/ipfs/{cid}"), BIG)


def test_no_symlink_leads_out_of_the_folder(tmp_path: Path) -> None:
    added = add(tmp_path)
    assert edge(added.data, "evict", str(added.root)).returncode == 0
    outside = tmp_path / "outside"
    shutil.move(added.tree / "sub", outside)
    (added.tree / "sub").symlink_to(outside)  # the right bytes, elsewhere
    (outside / "page").write_bytes(TEXT)
    (added.tree / "index.html").unlink()
    (added.tree / "index.html").symlink_to(outside / "page")
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/sub/deep/big").status == 502
        assert node.get(f"/ipfs/{added.root}/index.html").status == 502
    (added.tree / "sub").unlink()
    shutil.move(outside, added.tree / "sub")
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/sub/deep/big"), BIG)


def test_every_kind_of_entry_comes_back(tmp_path: Path) -> None:
    added = add(tmp_path, "--preserve-mtime", make=trees.many_shapes)
    evict_all(added.data)
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}?format=car").status == 200
    assert added.lacks() == []


def test_folders_inside_one_another_come_back(tmp_path: Path) -> None:
    added = add(tmp_path, make=trees.deep)
    evict_all(added.data)
    path = "/".join(map(str, range(trees.DEPTH)))
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/{path}/bottom"), b"deep")


def test_a_sharded_directory_comes_back_and_keeps_the_record_small(tmp_path: Path) -> None:
    added = add(tmp_path, make=trees.wide)
    assert edge(added.data, "evict", str(added.root)).returncode == 0  # not what has links
    with Store.open(added.data) as store:
        lost = store.dag.slice(added.root)
        assert lost is not None
        store.evict(lost.blob.root)
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/entry-04321.txt"), b"4321\n")
    with Store.open(added.data) as store:
        shard = next(directory.shards(added.root, store.dag.read(added.root), store.dag.read))
        assert len(list(store.origins.all())) == 1
        block = store.dag.read(shard)
        found = store.dag.slice(shard)
        assert found is not None
        store.evict(found.blob.root)
    with added.node() as node:
        assert same(node.get(f"/ipfs/{shard}?format=raw"), block)
        assert same(node.get(f"/ipfs/{added.root}/entry-00000.txt"), b"0\n")


def test_a_deleted_folder_is_not_found(tmp_path: Path) -> None:
    added = add(tmp_path)
    evict_all(added.data)
    shutil.rmtree(added.tree)
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/index.html").status == 404


@pytest.mark.parametrize("is_changed", [False, True], ids=["as it was", "one file changed"])
def test_all_of_it_comes_back_at_once_but_what_has_changed(tmp_path: Path, is_changed: bool) -> None:
    added = add(tmp_path)
    if is_changed:
        (added.tree / "index.html").write_bytes(TEXT + b"more")
        assert edge(added.data, "evict", str(added.root)).returncode == 0
    else:
        evict_all(added.data)

    async def run() -> None:
        with Store.open(added.data) as store:
            async with refetching(store, {}) as (refetch, _, _):
                if is_changed:
                    with pytest.raises(Unverified, match="has changed since"):
                        await refetch.fetch(added.root)
                else:
                    await refetch.fetch(added.root)

    asyncio.run(run())
    assert added.lacks() == ([str(added.cids["index.html"])] if is_changed else [])


def test_who_gives_up_waiting_ends_the_reading(tmp_path: Path) -> None:
    added = add(tmp_path)
    delete_all(added.data)
    (added.tree / "sub" / "endless").touch()
    os.truncate(added.tree / "sub" / "endless", 1 << 40)  # zeros that take no room

    async def run() -> None:
        with Store.open(added.data) as store:
            async with refetching(store, {}) as (refetch, _, _):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(refetch.fetch(added.root), 0.3)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("sub_path", "fits"),
    [("sub/deep/big", True), ("sub/deep", False), ("sub/../sub/deep/big", False), ("/etc/passwd", False)],
)
def test_a_row_may_say_where_in_a_folder_it_lies(
    elsewhere: Store, tmp_path: Path, sub_path: str, fits: bool
) -> None:
    added = add(tmp_path)
    cid = added.cids["sub/deep/big"]

    async def run() -> None:
        async with refetching(elsewhere, {}) as (refetch, _, _):
            place = Origin(OriginKind.LOCAL, str(added.tree), profile="unixfs-v1-2025", sub_path=sub_path)
            note(elsewhere, cid.multihash, place)
            if fits:
                await refetch.fetch(cid)
            else:
                with pytest.raises((NotFound, Unverified)):
                    await refetch.fetch(cid)

    asyncio.run(run())
    assert (elsewhere.dag.whole_file(cid) is not None) == fits


@pytest.mark.parametrize("profile", ["", "unixfs-v0-2015+sorted", "unixfs-v0-2015"])
def test_a_row_without_a_profile_is_tried_by_all_and_one_of_later_versions_by_none(
    elsewhere: Store, tmp_path: Path, profile: str
) -> None:
    added = add(tmp_path)

    async def run() -> None:
        async with refetching(elsewhere, {}) as (refetch, _, _):
            place = Origin(OriginKind.LOCAL, str(added.tree), profile=profile, added_s=1.0)
            note(elsewhere, added.root.multihash, place)
            if profile:
                with pytest.raises(
                    Unverified, match="changed" if profile.endswith("5") else "not known here"
                ):
                    await refetch.fetch(added.root)
                return
            await refetch.fetch(added.root)
            elsewhere.origins.flush()
            assert [each.profile for each in elsewhere.origins.of(added.root.multihash)] == ["unixfs-v1-2025"]

    asyncio.run(run())
    assert elsewhere.dag.has(added.root) == (not profile)


def test_directories_that_are_held_are_bounded(
    elsewhere: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = add(tmp_path)
    monkeypatch.setattr(origins.folder_hash, "BLOCKS_BYTES_MAX", 200)

    async def run() -> None:
        async with refetching(elsewhere, {}) as (refetch, _, _):
            place = Origin(OriginKind.LOCAL, str(added.tree), profile="unixfs-v1-2025")
            note(elsewhere, added.root.multihash, place)
            with pytest.raises(Unverified, match="whose directories have more than"):
                await refetch.fetch(added.root)

    asyncio.run(run())
    assert list(elsewhere.list()) == []
