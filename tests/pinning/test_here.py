"""A pin's walk over a store: what it relies on stays, what it passed becomes whole, what is damaged lacks."""

import itertools
from pathlib import Path

import pytest

from blockstore import Root, Store, StoreSettings
from content import dag_cbor
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from pinning.here import HereWalk
from tests.blockstore.conftest import KILL_SAFE, HandClock
from tests.pinning.dags import Held, random_dag, tree

LEAF = Block.sealed(RAW, b"a leaf that was here long before")
ROOT = Block.sealed(DAG_CBOR, dag_cbor.encode([LEAF.cid]))
ANY = 1 << 20


def opened(data: Path, clock: HandClock) -> Store:
    return Store.open(data, KILL_SAFE, clock)


def walked(store: Store, root: Cid) -> HereWalk:
    here = HereWalk(store, root, ANY)
    while here.step():
        pass
    return here


def test_a_sweep_that_marked_before_the_root_came_spares_what_the_walk_passed(tmp_path: Path) -> None:
    """At each step of a sweep the rest of a DAG comes and is walked over: the old leaf must stay."""
    collected = False
    for step in itertools.count():
        clock = HandClock()
        with opened(tmp_path / str(step), clock) as store:
            store.dag.put([LEAF])
            clock.now += 2 * store.settings.lease_s
            store.dag.pin(ROOT.cid, Root.account("alice", ""))
            sweep = store.sweep_steps()
            passed = sum(1 for _ in itertools.islice(sweep, step))
            if not store.dag.has(LEAF.cid):
                collected = True  # before anybody could know that it is wanted
                break
            store.dag.put([ROOT])
            here = walked(store, ROOT.cid)
            assert here.walk.at is None
            assert not here.lost
            for _ in sweep:
                pass
            store.sweep()
            assert store.dag.has(LEAF.cid), f"collected by a sweep that began {step} steps before"
        if passed < step:
            break
    assert collected, "no sweep would have taken it: this shows nothing"


def test_a_walk_whose_block_went_away_behind_it_says_so(tmp_path: Path) -> None:
    clock = HandClock()
    with opened(tmp_path / "d", clock) as store:
        store.dag.put([LEAF, ROOT])
        clock.now += 2 * store.settings.lease_s
        here = HereWalk(store, ROOT.cid, ANY)
        original = here.walk.found

        def found(size_bytes: int) -> None:
            original(size_bytes)
            store.sweep()  # nothing keeps it: no root, and the lease is over

        here.walk.found = found  # type: ignore[method-assign]
        assert not here.step()
        assert here.walk.at is None
        assert here.lost


def test_the_walk_is_short_steps_and_stops_where_a_block_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinning.here.STEP_BLOCKS", 5)
    root, held = random_dag(3, 200, links_max=30)
    lost = [block for block in held.values() if block.cid.codec == RAW][7]
    with opened(tmp_path / "d", HandClock()) as store:
        store.dag.put([block for block in held.values() if block != lost])
        here = HereWalk(store, root, ANY)
        steps = 0
        while here.step():
            steps += 1
        assert steps >= 1
        assert here.walk.at == lost.cid
        assert [cid for cid, _ in here.missing(8, ())] == [lost.cid]
        store.dag.put([lost])
        while here.step():
            pass
        assert not here.missing(8, ())
        assert here.walk.blocks == len(held)


def test_files_that_were_passed_become_one_blob_each(tmp_path: Path) -> None:
    root, held = tree({f"{index}": bytes([index]) * 2_500_000 for index in range(3)})
    settings = StoreSettings(extent_above_bytes=1 << 20, index_map_bytes=1 << 30, bulk_map_bytes=1 << 34)
    with Store.open(tmp_path / "d", settings) as store:
        store.dag.put(list(held.values()))
        assert walked(store, root).walk.at is None
        files = [block.cid for block in held.values() if block.cid.codec == 0x70 and block.cid != root]
        assert len(files) == 3
        assert all(store.dag.file(cid) is not None for cid in files)
        assert _all_read(store, held)


def test_damaged_bytes_are_missing_ones(tmp_path: Path) -> None:
    with opened(tmp_path / "d", HandClock()) as store:
        store.dag.put([LEAF, ROOT])
        found = store.dag.slice(LEAF.cid)
        assert found is not None
        store.evict(found.blob.root)
        here = walked(store, ROOT.cid)
        assert here.walk.at == LEAF.cid
        store.dag.put([LEAF])
        assert walked(store, ROOT.cid).walk.at is None


def _all_read(store: Store, held: Held) -> bool:
    return all(store.dag.read(block.cid) == block.data for block in held.values())
