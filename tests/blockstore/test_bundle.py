"""Small blobs that land together: visible, held and counted as if each had come alone."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.block_rows import BlockRow
from blockstore.bundle import Bundle
from blockstore.flat import Flat
from blockstore.landings import Landings
from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from runtime.errors import StoreFull

SETTINGS = StoreSettings(durability=Durability.NONE, linger_s=0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", SETTINGS) as store:
        yield store


def name(data: bytes) -> bytes:
    return b"\x12\x20" + hashlib.sha256(data).digest()


def whole(data: bytes) -> list[tuple[bytes, BlockRow]]:
    return [(name(data), BlockRow(bytes(32), 0, len(data)))]


def put(store: Store, *files: bytes) -> None:
    landings = Landings()
    bundle = Bundle(store, landings)
    for data in files:
        bundle.put(bytearray(data), whole(data), name(data))
    bundle.submit(urgent=True)
    landings.wait()


def segments(store: Store) -> int:
    with store.backing.bulk.reading() as txn:
        return txn.stat()["entries"]


def test_each_file_of_a_bundle_is_a_block_and_a_blob(store: Store) -> None:
    files = [b"", b"one", b"two" * 1000, bytes(262_144)]
    put(store, *files)
    for data in files:
        cid = Cid.v1(RAW, name(data))
        assert store.dag.read(cid) == data
        blob = store.dag.file(cid)
        assert blob is not None
        assert blob.read(0, len(data)) == data
        assert store.dag.whole_names(blob.root) == [name(data)]
    assert store.usage().blobs == len(files)
    assert store.usage().bytes_ == sum(map(len, files))


def test_what_is_put_twice_is_kept_and_counted_once(store: Store) -> None:
    put(store, b"same", b"same", b"other")
    before = store.usage()
    put(store, b"other", b"same")
    assert store.usage().blobs == before.blobs == 2
    assert store.usage().bytes_ == before.bytes_


def test_two_bundles_under_way_with_the_same_file_leave_one_copy(store: Store) -> None:
    landings = Landings()
    bundles = [Bundle(store, landings) for _ in range(2)]
    for bundle in bundles:
        bundle.put(bytearray(b"raced"), whole(b"raced"), name(b"raced"))
    for bundle in bundles:
        bundle.submit(urgent=True)
    landings.wait()
    assert store.dag.read(Cid.v1(RAW, name(b"raced"))) == b"raced"
    assert store.usage().blobs == 1
    store.sweep()
    assert segments(store) == 1


def test_a_file_that_is_a_leaf_of_another_is_held_by_its_own_name_too(store: Store) -> None:
    leaf = b"x" * 1000
    landings = Landings()
    flat = Flat(store.dag, store.dag.new_ingest(), landings)
    flat.write(leaf + b"tail")
    flat.leaf(name(leaf), 0, len(leaf))
    flat.finish_soon(Cid.v1(DAG_PB, name(leaf + b"tail")))
    landings.wait()
    put(store, leaf)
    blob = store.dag.file(Cid.v1(RAW, name(leaf)))
    assert blob is not None
    assert blob.size_bytes == len(leaf)
    assert store.dag.read(Cid.v1(RAW, name(leaf))) == leaf


def test_a_blob_that_went_away_after_it_was_found_is_sent_after_all(store: Store) -> None:
    put(store, b"going", b"staying")
    going = store.dag.file(Cid.v1(RAW, name(b"going")))
    assert going is not None
    landings = Landings()
    bundle = Bundle(store, landings)
    for data in (b"going", b"staying", b"new"):
        bundle.put(bytearray(data), whole(data), name(data))
    store.rm(going.root, force=True)
    bundle.submit(urgent=True)
    landings.wait()
    for data in (b"going", b"staying", b"new"):
        assert store.dag.read(Cid.v1(RAW, name(data))) == data
    assert store.usage().blobs == 3


def test_a_bundle_that_has_no_room_leaves_nothing(tmp_path: Path) -> None:
    settings = StoreSettings(durability=Durability.NONE, linger_s=0.0, quota_bytes=1000)
    with Store.open(tmp_path / "data", settings) as store:
        put(store, b"a" * 600)
        with pytest.raises(StoreFull):
            put(store, b"b" * 300, b"c" * 300)
        assert store.usage().blobs == 1
        put(store, b"a" * 600, b"d" * 400)  # what is here takes no room
        assert store.usage().bytes_ == 1000
        store.sweep()
        assert segments(store) == 2


def test_a_bundle_survives_the_sweep_by_its_roots_alone(store: Store) -> None:
    put(store, b"kept")
    store.sweep()
    assert store.dag.read(Cid.v1(RAW, name(b"kept"))) == b"kept"


def test_a_file_that_waits_for_a_block_hears_of_it_from_a_bundle(store: Store) -> None:
    missing, file = name(b"missing"), name(b"file")
    store.dag.wait_for([(missing, file)])
    put(store, b"unrelated", b"missing")
    assert store.dag.waiting.take_woken() == [file]


def test_blocks_travel_in_bundles_and_large_ones_beside_them(store: Store) -> None:
    blocks = [Block.sealed(DAG_PB, data) for data in (b"small", bytes(300_000))]
    landings = Landings()
    bundle = Bundle(store, landings)
    for block in (*blocks, *blocks):
        bundle.block(block)
    bundle.submit(urgent=True)
    landings.wait()
    assert [store.dag.read(block.cid) for block in blocks] == [block.data for block in blocks]


def test_ordinals_are_never_given_twice(store: Store) -> None:
    def many(start: int) -> None:
        for index in range(start, start + 40):
            put(store, b"%d" % index, b"x%d" % index)

    threads = [threading.Thread(target=many, args=(start,)) for start in (0, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.backing.index.reading() as txn:
        cursor = txn.cursor(store.backing.catalog.blocks)
        more, ordinals = cursor.first(), []
        while more:
            row = store.dag.rows.block(txn, cursor.key())
            assert row is not None
            ordinals.append(row.ordinal)
            more = cursor.next()
    assert len(set(ordinals)) == len(ordinals) == 160
