"""A store by CID: blocks, files that become one blob, roots, records."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from blockstore import Root, Store, StoreSettings
from blockstore import format as store_format
from blockstore.flat import Flat
from blockstore.importing import Importing, flatten, flatten_woken
from blockstore.landings import Landings
from content import multihash, varint
from content.block import Block, BlockMissing
from content.cid import DAG_PB, RAW, Cid
from content.dag_pb import Link, Node, encode
from content.links import links
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.build_file import FileBuilder, LeafMade
from content.unixfs.message import Kind, Message
from content.unixfs.message import encode as message
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Estimate, Profile
from durable import Durability
from runtime.errors import Conflict

SMALL = Profile("small", 1, True, 4096, 5, 256, 1 << 18, Estimate.BLOCK)
SMALL_V0 = Profile("small-v0", 0, False, 4096, 5, 256, 1 << 18, Estimate.LINKS)
PROFILES = pytest.mark.parametrize("profile", [SMALL, SMALL_V0], ids=["raw leaves", "dag-pb leaves"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", StoreSettings(durability=Durability.NONE)) as opened:
        yield opened


def file_blocks(content: bytes, profile: Profile) -> list[Block]:
    """Every different block of a file, the root first, depth first: as a CAR holds them."""
    builder = FileBuilder(profile)
    made = builder.write(content)
    rest, whole = builder.finish()
    by_name: dict[bytes, Block] = {}
    for each in (*made, *rest):
        if isinstance(each, LeafMade):
            data = each.prefix + content[each.offset : each.offset + each.length] + each.suffix
            by_name[each.cid.multihash] = Block.verified(each.cid, data)
        else:
            by_name[each.cid.multihash] = each
    ordered: dict[bytes, Block] = {}

    def visit(cid: Cid) -> None:
        if cid.multihash not in ordered:
            block = ordered[cid.multihash] = by_name[cid.multihash]
            for below in links(cid, block.data):
                visit(below)

    visit(whole.cid)
    return list(ordered.values())


def imported(store: Store, blocks: list[Block]) -> None:
    with Importing(store.dag) as importing:
        for block in blocks:
            importing.add(block)
        importing.finish()


def contents(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@PROFILES
@pytest.mark.parametrize("size", [1, 4096, 4097, 100_000, 700_000])
@pytest.mark.parametrize("order", ["as a car", "backwards", "shuffled"])
def test_a_file_becomes_one_blob_in_whatever_order_its_blocks_come(
    store: Store, profile: Profile, size: int, order: str
) -> None:
    content = contents(size)
    blocks = file_blocks(content, profile)
    root = blocks[0].cid
    if order == "backwards":
        blocks.reverse()
    elif order == "shuffled":
        random.Random(size).shuffle(blocks)
    imported(store, blocks)
    blob = store.dag.file(root)
    assert blob is not None
    assert blob.read(0, blob.size_bytes) == content
    for block in blocks:
        assert store.dag.read(block.cid) == block.data
        assert store.dag.size(block.cid) == len(block.data)
    stored = sum(each.size_bytes for each in store.list())
    inner = sum(len(b.data) for b in blocks if b.cid.codec == DAG_PB and len(b.data) < 4096)
    assert stored <= size + inner + 1, "bytes are stored once"


@PROFILES
def test_the_same_import_again_writes_nothing(store: Store, profile: Profile) -> None:
    blocks = file_blocks(contents(300_000), profile)
    imported(store, blocks)
    before = store.usage()
    with Importing(store.dag) as importing:
        for block in blocks:
            importing.add(block)
        report = importing.finish()
    assert (report.new_blocks, report.files) == (0, 0)
    assert store.usage().bytes_ == before.bytes_


def test_a_file_of_equal_leaves_is_whole_although_a_car_holds_the_leaf_once(store: Store) -> None:
    content = bytes(4096 * 3) + b"end"
    blocks = file_blocks(content, SMALL)
    assert len(blocks) < 5
    imported(store, blocks)
    blob = store.dag.file(blocks[0].cid)
    assert blob is not None
    assert blob.read(0, blob.size_bytes) == content


def test_a_small_dag_that_stands_for_a_huge_file_stays_blocks(store: Store) -> None:
    leaf = Block.sealed(RAW, bytes(4096))
    at, size = leaf.cid, 4096
    blocks = [leaf]
    for _ in range(6):  # 4 KiB times 100^6
        parts = tuple(Link(at, "", size) for _ in range(100))
        data = message(Message(Kind.FILE, file_bytes=size * 100, block_bytes=(size,) * 100))
        node = Block.sealed(DAG_PB, encode(Node(parts, data)))
        blocks.insert(0, node)
        at, size = node.cid, size * 100
    imported(store, blocks)
    assert store.dag.file(blocks[0].cid) is None
    assert store.usage().bytes_ < 200_000
    assert store.dag.read(leaf.cid) == leaf.data


def test_an_incomplete_file_is_kept_as_blocks_and_made_whole_by_the_rest(store: Store) -> None:
    content = contents(200_000)
    blocks = file_blocks(content, SMALL)
    imported(store, blocks[: len(blocks) // 2])
    assert store.dag.file(blocks[0].cid) is None
    for block in blocks[: len(blocks) // 2]:
        assert store.dag.read(block.cid) == block.data
    with pytest.raises(BlockMissing):
        store.dag.read(blocks[-1].cid)
    imported(store, blocks)
    blob = store.dag.file(blocks[0].cid)
    assert blob is not None
    assert blob.read(0, blob.size_bytes) == content


def is_whole(store: Store, root: Cid, content: bytes) -> bool:
    blob = store.dag.file(root)
    return blob is not None and blob.read(0, blob.size_bytes) == content


def framed(payload: bytes, before: bytes, behind: bytes) -> Block:
    """A dag-pb leaf whose message has these fields around its payload."""
    inner = before + b"\x12" + varint.encode(len(payload)) + payload + behind
    return Block.sealed(DAG_PB, b"\x0a" + varint.encode(len(inner)) + inner)


@pytest.mark.parametrize("order", ["as a car", "backwards"])
def test_a_leaf_of_any_form_is_given_back_exactly_and_kept_whole_where_a_slice_could_not(
    store: Store, order: str
) -> None:
    """A UnixFS message is protobuf: fields in any order, and unknown ones, and all are hashed."""
    payloads = [contents(size) for size in range(900, 906)]
    size = [b"\x18" + varint.encode(len(each)) for each in payloads]
    unknown = [b"\x7a" + varint.encode(length) + bytes(length) for length in (20, 300)]
    kind = b"\x08\x02"
    leaves = [
        framed(payloads[0], kind, size[0]),
        Block.sealed(RAW, payloads[1]),
        framed(payloads[2], size[2] + kind, b""),
        framed(payloads[3], b"", size[3] + kind),
        framed(payloads[4], unknown[0] + kind, size[4]),
        framed(payloads[5], kind, size[5] + unknown[1]),  # more than is kept beside a slice
    ]
    sizes = tuple(map(len, payloads))
    data = message(Message(Kind.FILE, file_bytes=sum(sizes), block_bytes=sizes))
    root = Block.sealed(DAG_PB, encode(Node(tuple(Link(leaf.cid, "", 1) for leaf in leaves), data)))
    imported(store, [root, *leaves] if order == "as a car" else [*leaves[::-1], root])
    assert is_whole(store, root.cid, b"".join(payloads))
    assert [store.dag.read(leaf.cid) for leaf in leaves] == [leaf.data for leaf in leaves]
    whole, lies = store.dag.file(root.cid), [store.dag.slice(leaf.cid) for leaf in leaves]
    assert whole is not None
    assert [each is not None and each.blob.root == whole.root for each in lies] == [True] * 5 + [False]
    alone = lies[-1]
    assert alone is not None
    assert (alone.prefix, alone.suffix, alone.blob.size_bytes) == (b"", b"", len(leaves[-1].data))


@PROFILES
def test_a_file_that_comes_in_two_imports_is_made_whole_by_the_second(store: Store, profile: Profile) -> None:
    content = contents(200_000)
    root, *rest = file_blocks(content, profile)
    imported(store, [root, *rest[1::2]])
    assert not is_whole(store, root.cid, content)
    imported(store, rest[::2])
    assert is_whole(store, root.cid, content)


def test_a_block_that_comes_alone_wakes_the_files_that_lack_it(store: Store) -> None:
    content = contents(50_000)
    root, *rest = file_blocks(content, SMALL)
    imported(store, [root, *rest[:-2]])
    store.dag.put([rest[-2]])
    assert flatten_woken(store.dag) == 0, "one more is missing"
    store.dag.put([rest[-1]])
    assert flatten_woken(store.dag) == 1
    assert is_whole(store, root.cid, content)


def test_the_sweep_wakes_what_another_process_forgot_and_drops_notes_of_what_is_gone(tmp_path: Path) -> None:
    settings = StoreSettings(durability=Durability.NONE, lease_s=3600)
    content = contents(50_000)
    root, *rest = file_blocks(content, SMALL)
    with Store.open(tmp_path / "data", settings) as store:
        imported(store, [root, *rest[:-1]])
        store.dag.put([rest[-1]])  # and nobody flattens before this process ends
    with Store.open(tmp_path / "data", settings) as store:
        assert not is_whole(store, root.cid, content)
        store.sweep()
        assert is_whole(store, root.cid, content)
        store.sweep()
        with store.backing.index.reading() as txn:
            assert txn.stat(store.backing.catalog.waiting)["entries"] == 0


def test_v0_and_v1_name_one_block_and_identity_names_need_no_store(store: Store) -> None:
    block = Block.sealed(DAG_PB, encode(Node((), b"\x08\x01")), version=0)
    store.dag.put([block])
    assert store.dag.read(block.cid.as_v1()) == block.data
    assert store.dag.read(Cid.parse("bafkqaaa")) == b""
    assert store.dag.has(Cid.parse("bafkqaaa"))


def test_a_blob_that_a_block_lies_in_is_not_removed_but_by_force(store: Store) -> None:
    block = Block.sealed(RAW, b"some bytes")
    store.dag.put([block])
    blob = store.dag.file(block.cid)
    assert blob is not None
    with pytest.raises(Conflict):
        store.rm(blob.root)
    store.rm(blob.root, force=True)
    with pytest.raises(BlockMissing):
        store.dag.read(block.cid)
    store.dag.put([block])
    assert store.dag.read(block.cid) == block.data


def test_an_inline_leaf_of_a_file_gets_no_row_when_the_file_is_made_whole(store: Store) -> None:
    leaf = Block.sealed(RAW, b"leaf")
    inline = Cid.v1(RAW, multihash.of(multihash.IDENTITY, b"inline"))
    file = message(Message(Kind.FILE, file_bytes=10, block_bytes=(4, 6)))
    root = Block.sealed(DAG_PB, encode(Node((Link(leaf.cid, "", 4), Link(inline, "", 6)), file)))
    store.dag.put([leaf, root])
    assert flatten(store.dag, root.cid)
    whole = store.dag.file(root.cid)
    assert whole is not None
    assert whole.read(0, 10) == b"leafinline"
    assert not store.dag.is_known(inline)


def test_evicted_blocks_are_missing_until_they_are_put_again(store: Store) -> None:
    block = Block.sealed(RAW, b"some bytes")
    store.dag.put([block])
    blob = store.dag.file(block.cid)
    assert blob is not None
    store.evict(blob.root)
    assert not store.dag.has(block.cid)
    store.dag.put([block])
    assert store.dag.read(block.cid) == block.data


def test_whole_names_of_a_blob_are_its_files_and_not_its_leaves(store: Store) -> None:
    blocks = file_blocks(contents(20_000), SMALL)
    imported(store, blocks)
    blob = store.dag.file(blocks[0].cid)
    assert blob is not None
    before = store.dag.arrivals()
    assert store.dag.whole_names(blob.root) == [blocks[0].cid.multihash]
    again = file_blocks(contents(20_000), replace(SMALL, raw_leaves=False))
    imported(store, again)
    assert store.dag.arrivals() != before
    both = {blocks[0].cid.multihash, again[0].cid.multihash}
    assert set(store.dag.whole_names(blob.root)) == both
    alone = Block.sealed(RAW, contents(20_000))
    store.dag.put([alone])
    assert set(store.dag.whole_names(blob.root)) == both | {alone.cid.multihash}


def test_roots_of_dags_come_and_go(store: Store) -> None:
    cid = Cid.parse("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi")
    store.dag.pin(cid, Root.pin("site"))
    store.dag.pin(cid, Root.account("alice", "mine"))
    assert {(each.cid, each.root.owner) for each in store.dag.roots()} == {(cid, "site"), (cid, "alice")}
    assert store.dag.unpin(cid, Root.pin("site"))
    assert not store.dag.unpin(cid, Root.pin("site"))
    assert [root.owner for root in store.dag.roots_of(cid)] == ["alice"]


@pytest.mark.parametrize("profile", [UNIXFS_V1_2025, UNIXFS_V0_2015], ids=lambda profile: profile.name)
def test_stored_bytes_are_little_more_than_the_payload(store: Store, profile: Profile) -> None:
    content = contents(5_000_000)
    blocks = file_blocks(content, profile)
    directory = build_directory(profile, [Entry("file", blocks[0].cid, 5_000_000)])
    imported(store, [*directory.blocks, *blocks])
    usage = store.usage()
    used = usage.bulk_used_bytes - usage.bulk_free_bytes + usage.index_used_bytes - usage.index_free_bytes
    assert used <= 1.1 * len(content)


def test_a_store_that_never_held_a_block_is_marked_when_the_first_comes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Store.open(data):
        pass
    old = store_format.unpack((data / "format").read_bytes(), "")
    (data / "format").write_bytes(store_format.pack(replace(old, needed_features=0)))
    with Store.open(data) as store:
        store.put_bytes(b"a blob")
        assert store_format.unpack((data / "format").read_bytes(), "").needed_features == 0
        store.dag.put([Block.sealed(RAW, b"a block")])
    marked = store_format.unpack((data / "format").read_bytes(), "")
    assert marked.needed_features == store_format.FEATURE_BLOCKS
    assert marked.store_id == old.store_id


def test_a_block_that_comes_twice_at_once_is_held_where_it_lies_and_nowhere_else(tmp_path: Path) -> None:
    content = contents(9000)
    whole, *rest = file_blocks(content, SMALL)
    leaf = rest[0]
    together = StoreSettings(durability=Durability.NONE, linger_s=0.5)  # both in one commit
    with Store.open(tmp_path / "data", together) as store:
        landings = Landings()
        flat = Flat(store.dag, store.dag.new_ingest(), landings)
        flat.write(content)
        flat.leaf(leaf.cid.multihash, 0, len(leaf.data))
        flat.finish_soon(whole.cid)
        assert store.dag.put_soon(leaf, landings), "the file is not committed yet"
        landings.wait()
        lies = store.dag.slice(leaf.cid)
        assert lies is not None
        assert lies.blob.size_bytes == 9000
        own = blake3(leaf.data).digest()
        with store.backing.index.reading() as txn:
            assert list(store.backing.catalog.block_names(txn, own)) == []
        store.sweep()
        assert store.stat(own) is None
        assert store.dag.read(leaf.cid) == leaf.data
