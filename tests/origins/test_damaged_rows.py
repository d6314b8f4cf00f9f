"""Rows of the index that are damaged or deleted behind the store's back: what they told of comes back."""

import random
from pathlib import Path

import pytest

from blockstore import Root, Store
from blockstore.origin import Origin, OriginKind
from content.block import Block
from content.cid import Cid
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Profile
from durable import Txn
from tests.appliance import Node, edge
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.origins.trustless_source import Source, file_blocks, in_a_thread

pytestmark = pytest.mark.timeout(120)
FILES = {
    "tiny": b"few bytes",
    "small": random.Random(1).randbytes(100_000),  # one raw block, in a pack
    "large": random.Random(2).randbytes(2_500_000),  # several leaves, an extent
}
TABLES = ("blobs", "blocks", "files", "upper")


def spoil(data: Path, table: str, how: str) -> int:
    """Flip a bit in every row of a table that tells of content, or delete it; how many there were."""
    with Store.open(data) as store:
        rows = getattr(store.backing.catalog, table)
        found: list[tuple[bytes, bytes]] = []
        with store.backing.index.reading() as txn:
            found += [(bytes(key), bytes(value)) for key, value in txn.cursor(rows).iternext()]

        def change(txn: Txn) -> None:
            for key, value in found:
                if how == "deleted":
                    txn.delete(key, db=rows)
                else:
                    txn.put(key, value[:5] + bytes([value[5] ^ 1]) + value[6:], db=rows)

        store.index.change(change)
        return len(found)


def all_is_served(node: Node, root: Cid) -> None:
    for name, content in FILES.items():
        reply = node.get(f"/ipfs/{root}/{name}")
        assert (reply.status, reply.body == content) == (200, True), (name, reply.body[:200])


def blocks_are_served(node: Node, held: list[Block]) -> None:
    for block in held:
        reply = node.get(f"/ipfs/{block.cid}?format=raw")
        assert (reply.status, reply.body == block.data) == (200, True), (block.cid, reply.body[:200])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    made.mkdir()
    for name, content in FILES.items():
        (made / name).write_bytes(content)
    return made


@pytest.mark.parametrize("how", ["flipped", "deleted"])
@pytest.mark.parametrize("table", TABLES)
def test_a_folder_of_this_machine_is_read_again(tmp_path: Path, folder: Path, table: str, how: str) -> None:
    data = tmp_path / "data"
    root = Cid.parse(edge(data, "add", "-Q", str(folder)).stdout.decode().strip())
    assert spoil(data, table, how)
    with Node(data, "--workers", "1") as node:
        all_is_served(node, root)
        all_is_served(node, root)


@pytest.mark.parametrize("profile", [UNIXFS_V1_2025, UNIXFS_V0_2015], ids=lambda each: each.name)
@pytest.mark.parametrize("how", ["flipped", "deleted"])
@pytest.mark.parametrize("table", ["blobs", "blocks", "upper"])  # blocks that came alone are no files
def test_gateways_on_record_are_asked_again(tmp_path: Path, table: str, how: str, profile: Profile) -> None:
    data = tmp_path / "data"
    entries, held = [], dict[bytes, Block]()
    for name, content in FILES.items():
        cid, blocks = file_blocks(content, profile)
        held |= blocks
        entries.append(Entry(name, cid, len(content)))
    made = build_directory(profile, entries)
    held |= {block.cid.multihash: block for block in made.blocks}
    with in_a_thread(Source(held)) as source:
        with Store.open(data) as store:
            store.dag.put([Block(each.cid, each.data) for each in held.values()])
            store.dag.pin(made.cid, Root.pin())
            store.origins.merge([(made.cid.multihash, Origin(OriginKind.GATEWAY, source.url, added_s=1.0))])
        assert spoil(data, table, how)
        with node_with(tmp_path, f"allow_nets = {LOOPBACK}", "--workers", "1") as node:
            all_is_served(node, made.cid)
            blocks_are_served(node, list(held.values()))
    with Store.open(data) as store:
        assert all(store.dag.read(each.cid) == each.data for each in held.values())
