"""What was in a TAR or a CAR comes back from it: verified, and only if it is as it was."""

import asyncio
import io
import json
import tarfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from blockstore import Store
from content.block import Block, BlockMissing
from content.cid import Cid
from content.dag_walk import walk
from content.unixfs.profile import PROFILES
from runtime.errors import NotFound, Unverified
from tests.appliance import Node, edge, token
from tests.origins.byte_server import ByteServer, Held, in_a_thread
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.origins.test_folder import BIG, TEXT, Added, add, elsewhere, same
from tests.origins.test_healing import delete_all, evict_all
from tests.origins.test_refetch import V1, V1_BLOCKS, http, note, refetching
from tests.origins.trustless_source import car_of, file_blocks

__all__ = ["elsewhere"]
pytestmark = pytest.mark.timeout(300)


def packed(mode: str = "w") -> bytes:
    """A TAR with a name that comes twice, a hard link, a symlink, a hidden file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in (
            ("site/index.html", b"an older page"),
            ("site/sub/big", BIG),
            ("site/index.html", TEXT),
            ("site/.hidden", b"few"),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o640, 1_600_000_000
            tar.addfile(member, io.BytesIO(content))
        for name, kind, target in (
            ("site/again", tarfile.LNKTYPE, "site/sub/big"),
            ("site/link", tarfile.SYMTYPE, "index.html"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return out.getvalue()


def added_tar(tmp_path: Path, *flags: str, mode: str = "w") -> Added:
    return add(tmp_path, "--tar", *flags, make=lambda path: _written(path, packed(mode)))


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


LOSSES: dict[str, Callable[[Path], None]] = {"evicted": evict_all, "deleted": delete_all}
FLAGS = {"plain": (), "attributes": ("--preserve-mode", "--preserve-mtime", "--profile", "unixfs-v0-2015")}


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_a_tar_of_this_machine_is_read_again(tmp_path: Path, how: str, flags: tuple[str, ...]) -> None:
    added = added_tar(tmp_path, *flags, mode="w" if flags else "w:gz")
    LOSSES[how](added.data)
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/site/sub/", {"Accept": "text/html"}).status == 200
        span = node.get(f"/ipfs/{added.root}/site/sub/big", {"Range": "bytes=2000000-2000099"})
        assert (span.status, span.body) == (206, BIG[2_000_000:2_000_100])
    assert str(added.cids["site/index.html"]) in added.lacks()  # only what was asked for was stored
    with added.node() as node:
        assert same(node.get(f"/ipfs/{added.root}/site/index.html"), TEXT)
        assert same(node.get(f"/ipfs/{added.root}/site/.hidden"), b"few")
        assert same(node.get(f"/ipfs/{added.root}/site/again"), BIG)
    assert added.lacks() == []


def test_a_file_that_was_in_a_tar_is_found_by_its_own_name(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    with Store.open(added.data) as store:
        blob = store.dag.file(added.cids["site/sub/big"])
        assert blob is not None
    for path in (f"/ipfs/{added.cids['site/sub/big']}", f"/blake3/{blob.root.hex()}"):
        evict_all(added.data)
        with added.node() as node:
            assert same(node.get(path), BIG)


def test_a_tar_that_has_changed_says_so_and_gives_what_has_not(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    evict_all(added.data)
    other = packed().replace(TEXT, TEXT[:-2] + b"?\n")
    added.tree.write_bytes(other)
    with added.node() as node:
        reply = node.get(f"/ipfs/{added.root}/site/index.html", {"Accept": "application/json"})
        assert (reply.status, "changed" in reply.json()["error"]["message"]) == (502, True)
        assert same(node.get(f"/ipfs/{added.cids['site/sub/big']}"), BIG)
    with Store.open(added.data) as store:
        sizes = [store.blob(each.hash).size_bytes for each in store.list() if _is_here(store, each.hash)]
        assert [size for size in sizes if size > 1000] == [len(BIG)]
    added.tree.write_bytes(packed()[:1_000_000])
    with added.node() as node:
        assert node.get(f"/ipfs/{added.root}/site/index.html").status == 502


def _is_here(store: Store, root: bytes) -> bool:
    try:
        return store.blob(root).size_bytes >= 0
    except NotFound:
        return False


def test_all_of_a_tar_comes_back_at_once(tmp_path: Path) -> None:
    added = added_tar(tmp_path)
    evict_all(added.data)

    async def run() -> None:
        with Store.open(added.data) as store:
            async with refetching(store, {}) as (refetch, _, _):
                await refetch.fetch(added.root)

    asyncio.run(run())
    assert added.lacks() == []


@pytest.mark.parametrize("order", ["root first", "root last"])
def test_a_car_of_this_machine_is_read_again(tmp_path: Path, order: str) -> None:
    root, cids, blocks = tree_of(tmp_path / "there")
    path = tmp_path / "it.car"
    path.write_bytes(car_of((root,), ORDERS[order](blocks)))
    data = tmp_path / "data"
    assert edge(data, "dag", "import", str(path)).returncode == 0
    assert edge(data, "evict", str(root)).returncode == 0
    with Node(data, "--workers", "1") as node:
        assert same(node.get(f"/ipfs/{root}/site/index.html"), TEXT)
        assert same(node.get(f"/ipfs/{cids['site/sub/big']}"), BIG)
    with Store.open(data) as store:
        assert lacking(store, root) == []
    assert edge(data, "evict", str(root)).returncode == 0
    path.write_bytes(path.read_bytes().replace(TEXT, TEXT[:-2] + b"?\n"))
    with Node(data, "--workers", "1") as node:
        reply = node.get(f"/ipfs/{root}/site/index.html", {"Accept": "application/json"})
        assert (reply.status, "do not match" in reply.json()["error"]["message"]) == (502, True)


# At a URL, of which nobody has said what is there


def tree_of(tmp_path: Path, *flags: str) -> tuple[Cid, dict[str, Cid], list[Block]]:
    """What `packed()` is added as: the root, paths, all blocks root first."""
    tmp_path.mkdir(exist_ok=True)
    added = added_tar(tmp_path, *flags)
    with Store.open(added.data) as store:
        return added.root, added.cids, [_block(store, cid) for cid in walk(added.root, store.dag.read)]


def _block(store: Store, cid: Cid) -> Block:
    return Block.verified(cid, store.dag.read(cid))


def lacking(store: Store, root: Cid) -> list[str]:
    return [cid.text() for cid in walk(root, partial(read_or_nothing, store)) if not store.dag.has(cid)]


def read_or_nothing(store: Store, cid: Cid) -> bytes:
    try:
        return store.dag.read(cid)
    except BlockMissing:
        return b""


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("part", ["", "site/sub", "site/sub/big"])
def test_a_tar_at_a_url_gives_its_tree_or_a_part_of_it(
    elsewhere: Store, tmp_path: Path, profile: str, part: str
) -> None:
    root, cids, _ = tree_of(tmp_path, "--profile", profile)
    cid = next(cid for path, cid in cids.items() if path.endswith(part)) if part else root

    async def run() -> None:
        async with refetching(elsewhere, {"/it": packed()}) as (refetch, server, _):
            note(elsewhere, cid.multihash, http(f"{server.url}/it"))
            await refetch.fetch(cid)
            assert lacking(elsewhere, cid) == []
            elsewhere.origins.flush()
            (kept,) = elsewhere.origins.of(cid.multihash)
            assert (kept.profile, kept.sub_path) == (f"{profile}+tar", part)
            if part:
                assert lacking(elsewhere, root) != []
            evict_here(elsewhere)
            await refetch.fetch(cid)
            assert lacking(elsewhere, cid) == []

    asyncio.run(run())


def evict_here(store: Store) -> None:
    for each in list(store.list()):
        store.evict(each.hash)


def test_a_tar_may_be_the_file_itself(elsewhere: Store) -> None:
    cid, _ = file_blocks(packed())

    async def run() -> None:
        async with refetching(elsewhere, {"/it": packed()}) as (refetch, server, _):
            note(elsewhere, cid.multihash, http(f"{server.url}/it"))
            await refetch.fetch(cid)

    asyncio.run(run())
    assert lacking(elsewhere, cid) == []
    assert [each.size_bytes for each in elsewhere.list() if each.size_bytes > 1000] == [len(packed())]


def test_another_tar_leaves_nothing(elsewhere: Store, tmp_path: Path) -> None:
    root, _, _ = tree_of(tmp_path)
    other = packed().replace(TEXT, TEXT[:-2] + b"?\n")

    async def run() -> None:
        held: dict[str, bytes | Held] = {"/it": other, "/cut": packed()[:1_000_000], "/no": b"x" * 9000}
        async with refetching(elsewhere, held) as (refetch, server, _):
            note(elsewhere, root.multihash, *(http(server.url + path) for path in held))
            with pytest.raises(Unverified):
                await refetch.fetch(root)

    asyncio.run(run())
    assert list(elsewhere.list()) == []


@pytest.mark.parametrize("account", ["", "alice"], ids=["of the operator", "of an account"])
def test_a_compressed_tar_is_unpacked_for_the_operator_alone(
    elsewhere: Store, tmp_path: Path, account: str
) -> None:
    root, _, _ = tree_of(tmp_path)

    async def run() -> None:
        async with refetching(elsewhere, {"/it": packed("w:gz")}) as (refetch, server, _):
            note(elsewhere, root.multihash, http(f"{server.url}/it", account=account))
            if account:
                with pytest.raises(Unverified):
                    await refetch.fetch(root, account=account)
            else:
                await refetch.fetch(root)

    asyncio.run(run())
    assert bool(lacking(elsewhere, root)) == bool(account)


def test_a_tar_that_grows_beyond_its_room_ends_there(elsewhere: Store, tmp_path: Path) -> None:
    root, _, _ = tree_of(tmp_path)
    content = packed("w:gz")
    assert len(content) < len(packed())

    async def run() -> None:
        async with refetching(elsewhere, {"/it": content}) as (refetch, server, _):
            note(elsewhere, root.multihash, http(f"{server.url}/it", profile="unixfs-v1-2025+tar"))
            with pytest.raises(Unverified, match="more than there is room for"):
                await refetch.fetch(root, most_bytes=len(content))

    asyncio.run(run())
    assert list(elsewhere.list()) == []


ORDERS: dict[str, Callable[[list[Block]], list[Block]]] = {
    "root first": lambda blocks: blocks,
    "root last": lambda blocks: blocks[::-1],
    "behind another DAG": lambda blocks: [*V1_BLOCKS.values(), *blocks],
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_car_at_a_url_is_read_as_one_and_strangers_in_it_are_not_kept(
    elsewhere: Store, tmp_path: Path, order: str
) -> None:
    root, _, blocks = tree_of(tmp_path)
    content = car_of((root,), ORDERS[order](blocks))

    async def run() -> None:
        async with refetching(elsewhere, {"/it": content}) as (refetch, server, _):
            note(elsewhere, root.multihash, http(f"{server.url}/it"))
            reads = 0
            while not elsewhere.dag.has(root) or lacking(elsewhere, root):
                await refetch.fetch(root)
                reads += 1
            # of one that has the root last a level of the tree is known after each read
            assert (reads == 1) == (order != "root last")
            elsewhere.origins.flush()
            (kept,) = elsewhere.origins.of(root.multihash)
            assert (kept.profile, kept.size_bytes) == ("car", len(content))
            leaf = elsewhere.dag.slice(blocks[-1].cid)
            assert leaf is not None
            elsewhere.evict(leaf.blob.root)
            await refetch.fetch(root)
            assert lacking(elsewhere, root) == []

    asyncio.run(run())
    assert not elsewhere.dag.has(V1)


def test_a_pin_of_what_is_in_a_tar_comes_from_its_url(tmp_path: Path) -> None:
    root, _, _ = tree_of(tmp_path / "there")
    with in_a_thread(ByteServer({"/site.tar": packed()})) as server:
        data = tmp_path / "data"
        text = token(data, "ada", "pin")
        settings = f"allow_nets = {LOOPBACK}\nallow_nets_for_accounts = {LOOPBACK}"
        with node_with(tmp_path, settings, "--workers", "1") as node:
            wish = {"cid": root.text(), "origins": [f"{server.url}/site.tar"]}
            fields = {"Authorization": f"Bearer {text}", "Content-Type": "application/json"}
            made = node.request("POST", "/pinning/v1/pins", fields, json.dumps(wish).encode())
            assert made.status == 202, made.body
            path = f"/pinning/v1/pins/{json.loads(made.body)['requestid']}"
            deadline = time.monotonic() + 60
            while (pin := json.loads(node.get(path, fields).body))["status"] != "pinned":
                assert (pin["status"] == "failed", time.monotonic() > deadline) == (False, False), pin
            assert same(node.get(f"/ipfs/{root}/site/sub/big"), BIG)
        evict_all(data)
        with node_with(tmp_path, settings, "--workers", "1") as node:
            assert same(node.get(f"/ipfs/{root}/site/index.html"), TEXT)
