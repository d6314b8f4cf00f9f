"""No room: a clear error, nothing half done, and a store that works once there is room again."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from runtime.errors import StoreFull
from tests.blockstore.test_ingest import leaks_here
from tests.faults.dag_work import DagWork, check_dag, check_holds, check_rows
from tests.manual_clock import ManualClock

SMALL_MAP = StoreSettings(
    durability=Durability.NONE,
    commit_bytes=1 << 20,
    backlog_bytes=2 << 20,
    extent_above_bytes=1 << 30,  # extents take no room in the map
    bulk_map_bytes=8 << 20,
    index_map_bytes=4 << 20,
)
SMALL_DISK = StoreSettings(
    commit_bytes=1 << 20, backlog_bytes=2 << 20, max_readers=64, extent_above_bytes=1 << 19
)
DISK_BYTES = 16 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small tmpfs: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(store: Store, rng: random.Random, size: int) -> list[bytes]:
    """Put blobs of `size` until there is no room; returns those that were acknowledged."""
    names = []
    with pytest.raises(StoreFull) as caught:
        while True:
            names.append(store.put_bytes(rng.randbytes(size)).root)
            assert len(names) < 100_000, "the store never filled"
    assert caught.value.outcome.exit_code == 7
    assert caught.value.hint
    return names


def check_usable(store: Store, names: list[bytes]) -> None:
    """All that was acknowledged is there; with room made, putting works and nothing has leaked."""
    assert len(names) > 3
    assert {stat.hash for stat in store.list()} == set(names)
    assert all(store.verify(name).intact for name in names)
    for name in names[: len(names) // 2]:
        store.rm(name)
    store.sweep()
    assert leaks_here(store) == []
    again = [store.put_bytes(random.Random(n).randbytes(50_000)).root for n in range(5)]
    assert all(store.verify(name).intact for name in again)


@pytest.mark.parametrize("size", [3_000, 100_000, 900_000])
def test_a_full_map_is_store_full_and_the_store_stays_usable(tmp_path: Path, size: int) -> None:
    with Store.open(tmp_path / "data", SMALL_MAP) as store:
        names = fill(store, random.Random(size), size)
        check_usable(store, names)


def test_one_blob_larger_than_the_map_leaves_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data", SMALL_MAP) as store:
        kept = store.put_bytes(b"kept").root
        with pytest.raises(StoreFull), store.ingest() as ingest:
            for number in range(200):
                ingest.write(random.Random(number).randbytes(100_000))
            ingest.finish()
        store.sweep()
        assert leaks_here(store) == []
        assert [stat.hash for stat in store.list()] == [kept]
        assert store.put_bytes(random.Random(9).randbytes(1_000_000)).size_bytes == 1_000_000


def fill_with_dags(store: Store, how: str) -> tuple[DagWork, set[int]]:
    """Import or add DAGs until there is no room; returns who did it, and the numbers of those pinned."""
    notes: list[tuple[str, ...]] = []
    work = DagWork(store, lambda *words: notes.append(words), "me")
    with pytest.raises(StoreFull) as caught:
        for number in range(1000):
            if how == "import":
                work.import_one(number, random.Random(number))
            else:
                work.add_one(number)
    assert caught.value.hint
    pinned = {int(words[2].split("-")[0]) for words in notes if words[:2] == ("done", "pin")}
    assert len(pinned) > 3
    return work, pinned


def broken(store: Store, numbers: set[int]) -> list[str]:
    """What is wrong with pinned DAGs and with rows."""
    return [*(fault for number in numbers for fault in check_dag(store, number)), *check_rows(store)]


@pytest.mark.parametrize("how", ["import", "add"])
def test_a_map_full_of_dags_leaves_every_pinned_one_whole_and_makes_room_again(
    tmp_path: Path, how: str
) -> None:
    clock = ManualClock()
    with Store.open(tmp_path / "data", SMALL_MAP, clock) as store:
        work, pinned = fill_with_dags(store, how)
        assert broken(store, pinned) == []
        kept = {number for number in pinned if number % 2}
        for number in pinned - kept:
            work.unpin_one(number)
        clock.now += 2 * SMALL_MAP.lease_s
        store.sweep()
        assert leaks_here(store) + check_holds(store) + broken(store, kept) == []
        work.import_one(2000, random.Random(1))
        work.add_one(2001)
        assert broken(store, {2000, 2001} | kept) == []


@pytest.mark.parametrize("how", ["import", "add"])
def test_a_disk_full_of_dags_leaves_every_pinned_one_whole_and_can_be_emptied(
    small_disk: Path, how: str
) -> None:
    clock = ManualClock()
    with Store.open(small_disk / "data", SMALL_DISK, clock) as store:
        work, pinned = fill_with_dags(store, how)
        assert broken(store, pinned) == []
    with (small_disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with Store.open(small_disk / "data", SMALL_DISK, clock) as store:
        assert broken(store, pinned) == []
        work = DagWork(store, lambda *_: None, "me")
        kept = {number for number in pinned if number % 4 == 0}
        for number in pinned - kept:
            work.unpin_one(number)
        clock.now += 2 * SMALL_DISK.lease_s
        store.sweep()
        assert leaks_here(store) + check_holds(store) + broken(store, kept) == []
        (small_disk / "filler").unlink()
        work.import_one(2000, random.Random(1))
        assert broken(store, {2000} | kept) == []


@pytest.mark.parametrize("size", [3_000, 900_000])
def test_a_full_disk_is_store_full_and_the_store_stays_usable(small_disk: Path, size: int) -> None:
    with Store.open(small_disk / "data", SMALL_DISK) as store:
        names = fill(store, random.Random(size), size)
        check_usable(store, names)
    with Store.open(small_disk / "data", SMALL_DISK) as store:
        assert all(store.verify(stat.hash).intact for stat in store.list())


def test_a_blob_larger_than_the_disk_leaves_nothing(small_disk: Path) -> None:
    with Store.open(small_disk / "data", SMALL_DISK) as store:
        kept = store.put_bytes(random.Random(1).randbytes(900_000)).root
        with pytest.raises(StoreFull), store.ingest() as ingest:
            for number in range(300):
                ingest.write(random.Random(number).randbytes(100_000))
            ingest.finish()
        store.sweep()
        assert leaks_here(store) == []
        store.backing.writer.run(index=lambda _: None)  # its thread may be in the middle of unlinking
        assert shutil.disk_usage(small_disk).used < 4 << 20
        assert [stat.hash for stat in store.list()] == [kept]
        again = store.put_bytes(random.Random(9).randbytes(9 << 20)).root
        assert store.verify(again).intact


def test_an_extent_takes_no_room_in_the_map(tmp_path: Path) -> None:
    content = random.Random(3).randbytes(20 << 20)
    with Store.open(tmp_path / "data", replace(SMALL_MAP, extent_above_bytes=1 << 19)) as store:
        assert store.verify(store.put_bytes(content).root).intact


def test_opening_a_store_on_a_full_disk_fails_clearly_or_works(small_disk: Path) -> None:
    with Store.open(small_disk / "one", SMALL_DISK) as store:
        names = fill(store, random.Random(1), 100_000)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    with pytest.raises(StoreFull):
        Store.open(small_disk / "two", SMALL_DISK)
    with Store.open(small_disk / "one", SMALL_DISK) as store:
        assert all(store.verify(name).intact for name in names)
    filler.unlink()
    shutil.rmtree(small_disk / "one")
    with Store.open(small_disk / "two", SMALL_DISK) as store:
        assert store.put_bytes(b"room again").size_bytes == 10
