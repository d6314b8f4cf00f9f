"""Putting: any pieces, any number at once, all or nothing."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blockstore import Put, Root, RootKind, Store
from blockstore import segment as stored
from durable import Txn
from runtime.errors import BlobDamaged, EdgeError, NotFound, QuotaExceeded, StoreFull, Unverified, UsageError
from tests.blockstore.conftest import KILL_SAFE, HandClock, Opener
from tests.faults.store_rounds import leaks

Content = Callable[[int], bytes]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 300_000), max_size=6))
def test_the_pieces_it_comes_in_do_not_matter(store: Store, content: Content, pieces: list[int]) -> None:
    data = content(sum(pieces))
    ingest, at = store.ingest(), 0
    for size in pieces:
        ingest.write(memoryview(data)[at : at + size])
        at += size
    put = ingest.finish()
    assert put.root == blake3.blake3(data).digest()
    assert store.blob(put.root).read(0, len(data)) == data


def test_a_buffer_may_be_used_again_as_soon_as_write_returns(store: Store, content: Content) -> None:
    data, buffer = content(900_000), bytearray(100_000)
    ingest = store.ingest()
    for at in range(0, 900_000, 100_000):
        buffer[:] = data[at : at + 100_000]
        ingest.write(buffer)
    buffer[:] = bytes(100_000)
    assert store.blob(ingest.finish().root).read(0, 900_000) == data


@pytest.mark.parametrize("size", [10, 300_000])
def test_content_that_is_there_is_not_stored_again_and_gains_the_root(
    store: Store, content: Content, size: int
) -> None:
    first = store.put_bytes(content(size))
    second = store.put_bytes(content(size), root=Root.pin("again"))
    assert (first.already, second.already) == (False, True)
    assert {root.owner for root in store.roots(first.root)} == {"", "again"}
    store.sweep()
    assert leaks_here(store) == []


@pytest.mark.parametrize("size", [10, 300_000])
def test_bytes_that_do_not_match_the_expected_name_leave_nothing(
    store: Store, content: Content, size: int
) -> None:
    ingest = store.ingest(expected=bytes(32))
    ingest.write(content(size))
    with pytest.raises(Unverified):
        ingest.finish()
    assert list(store.list()) == []
    store.sweep()
    assert leaks_here(store) == []


def test_an_aborted_ingest_leaves_nothing(store: Store, content: Content) -> None:
    with store.ingest() as ingest:
        ingest.write(content(2_000_000))
    store.sweep()
    assert leaks_here(store) == []
    with pytest.raises(UsageError, match="ended"):
        ingest.write(b"more")


def test_finish_soon_answers_on_the_writer_thread(store: Store, content: Content) -> None:
    answers: list[tuple[str, Put | EdgeError]] = []
    arrived = threading.Event()

    def done(outcome: Put | EdgeError) -> None:
        answers.append((threading.current_thread().name, outcome))
        arrived.set()

    ingest = store.ingest()
    ingest.write(content(1000))
    ingest.finish_soon(done)
    assert arrived.wait(10)
    name, outcome = answers[0]
    assert name == "store-writer"
    assert isinstance(outcome, Put)
    assert store.stat(outcome.root) is not None


def test_many_threads_putting_the_same_and_different_content_agree(store: Store, content: Content) -> None:
    results: list[Put] = []

    def work(number: int) -> None:
        for size in (100, 300_000, 200 + number, 300_100 + number):
            results.append(store.put_bytes(content(size)))  # noqa: PERF401  threads take turns

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 32
    assert sum(not put.already for put in results) == 18
    assert store.usage().blobs == 18
    assert all(store.verify(put.root).intact for put in results)
    store.sweep()
    assert leaks_here(store) == []


def test_put_file_reads_files_of_any_size_and_says_how_far_it_is(
    store: Store, content: Content, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    for size in (0, 5, 3_000_000):
        path.write_bytes(content(size))
        heard: list[int] = []
        put = store.put_file(path, progress=heard.append, content_type="a/b")
        assert put.root == blake3.blake3(content(size)).digest()
        assert heard == sorted(heard)
        assert (heard or [0])[-1] == size
        stat = store.stat(put.root)
        assert stat is not None
        assert stat.content_type == "a/b"
    with pytest.raises(UsageError, match="No such file"):
        store.put_file(tmp_path / "missing")


def test_an_unpinned_put_is_kept_by_a_lease_only(store: Store, content: Content, clock: HandClock) -> None:
    put = store.put_bytes(content(10), pin=False)
    assert [root.kind for root in store.roots(put.root)] == [RootKind.LEASE]
    store.sweep()
    assert store.stat(put.root) is not None
    clock.now += KILL_SAFE.lease_s + 1
    assert store.roots(put.root) == []
    store.sweep()
    assert store.stat(put.root) is None


def test_the_store_quota_refuses_what_passes_it_and_nothing_of_that_is_kept(
    open_store: Opener, content: Content
) -> None:
    store = open_store(replace(KILL_SAFE, quota_bytes=1_000_000))
    store.put_bytes(content(600_000))
    with pytest.raises(StoreFull) as caught:
        store.put_bytes(content(600_001))
    assert caught.value.outcome.exit_code == 7
    with pytest.raises(StoreFull), store.ingest() as ingest:
        ingest.write(content(1_000_001))
    with pytest.raises(StoreFull), store.ingest(expected=bytes(32)) as ingest:
        ingest.write(content(400_001))  # known to be new: refused as soon as it is too much
    assert store.put_bytes(content(600_000)).already
    assert not store.put_bytes(content(400_000)).already
    with pytest.raises(StoreFull):
        store.put_bytes(b"x")
    store.sweep()
    assert store.usage().bytes_ == 1_000_000
    assert leaks_here(store) == []


def test_an_account_quota_counts_each_blob_once(store: Store, content: Content) -> None:
    def put(size: int, account: str = "a") -> Put:
        ingest = store.ingest()
        ingest.write(content(size))
        return ingest.finish(root=Root.account(account), quota_bytes=1000)

    put(600)
    put(600)
    with pytest.raises(QuotaExceeded) as caught:
        put(401)
    assert caught.value.outcome.exit_code == 5
    assert store.stat(blake3.blake3(content(401)).digest()) is None
    put(401, "b")
    with pytest.raises(QuotaExceeded):
        put(401)
    put(400)
    assert (store.account_bytes("a"), store.account_bytes("b")) == (1000, 401)
    assert store.drop_root(blake3.blake3(content(600)).digest(), Root.account("a"))
    assert store.account_bytes("a") == 400
    put(600)
    store.rm(blake3.blake3(content(600)).digest(), force=True)
    assert store.account_bytes("a") == 400


@pytest.mark.parametrize("size", [1000, 300_000])
def test_putting_damaged_content_again_heals_it(store: Store, content: Content, size: int) -> None:
    root = store.put_bytes(content(size)).root
    blob = store.blob(root)
    damage_segment(store, blob.storage_id, 0)
    with pytest.raises(BlobDamaged):
        blob.read(0, 10)
    store.pin(root, "waits for the quarantine row, which is queued before it")
    stat = store.stat(root)
    assert stat is not None
    assert stat.damaged_segments == (0,)
    generation = store.board.generation()
    assert not store.put_bytes(content(size)).already
    assert store.board.generation() != generation
    assert store.blob(root).read(0, size) == content(size)
    assert store.damage() == []
    with pytest.raises(NotFound):
        blob.read(0, 10)
    store.sweep()
    assert leaks_here(store) == []
    assert store.usage().blobs == 1


@pytest.mark.parametrize("size", [1000, 300_000])
def test_putting_evicted_content_again_brings_it_back(store: Store, content: Content, size: int) -> None:
    root = store.put_bytes(content(size)).root
    store.evict(root)
    with pytest.raises(NotFound, match="evicted"):
        store.blob(root)
    assert not store.put_bytes(content(size)).already
    assert store.blob(root).read(0, size) == content(size)


def damage_segment(store: Store, storage_id: int, number: int) -> None:
    """Flip one bit of the data of a stored segment, wherever it lies."""
    key = stored.KEY.pack(storage_id, number)
    path = extent_path(store, storage_id)

    def flip(txn: Txn) -> None:
        if path.exists():
            flip_byte(path, number * 262_144 + 3)
            return
        value = bytearray(txn.get(key) or b"")
        value[3] ^= 1
        txn.put(key, value)

    store.backing.writer.run(bulk=flip)


def extent_path(store: Store, storage_id: int) -> Path:
    """Where the extent of an id lies, as docs/formats/store.md says."""
    data = store.backing.index.path.parent
    return data / "extents" / f"{storage_id & 0xFF:02x}" / f"{storage_id:016x}"


def flip_byte(path: Path, at: int) -> None:
    """Flip a bit of the byte at `at`."""
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def leaks_here(store: Store) -> list[str]:
    """What leaks, this live process's own range and file aside."""
    return [each for each in leaks(store) if "range" not in each and "files of" not in each]


def test_an_event_loop_can_see_to_the_wait_for_an_id_beforehand(store: Store) -> None:
    first = store.ingest()
    at_hand = [first.has_id]  # a fresh process has no range yet
    first.take_id()
    at_hand.append(first.has_id)
    first.take_id()  # taking twice keeps the one
    second = store.ingest()
    at_hand.append(second.has_id)  # from the range that the first one reserved
    assert at_hand == [False, True, True]
    for number, ingest in enumerate((first, second)):
        ingest.write(b"content %d" % number)
    assert {ingest.finish().already for ingest in (first, second)} == {False}
    given_up = store.ingest()
    given_up.take_id()
    given_up.abort()
    with pytest.raises(UsageError):
        given_up.take_id()
