"""The sweep of blocks, against a model: what a root reaches stays, whatever happens between its steps."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blockstore import Root, Store, StoreSettings
from blockstore.dag_removal import evict
from blockstore.dag_sweep import DagSweep
from content import dag_pb, multihash
from content.block import Block, BlockMissing
from content.cid import DAG_CBOR, DAG_JSON, DAG_PB, RAW, Cid
from content.dag_cbor import encode
from content.links import links
from content.multihash import IDENTITY
from content.unixfs.message import Kind, Message
from content.unixfs.message import encode as encode_message
from content.unixfs.profile import Profile
from durable import Durability
from tests.blockstore.test_dag import SMALL, SMALL_V0, contents, file_blocks, imported
from tests.manual_clock import ManualClock

LEASE_S = 100.0


def node(number: int, below: list[Cid]) -> Block:
    return Block.sealed(DAG_CBOR, encode({"n": number, "links": list(below)}))


class SweepMachine(RuleBasedStateMachine):
    """Blocks in a DAG, pins that come and go, and a sweep that is always somewhere in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="sweep-"))
        self.clock = ManualClock()
        settings_ = StoreSettings(durability=Durability.NONE, lease_s=LEASE_S)
        self.store = Store.open(self.folder / "data", settings_, self.clock)
        self.blocks: list[Block] = []
        self.put_at: dict[bytes, float] = {}
        self.pinned: set[Cid] = set()
        self.sweep: Iterator[Any] | None = None

    @initialize()
    def begin(self) -> None:
        self.blocks = [Block.sealed(RAW, b"leaf %d" % index) for index in range(4)]
        for index in range(8):
            below = [block.cid for block in self.blocks[index % 3 :: 3]][-3:]
            self.blocks.append(node(index, below))

    @rule(index=st.integers(0, 11))
    def put(self, index: int) -> None:
        """As a walker does: a block, and everything below it that is here is asked to stay."""
        block = self.blocks[index]
        self.store.dag.put([block])
        self.put_at[block.cid.multihash] = self.clock.now

    @rule(index=st.integers(4, 11))
    def pin(self, index: int) -> None:
        self.store.dag.pin(self.blocks[index].cid, Root.pin())
        self.pinned.add(self.blocks[index].cid)

    @precondition(lambda self: self.pinned)
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        cid = data.draw(st.sampled_from(sorted(self.pinned)))
        self.store.dag.unpin(cid, Root.pin())
        self.pinned.discard(cid)

    @rule(seconds=st.sampled_from([1.0, LEASE_S / 2, LEASE_S * 2]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(steps=st.integers(1, 4))
    def step(self, steps: int) -> None:
        if self.sweep is None:
            self.sweep = DagSweep(self.store.backing, self.store.dag).steps()
        for _ in range(steps):
            if next(self.sweep, self) is self:
                self.sweep = None
                return

    def reachable(self) -> set[bytes]:
        """Multihashes of blocks here that a pin reaches over blocks that are here."""
        by_name = {block.cid.multihash: block for block in self.blocks}
        found: set[bytes] = set()
        waiting = list(self.pinned)
        while waiting:
            cid = waiting.pop()
            if cid.multihash in found or cid.multihash not in self.here:
                continue
            found.add(cid.multihash)
            waiting += links(cid, by_name[cid.multihash].data)
        return found

    @property
    def here(self) -> set[bytes]:
        return {block.cid.multihash for block in self.blocks if self.store.dag.has(block.cid)}

    @invariant()
    def what_is_here_reads_back_and_what_was_put_lately_is_here(self) -> None:
        for block in self.blocks:
            if self.store.dag.has(block.cid):
                assert self.store.dag.read(block.cid) == block.data
            at = self.put_at.get(block.cid.multihash)
            if at is not None and self.clock.now - at < LEASE_S / 2:
                assert self.store.dag.has(block.cid), "put lately"

    @rule()
    def a_whole_sweep_leaves_what_is_kept_and_only_that(self) -> None:
        if self.sweep is not None:
            for _ in self.sweep:
                pass
            self.sweep = None
        kept = self.reachable()
        before = self.here
        self.store.sweep()
        after = self.here
        assert kept <= after, "nothing that a pin reaches goes"
        fresh = {name for name, at in self.put_at.items() if self.clock.now - at < LEASE_S}
        assert after - kept <= fresh, "nothing else stays beyond its lease"
        assert after <= before

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


SweepMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestSweepModel = SweepMachine.TestCase


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Store]:
    chosen = StoreSettings(durability=Durability.NONE, lease_s=LEASE_S)
    with Store.open(tmp_path / "data", chosen, clock) as opened:
        yield opened


def test_a_pin_accepted_between_mark_and_deletion_keeps_its_blocks(store: Store, clock: ManualClock) -> None:
    leaf = Block.sealed(RAW, b"leaf")
    root = node(1, [leaf.cid])
    store.dag.put([leaf, root])
    clock.now += 2 * LEASE_S
    sweep = DagSweep(store.backing, store.dag)
    drop = sweep._drop

    def pinned_just_before(suspects: list[bytes], ceiling: int) -> list[bytes] | None:
        sweep._drop = drop  # type: ignore[method-assign]
        store.dag.pin(root.cid, Root.pin())
        return drop(suspects, ceiling)

    sweep._drop = pinned_just_before  # type: ignore[method-assign]
    for _ in sweep.steps():
        pass
    assert store.dag.read(root.cid) == root.data
    assert store.dag.read(leaf.cid) == leaf.data
    assert sweep.dropped == 0


def test_the_bytes_of_swept_blocks_are_freed_with_them(store: Store, clock: ManualClock) -> None:
    store.dag.put([Block.sealed(RAW, bytes([index]) * 1000) for index in range(50)])
    assert store.usage().blobs == 50
    clock.now += 2 * LEASE_S
    report = store.sweep()
    assert (report.removed_blocks, report.removed_blobs) == (50, 50)
    assert store.usage().bytes_ == 0


def test_an_inner_block_that_cannot_be_read_stops_the_sweep_of_blocks(
    store: Store, clock: ManualClock
) -> None:
    leaf, other = Block.sealed(RAW, b"leaf"), Block.sealed(RAW, b"other")
    root = node(1, [leaf.cid])
    store.dag.put([leaf, other, root])
    store.dag.pin(root.cid, Root.pin())
    blob = store.dag.slice(root.cid)
    assert blob is not None
    store.evict(blob.blob.root)
    clock.now += 2 * LEASE_S
    assert store.sweep().unreadable == root.cid.text()
    assert store.dag.read(leaf.cid) == leaf.data, "whether the root links to it is unknown"
    store.dag.put([root])
    clock.now += 2 * LEASE_S
    store.sweep()
    assert store.dag.has(leaf.cid)
    assert not store.dag.has(other.cid)
    with pytest.raises(BlockMissing):
        store.dag.read(other.cid)


def test_a_leaf_that_could_have_links_and_was_evicted_by_its_hash_does_not_stop_the_sweep(
    store: Store, clock: ManualClock
) -> None:
    leaf = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node((), encode_message(Message(Kind.FILE, b"leaf")))))
    other = Block.sealed(RAW, b"other")
    root = node(1, [leaf.cid])
    store.dag.put([leaf, other, root])
    store.dag.pin(root.cid, Root.pin())
    found = store.dag.slice(leaf.cid)
    assert found is not None
    store.evict(found.blob.root)
    clock.now += 2 * LEASE_S
    report = store.sweep()
    assert (report.unreadable, report.removed_blocks) == ("", 1)
    assert store.dag.has(root.cid)
    store.dag.put([leaf])
    assert store.dag.read(leaf.cid) == leaf.data


def test_what_has_links_under_another_codec_is_no_leaf(store: Store, clock: ManualClock) -> None:
    below = Block.sealed(RAW, b"below")
    text = f'{{"a":{{"/":"{below.cid}"}}'.ljust(ord("{")) + "}"
    block = Block.sealed(DAG_PB, b"\n" + text.encode())  # a tag and a length to one, space to the other
    assert links(block.cid, block.data) == ()
    as_json = Cid.v1(DAG_JSON, block.cid.multihash)
    assert links(as_json, block.data) == (below.cid,)
    store.dag.put([below, block])
    store.dag.pin(block.cid, Root.pin())
    store.dag.pin(as_json, Root.pin())
    done = evict(store.backing, store.dag, block.cid)
    assert (done.blobs, done.kept) == (0, 1)
    clock.now += 2 * LEASE_S
    store.sweep()
    assert store.dag.read(below.cid) == below.data


def test_what_an_inline_block_of_a_pinned_dag_links_to_stays(store: Store, clock: ManualClock) -> None:
    leaf = Block.sealed(RAW, b"leaf")
    inline = Cid.v1(DAG_CBOR, multihash.of(IDENTITY, encode([leaf.cid])))
    root = node(1, [inline])
    store.dag.put([leaf, root])
    store.dag.pin(root.cid, Root.pin())
    clock.now += 2 * LEASE_S
    assert store.sweep().removed_blocks == 0
    assert store.dag.read(leaf.cid) == leaf.data


@pytest.mark.parametrize("profile", [SMALL, SMALL_V0], ids=["raw leaves", "dag-pb leaves"])
def test_one_leaf_that_is_kept_keeps_the_blob_it_lies_in(
    store: Store, clock: ManualClock, profile: Profile
) -> None:
    root, *rest = file_blocks(contents(100_000), profile)
    leaf = rest[-1]
    imported(store, [root, *rest])
    lies = store.dag.slice(leaf.cid)
    assert lies is not None
    assert lies.blob.size_bytes == 100_000, "a slice of the file"
    store.dag.pin(leaf.cid, Root.pin())
    clock.now += 2 * LEASE_S
    store.sweep()
    assert store.dag.read(leaf.cid) == leaf.data
    assert not store.dag.has(root.cid)
    assert not store.dag.has(rest[-2].cid)
    store.dag.unpin(leaf.cid, Root.pin())
    clock.now += 2 * LEASE_S
    store.sweep()
    assert not store.dag.has(leaf.cid)
    assert store.usage().bytes_ == 0
