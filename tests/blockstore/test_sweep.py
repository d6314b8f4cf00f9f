"""Sweeping: what nothing keeps goes, what something keeps stays, whatever happens meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from blockstore import Durability, Root, Store
from tests.blockstore.conftest import KILL_SAFE, HandClock, Opener
from tests.blockstore.test_ingest import leaks_here

Content = Callable[[int], bytes]


def test_only_what_nothing_keeps_is_removed(store: Store, content: Content, clock: HandClock) -> None:
    roots = [store.put_bytes(content(size)).root for size in range(1000, 1040)]
    for root in roots[:30]:
        store.unpin(root)
    for root in roots[10:20]:
        store.add_root(root, Root.account("a"))
    for root in roots[20:30]:
        store.add_root(root, Root.lease(clock.now + 10))
    report = store.sweep()
    assert (report.removed_blobs, report.removed_bytes) == (10, sum(range(1000, 1010)))
    assert {stat.hash for stat in store.list()} == set(roots[10:])
    clock.now += 10
    assert store.sweep().removed_blobs == 10
    assert {stat.hash for stat in store.list()} == set(roots[10:20] + roots[30:])
    assert leaks_here(store) == []


def test_an_expired_root_goes_and_the_blob_stays_while_another_holds(
    store: Store, content: Content, clock: HandClock
) -> None:
    root = store.put_bytes(content(10)).root
    store.add_root(root, Root.account("a", expires_s=clock.now + 5))
    clock.now += 6
    assert store.sweep().expired_roots == 1
    assert store.stat(root) is not None
    assert store.account_bytes("a") == 0


@pytest.mark.parametrize("steps", range(6))
def test_a_pin_that_arrives_during_the_sweep_wins(store: Store, content: Content, steps: int) -> None:
    roots = [store.put_bytes(content(size), pin=False).root for size in range(200)]
    for root in roots:
        store.drop_root(root, Root.lease(0))
    sweep = store.sweep_steps()
    saved: list[bytes] = []
    for _ in range(steps):
        next(sweep, None)
        left = [stat.hash for stat in store.list() if not stat.roots]
        if left:
            store.pin(left[-1])
            saved.append(left[-1])
    for _ in sweep:
        pass
    assert {stat.hash for stat in store.list()} == set(saved)
    assert all(store.verify(root).intact for root in saved)


def test_a_pin_between_mark_and_removal_wins(store: Store, content: Content) -> None:
    """The sweep has suspected every blob when its first removing step asks the clock for its time box."""
    roots = [store.put_bytes(content(size)).root for size in range(100)]
    for root in roots:
        store.unpin(root)
    writer, run = store.backing.writer, store.backing.writer.run
    pinned: list[bytes] = []

    def run_late(**changes: object) -> None:
        if "bulk" in changes and not pinned:  # the first removing step: the marking is over
            pinned.append(roots[50])
            store.pin(roots[50])
        run(**changes)  # type: ignore[arg-type]

    writer.run = run_late  # type: ignore[method-assign]
    try:
        store.sweep()
    finally:
        writer.run = run  # type: ignore[method-assign]
    assert pinned == [roots[50]]
    assert [stat.hash for stat in store.list()] == [roots[50]]
    assert store.blob(roots[50]).read(0, 50) == content(50)


def test_a_sweep_that_is_given_up_is_finished_by_the_next(open_store: Opener, content: Content) -> None:
    store = open_store()
    for size in range(300):
        store.unpin(store.put_bytes(content(300_000 + size)).root) if size % 50 == 0 else None
        store.unpin(store.put_bytes(content(size)).root)
    sweep = store.sweep_steps()
    next(sweep)
    next(sweep)
    del sweep
    store.close()
    store = open_store()
    store.sweep()
    assert list(store.list()) == []
    assert leaks_here(store) == []
    assert store.usage().bulk_used_bytes - store.usage().bulk_free_bytes < 100_000


def test_content_of_a_process_that_closed_without_finishing_is_swept(
    open_store: Opener, content: Content, tmp_path: Path
) -> None:
    store = open_store()
    ingest = store.ingest()
    ingest.write(content(3_000_000))
    kept = store.put_bytes(content(5)).root
    store.close()  # the ingest was never ended, as after a crash
    store = open_store()
    report = store.sweep()
    assert report.orphans == 1
    assert [stat.hash for stat in store.list()] == [kept]
    assert leaks_here(store) == []
    assert len(list((tmp_path / "data" / "run").glob("alive-*"))) == 0


def test_content_that_is_on_its_way_in_is_not_swept(store: Store, content: Content) -> None:
    ingest = store.ingest()
    ingest.write(content(3_000_000))
    store.sweep()
    root = ingest.finish().root
    assert store.verify(root).intact


def test_no_step_of_a_sweep_does_more_than_its_time_allows(store: Store, content: Content) -> None:
    for size in range(400):
        store.unpin(store.put_bytes(content(size)).root)
    previous, most = 0, 0
    for report in store.sweep_steps():
        most = max(most, report.removed_blobs - previous)
        previous = report.removed_blobs
    assert previous == 400
    assert most <= 100  # the test's clock moves 1 ms a look, 8 blobs a look, 10 ms a step


@pytest.mark.parametrize("durability", list(Durability))
def test_every_durability_keeps_removes_and_sweeps(
    open_store: Opener, content: Content, durability: Durability
) -> None:
    store = open_store(replace(KILL_SAFE, durability=durability))
    kept, gone = store.put_bytes(content(300_000)).root, store.put_bytes(content(300_001)).root
    store.unpin(gone)
    assert store.sweep().removed_blobs == 1
    store.close()
    store = open_store(replace(KILL_SAFE, durability=durability))
    assert [stat.hash for stat in store.list()] == [kept]
    assert store.verify(kept).intact
    assert leaks_here(store) == []
