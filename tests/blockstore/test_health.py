"""Scrub, verify and quarantine: damage is found, named, kept on record, and forgotten when healed."""

from collections.abc import Callable

import pytest

from blockstore import Store, upper
from durable import Txn
from runtime.errors import BlobDamaged, NotFound
from tests.blockstore.conftest import Opener
from tests.blockstore.test_ingest import damage_segment

Content = Callable[[int], bytes]


def settle(store: Store) -> None:
    """Wait for what damage reports have queued."""
    store.backing.writer.run(index=lambda _: None)


def break_upper(store: Store, storage_id: int, chunk: int = 0) -> None:
    key = upper.KEY.pack(storage_id, chunk)

    def flip(txn: Txn) -> None:
        value = bytearray(txn.get(key, db=store.backing.catalog.upper) or b"")
        value[1] ^= 16
        txn.put(key, value, db=store.backing.catalog.upper)

    store.backing.writer.run(index=flip)


def test_verify_names_every_damaged_segment_and_quarantines_it(store: Store, content: Content) -> None:
    root = store.put_bytes(content(1_000_000)).root
    storage_id = store.blob(root).storage_id
    damage_segment(store, storage_id, 1)
    damage_segment(store, storage_id, 3)
    generation = store.board.generation()
    verified = store.verify(root)
    assert (verified.intact, verified.damaged_segments, verified.segments) == (False, (1, 3), 4)
    settle(store)
    assert store.board.generation() != generation
    assert [(each.hash, each.segment) for each in store.damage()] == [(root, 1), (root, 3)]
    assert store.blob(root).damaged_segments == (1, 3)
    assert store.blob(root).read(0, 262_144) == content(1_000_000)[:262_144]
    with pytest.raises(BlobDamaged, match="segment 1 does not match its checksum"):
        store.blob(root).read(0, 300_000)
    with pytest.raises(NotFound):
        store.verify(bytes(32))


def test_a_damaged_upper_tree_is_found_by_first_reads_and_by_verify(store: Store, content: Content) -> None:
    root = store.put_bytes(content(1_000_000)).root
    break_upper(store, store.blob(root).storage_id)
    blob = store.blob(root)
    for read in (lambda: blob.read(0, 10), lambda: blob.upper_node(0), lambda: blob.segment(2)):
        with pytest.raises(BlobDamaged, match="upper tree"):
            read()
    assert store.verify(root).damaged_segments == (upper.UPPER_SEGMENT,)
    settle(store)
    assert [(each.hash, each.segment) for each in store.damage()] == [(root, None)]
    assert not store.put_bytes(content(1_000_000)).already
    assert store.verify(root).intact
    assert store.damage() == []


def test_a_missing_segment_is_damage(store: Store, content: Content) -> None:
    root = store.put_bytes(content(600_000)).root
    key = upper.KEY.pack(store.blob(root).storage_id, 1)

    def delete(txn: Txn) -> None:
        txn.delete(key)

    store.backing.writer.run(bulk=delete)
    with pytest.raises(BlobDamaged, match="segment 1 is missing"):
        store.blob(root).read(0, 600_000)
    settle(store)
    assert [each.cause for each in store.damage()] == ["is missing"]


def test_scrub_looks_at_everything_and_reports_each_damaged_blob_once(store: Store, content: Content) -> None:
    roots = [store.put_bytes(content(size)).root for size in [*range(600), 700_000, 800_000]]
    for root in (roots[17], roots[400], roots[601]):
        damage_segment(store, store.blob(root).storage_id, 0)
    damage_segment(store, store.blob(roots[601]).storage_id, 2)
    report = list(store.scrub_steps())[-1]
    assert (report.blobs, report.damaged_blobs) == (602, 3)
    assert report.bytes_ == sum(range(600)) + 1_500_000
    assert set(report.damaged) == {roots[17], roots[400], roots[601]}
    settle(store)
    assert len(store.damage()) == 4


def test_scrub_goes_on_where_it_stopped(open_store: Opener, content: Content) -> None:
    store = open_store()
    for size in range(300):
        store.put_bytes(content(size))
    store.backing.writer.run(index=lambda _: None)
    from blockstore.health import Scrub  # noqa: PLC0415

    Scrub(store.backing)._save(65_536 + 250)
    store.close()
    store = open_store()
    assert list(store.scrub_steps(resume=True))[-1].blobs == 50
    assert list(store.scrub_steps(resume=True))[-1].blobs == 300


def test_removing_a_damaged_blob_clears_the_record(store: Store, content: Content) -> None:
    root = store.put_bytes(content(10)).root
    damage_segment(store, store.blob(root).storage_id, 0)
    assert not store.verify(root).intact
    settle(store)
    store.rm(root)
    assert store.damage() == []
    assert store.usage().damaged_segments == 0
