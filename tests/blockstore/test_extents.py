"""Large blobs in extents: what goes there and when, what stays in bulk, and how they leave again."""

import os
import resource
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import blake3
import pytest

from blockstore import Durability, Store
from blockstore import format as store_format
from blockstore import segment as stored
from blockstore.hot import hot_entry
from content.bao._native import HotEntry, LargeEntry
from durable import Job, Txn
from runtime.errors import BlobDamaged, NewerFormat, NotFound
from tests.blockstore.conftest import KILL_SAFE, Opener
from tests.blockstore.test_ingest import damage_segment, extent_path, leaks_here

Content = Callable[[int], bytes]
SEGMENT = 262_144
BOUND = KILL_SAFE.extent_above_bytes
INLINE = replace(KILL_SAFE, extent_above_bytes=1 << 40)


def path_of(store: Store, root: bytes) -> Path:
    stat = store.stat(root)
    assert stat is not None
    return extent_path(store, stat.storage_id)


def files(store: Store) -> list[Path]:
    """Every extent that takes room."""
    return list(store.backing.index.path.parent.glob("extents/*/*"))


def values(store: Store, root: bytes) -> list[bytes]:
    stat = store.stat(root)
    assert stat is not None
    with store.backing.bulk.reading() as txn:
        keys = (stored.KEY.pack(stat.storage_id, number) for number in range(-(-stat.size_bytes // SEGMENT)))
        return [txn.get(key) or b"" for key in keys]


def needed_features(store: Store) -> int:
    path = store.backing.index.path.parent / "format"
    return store_format.unpack(path.read_bytes(), "x").needed_features


@pytest.mark.parametrize("size", [BOUND, BOUND + 1, 3 * SEGMENT, 5 * SEGMENT + 17])
@pytest.mark.parametrize("piece", [70_001, 1 << 30], ids=["in pieces", "at once"])
@pytest.mark.parametrize("told", [True, False], ids=["size told", "size unknown"])
def test_a_blob_above_the_bound_lies_in_one_file_in_order(
    store: Store, content: Content, size: int, piece: int, told: bool
) -> None:
    data = content(size)
    ingest = store.ingest(size_hint=size if told else None)
    for start in range(0, size, piece):
        ingest.write(data[start : start + piece])
    root = ingest.finish().root
    assert store.blob(root).read(0, size) == data
    assert store.verify(root).intact
    path = path_of(store, root)
    if size > BOUND:
        assert path.read_bytes() == data
        assert sum(map(len, values(store, root))) < size / 200
    else:
        assert not path.exists()
        assert sum(map(len, values(store, root))) > size


def test_a_size_that_was_told_wrong_is_no_harm(store: Store, content: Content) -> None:
    for said, size in ((10, 900_000), (1 << 40, 900_000), (1 << 40, 5), (1 << 40, 0), (0, 300_000)):
        data = content(size)
        ingest = store.ingest(size_hint=said)
        ingest.write(data)
        root = ingest.finish().root
        assert store.blob(root).read(0, size) == data
        assert store.verify(root).intact
        store.rm(root)
        store.sweep()
        assert leaks_here(store) == []


def test_what_is_sent_from_a_file_is_what_would_be_lent(store: Store, content: Content) -> None:
    data = content(900_000)
    blob = store.blob(store.put_bytes(data).root)
    small = store.blob(store.put_bytes(content(300_000)).root)
    ranges: list[bytes] = []

    def from_file(fd: int, offset: int, count: int) -> int:
        ranges.append(os.pread(fd, count, offset))
        return 7

    def from_view(view: memoryview) -> int:
        return 8

    for start, stop in ((0, SEGMENT), (5, 9), (SEGMENT, SEGMENT + 1), (3 * SEGMENT, 900_000)):
        assert blob.lend(start, stop, from_view, from_file) == 7
        assert ranges.pop() == data[start:stop]
        assert blob.lend(start, stop, from_view) == 8
        assert not ranges
    assert small.lend(0, 10, from_view, from_file) == 8
    assert not ranges


def test_damage_is_found_before_the_file_is_offered(store: Store, content: Content) -> None:
    blob = store.blob(store.put_bytes(content(900_000)).root)
    offered: list[int] = []

    def offer(fd: int, offset: int, count: int) -> int:
        offered.append(offset)
        return count

    assert blob.lend(0, 10, len, lambda fd, offset, count: count) == 10
    damage_segment(store, blob.storage_id, 1)
    for span in ((SEGMENT, SEGMENT + 5), (SEGMENT + 100, 2 * SEGMENT)):
        with pytest.raises(Exception, match="segment 1 does not match its checksum"):
            blob.lend(*span, len, offer)
    assert offered == []


def test_segments_read_before_are_offered_together_and_none_past_the_end_asked_for(
    store: Store, content: Content
) -> None:
    size = 10 * SEGMENT + 17
    data = content(size)
    blob = store.blob(store.put_bytes(data).root)
    spans: list[tuple[int, int]] = []

    def offer(fd: int, offset: int, count: int) -> int:
        assert os.pread(fd, count, offset) == data[offset : offset + count]
        spans.append((offset, offset + count))
        return count

    def offered(start: int, stop: int, file_stop: int) -> tuple[int, int]:
        blob.lend(start, stop, len, offer, file_stop)
        return spans.pop()

    assert offered(0, SEGMENT, size) == (0, SEGMENT), "the next was never proven"
    blob.read(0, 3 * SEGMENT)
    assert offered(5, SEGMENT, size) == (5, 3 * SEGMENT)
    blob.read(0, size)
    assert offered(5, SEGMENT, size) == (5, 8 * SEGMENT), "a turn, no more"
    assert offered(8 * SEGMENT, 9 * SEGMENT, size) == (8 * SEGMENT, size)
    assert offered(10 * SEGMENT + 3, size, size) == (10 * SEGMENT + 3, size)
    assert offered(0, SEGMENT, 2 * SEGMENT + 1) == (0, 2 * SEGMENT + 1)
    assert offered(0, SEGMENT, SEGMENT) == (0, SEGMENT)
    assert offered(0, 10, 10) == (0, 10)
    assert offered(0, SEGMENT, 0) == (0, SEGMENT)
    damage_segment(store, blob.storage_id, 2)
    assert offered(0, SEGMENT, size) == (0, 2 * SEGMENT), "its own turn says what is wrong"
    with pytest.raises(BlobDamaged):
        offered(2 * SEGMENT, 3 * SEGMENT, size)
    assert spans == []


def test_a_large_blob_is_sent_where_no_descriptor_is_left_to_remember_checks_by(
    store: Store, content: Content
) -> None:
    size = 2 * SEGMENT + 100_000
    data = content(size)
    blob = store.blob(store.put_bytes(data).root)
    assert blob.read(0, size) == data  # its extent is open
    spans: list[tuple[int, int]] = []

    def offer(fd: int, offset: int, count: int) -> int:
        spans.append((offset, offset + count))
        return count

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        assert blob.lend(0, SEGMENT, len, offer, size) == SEGMENT
        assert blob.lend(SEGMENT, 2 * SEGMENT, len, None, size) == SEGMENT
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert blob.lend(0, SEGMENT, len, offer, size) == size
    assert spans == [(0, SEGMENT), (0, size)]


def test_such_a_blob_has_a_hot_entry_of_its_own_kind(store: Store, content: Content) -> None:
    for size, kind in ((900_000, LargeEntry), (300_000, HotEntry)):
        blob = store.blob(store.put_bytes(content(size)).root)
        blob.read(0, size)
        entry = hot_entry(store, blob, store.board.generation(), b"head", object())
        assert type(entry) is kind


@pytest.mark.parametrize("take_away", ["rm", "evict"])
def test_what_is_removed_gives_its_room_back_to_the_disk(
    store: Store, content: Content, take_away: str
) -> None:
    root = store.put_bytes(content(900_000)).root
    store.blob(root).read(0, 900_000)
    path = path_of(store, root)
    getattr(store, take_away)(root)
    store.backing.writer.run(index=lambda _: None)  # behind the clearing
    store.backing.writer.run(index=lambda _: None)
    assert not path.exists()
    assert files(store) == []
    with pytest.raises(NotFound):
        store.blob(root)


def test_the_file_stays_until_the_index_has_let_go_of_it(store: Store, content: Content) -> None:
    root = store.put_bytes(content(900_000)).root
    path = path_of(store, root)
    running, begin, seen = threading.Event(), threading.Event(), list[tuple[bool, bytes | None]]()

    def held(txn: Txn) -> None:
        running.set()
        begin.wait(20)

    def look(txn: Txn) -> None:
        with store.backing.index.reading() as committed:
            row = committed.get(root, db=store.backing.catalog.blobs)
        seen.append((path.exists(), row))

    store.backing.writer.submit(Job(index=held))
    assert running.wait(20)  # what comes from here on shares the next commit
    removing = threading.Thread(target=store.rm, args=(root,))
    removing.start()
    while not store.backing.writer.queued_jobs:
        os.sched_yield()
    store.backing.writer.submit(Job(index=look))
    begin.set()
    removing.join()
    store.backing.writer.run(index=look)
    there, row = seen[0]
    assert there
    assert row is not None
    store.sweep()
    assert not path.exists()


def test_a_file_whose_writer_died_before_its_first_row_is_swept(
    open_store: Opener, content: Content, tmp_path: Path
) -> None:
    store = open_store()
    kept = store.put_bytes(content(900_000)).root
    orphan = store.backing.ids.take()
    store.backing.writer.run(bulk=lambda _: store.backing.extents.write(orphan, 0, content(1000)))
    path = extent_path(store, orphan)
    assert store.sweep().orphans == 0, "it is still being written"
    store.close()
    store = open_store()
    assert path.exists()
    assert store.sweep().orphans == 1
    assert not path.exists()
    assert leaks_here(store) == []
    assert store.verify(kept).intact


def test_what_a_killed_clearing_left_to_unlink_is_unlinked_by_the_next_sweep(
    store: Store, content: Content
) -> None:
    root = store.put_bytes(content(900_000)).root
    storage_id = store.blob(root).storage_id
    store.backing.writer.run(bulk=lambda _: store.backing.extents.retire(storage_id))
    assert len(files(store)) == 1
    store.rm(root)
    store.sweep()
    assert files(store) == []


def test_a_segment_of_a_transfer_moves_to_the_file_when_it_is_whole(store: Store, content: Content) -> None:
    data = content(900_000)
    root = blake3.blake3(data).digest()
    partial = store.partial(root, len(data))
    partial.add(0, data[:16_384])
    partial.add(SEGMENT, data[SEGMENT : 2 * SEGMENT])
    partial.add(3 * SEGMENT, data[3 * SEGMENT :])
    partial.flush()
    numbers = [each for folder in store.backing.extents.numbers(0, 1 << 64) for each in folder]
    assert len(numbers) == 1
    path = extent_path(store, numbers[0])
    assert path.read_bytes()[:SEGMENT] == bytes(SEGMENT), "nothing of a segment that may still change"
    assert path.read_bytes()[SEGMENT : 2 * SEGMENT] == data[SEGMENT : 2 * SEGMENT]
    again = store.partial(root, len(data))
    assert again.have() == [(0, 16_384), (SEGMENT, 2 * SEGMENT), (3 * SEGMENT, 900_000)]
    for number in (2, 1, 0):
        again.add(number * SEGMENT, data[number * SEGMENT : (number + 1) * SEGMENT])
    assert not again.complete().already
    assert path.read_bytes() == data
    assert store.verify(root).intact


def test_a_transfer_notices_a_segment_of_its_file_that_was_damaged(store: Store, content: Content) -> None:
    data = content(900_000)
    root = blake3.blake3(data).digest()
    partial = store.partial(root, len(data))
    partial.add(0, data)
    partial.flush()
    (storage_id,) = (each for folder in store.backing.extents.numbers(0, 1 << 64) for each in folder)
    damage_segment(store, storage_id, 2)
    again = store.partial(root, len(data))
    assert again.have() == [(0, 2 * SEGMENT), (3 * SEGMENT, 900_000)]
    again.add(2 * SEGMENT, data[2 * SEGMENT : 3 * SEGMENT])
    assert not again.complete().already
    assert store.blob(root).read(0, 900_000) == data


def test_a_transfer_that_is_dropped_or_expires_leaves_no_file(open_store: Opener, content: Content) -> None:
    store = open_store()
    for drop in (True, False):
        data = content(900_000)
        partial = store.partial(blake3.blake3(data).digest(), len(data))
        partial.add(0, data[: 2 * SEGMENT])
        partial.flush()
        if drop:
            partial.discard()
        else:
            store.backing.clock.now += KILL_SAFE.lease_s + 1  # type: ignore[attr-defined]  # the test's clock
        store.sweep()
        assert files(store) == []
        assert leaks_here(store) == []


def test_a_store_from_before_keeps_its_large_blobs_and_is_marked_with_the_first_file(
    open_store: Opener, content: Content, tmp_path: Path
) -> None:
    data = content(900_000)
    store = open_store(INLINE)
    old = store.put_bytes(data).root
    store.close()
    path = tmp_path / "data" / "format"
    before = store_format.unpack(path.read_bytes(), "x")
    path.write_bytes(store_format.pack(replace(before, needed_features=store_format.FEATURE_BLOCKS)))

    store = open_store()
    assert store.blob(old).read(0, 900_000) == data
    assert store.verify(old).intact
    store.put_bytes(content(BOUND))
    assert needed_features(store) == store_format.FEATURE_BLOCKS
    assert not (tmp_path / "data" / "extents").exists()
    new = store.put_bytes(content(BOUND + 1)).root
    assert needed_features(store) == store_format.FEATURE_BLOCKS | store_format.FEATURE_EXTENTS
    assert store.verify(new).intact
    assert store.blob(old).read(0, 900_000) == data
    assert list(store.scrub_steps())[-1].damaged_blobs == 0


def test_who_does_not_know_extents_refuses_a_store_that_has_them(
    open_store: Opener, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.put_bytes(content(900_000))
    store.close()
    monkeypatch.setattr(store_format, "KNOWN_FEATURES", store_format.FEATURE_BLOCKS)  # as the version before
    with pytest.raises(NewerFormat) as caught:
        open_store()
    assert caught.value.outcome.exit_code == 8


def test_two_features_added_by_two_who_read_the_file_before_are_both_kept(tmp_path: Path) -> None:
    store_format.read_or_create(tmp_path, create=True, now_ms=0)
    plain = replace(store_format.unpack((tmp_path / "format").read_bytes(), "x"), needed_features=0)
    (tmp_path / "format").write_bytes(store_format.pack(plain))
    for feature in (store_format.FEATURE_BLOCKS, store_format.FEATURE_EXTENTS):
        store_format.add_feature(tmp_path, feature)
    assert store_format.read_or_create(tmp_path, create=False, now_ms=0).needed_features == 3


@pytest.mark.parametrize("durability", list(Durability))
def test_every_durability_keeps_and_removes_large_blobs(
    open_store: Opener, content: Content, durability: Durability
) -> None:
    store = open_store(replace(KILL_SAFE, durability=durability))
    kept, gone = store.put_bytes(content(900_000)).root, store.put_bytes(content(900_001)).root
    store.rm(gone)
    store.sweep()
    store.close()
    store = open_store(replace(KILL_SAFE, durability=durability))
    assert store.verify(kept).intact
    assert leaks_here(store) == []
    assert len(files(store)) == 1
