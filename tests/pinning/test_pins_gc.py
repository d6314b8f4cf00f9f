"""Garbage collection against a model: no block of an accepted pin goes, whatever happens when."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from blockstore import Store
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_cbor import encode
from content.links import links
from pinning.pin import Filter, Pin, Status, Wish
from pinning.pins import Pins
from tests.pinning.conftest import QUICK, HandClock

LEASE_S = QUICK.lease_s
BLOCKS = 14
SWEEPS = 2  # under way at once, as an operator's gc beside the keeper's


def node(number: int, below: list[Cid]) -> Block:
    return Block.sealed(DAG_CBOR, encode({"n": number, "links": list(below)}))


class CollectionMachine(RuleBasedStateMachine):
    """DAGs that share blocks, pins that come and go, and sweeps that are always somewhere in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pins-gc-"))
        self.clock = HandClock()
        self.store = Store.open(self.folder / "data", QUICK, self.clock)
        self.pins = Pins(self.store)
        self.accepted: dict[str, Pin] = {}
        self.kept: dict[str, set[bytes]] = {}  # by request id: what was here of it at any time
        self.put_at: dict[bytes, float] = {}
        self.sweeps: list[Iterator[Any] | None] = [None] * SWEEPS

    @initialize()
    def begin(self) -> None:
        self.blocks = [Block.sealed(RAW, b"leaf %d" % index) for index in range(5)]
        for index in range(BLOCKS - 5):
            below = [block.cid for block in self.blocks[index % 3 :: 3]][-3:]
            self.blocks.append(node(index, below))
        self.by_name = {block.cid.multihash: block for block in self.blocks}

    # Content

    @rule(index=st.integers(0, BLOCKS - 1))
    def put(self, index: int) -> None:
        self.store.dag.put([self.blocks[index]])
        self.put_at[self.blocks[index].cid.multihash] = self.clock.now

    @rule(index=st.integers(5, BLOCKS - 1))
    def put_all_below(self, index: int) -> None:
        waiting = [self.blocks[index].cid]
        while waiting:
            block = self.by_name[waiting.pop().multihash]
            self.store.dag.put([block])
            self.put_at[block.cid.multihash] = self.clock.now
            waiting += links(block.cid, block.data)

    # Pins

    @rule(index=st.integers(0, BLOCKS - 1), account=st.sampled_from("ab"), expires=st.booleans())
    def add(self, index: int, account: str, expires: bool) -> None:
        ends_s = self.clock.now + LEASE_S if expires else None
        self.note(self.pins.add(account, Wish(self.blocks[index].cid, expires_s=ends_s)))

    def note(self, pin: Pin) -> None:
        self.accepted[pin.request_id] = pin
        self.kept[pin.request_id] = set()

    def forget(self, pin: Pin) -> None:
        del self.accepted[pin.request_id], self.kept[pin.request_id]

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), index=st.integers(0, BLOCKS - 1))
    def replace(self, data: st.DataObject, index: int) -> None:
        old = self.drawn(data)
        new = self.pins.replace(old.account, old.request_id, Wish(self.blocks[index].cid))
        self.forget(old)
        self.note(new)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        pin = self.drawn(data)
        self.pins.remove(pin.account, pin.request_id)
        self.forget(pin)

    @precondition(lambda self: self.accepted)
    @rule(data=st.data(), works=st.booleans())
    def work(self, data: st.DataObject, works: bool) -> None:
        pin = self.drawn(data)
        self.pins.begin(pin.request_id)
        if works:
            self.pins.pinned(pin.request_id, 100, 100)
        elif self.pins.failed(pin.request_id, "nobody has it"):
            self.forget(pin)  # it keeps nothing any more

    @rule()
    def expire(self) -> None:
        self.pins.expire(self.clock.now, 100)
        left = {pin.request_id for pin in self.pins.stream(None, Filter())}
        for pin in [pin for pin in self.accepted.values() if pin.request_id not in left]:
            assert self.is_over(pin)
            self.forget(pin)

    def drawn(self, data: st.DataObject) -> Pin:
        return data.draw(st.sampled_from(list(self.accepted.values())))

    def is_over(self, pin: Pin) -> bool:
        return pin.wish.expires_s is not None and pin.wish.expires_s <= self.clock.now

    # Time and sweeps

    @rule(seconds=st.sampled_from((1.0, LEASE_S / 2, LEASE_S * 2)))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(which=st.integers(0, SWEEPS - 1), steps=st.integers(1, 6))
    def step(self, which: int, steps: int) -> None:
        sweep = self.sweeps[which]
        if sweep is None:
            sweep = self.sweeps[which] = self.store.sweep_steps()
        for _ in range(steps):
            if next(sweep, None) is None:
                self.sweeps[which] = None
                return

    @rule(which=st.integers(0, SWEEPS - 1))
    def give_up(self, which: int) -> None:
        self.sweeps[which] = None

    # What holds

    @property
    def here(self) -> set[bytes]:
        return {block.cid.multihash for block in self.blocks if self.store.dag.has(block.cid)}

    def reachable(self, cid: Cid, here: set[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        waiting = [cid]
        while waiting:
            each = waiting.pop()
            if each.multihash in here and each.multihash not in found:
                found.add(each.multihash)
                waiting += links(each, self.by_name[each.multihash].data)
        return found

    @invariant()
    def blocks_of_accepted_pins_stay_and_read_back(self) -> None:
        here = self.here
        for request_id, pin in self.accepted.items():
            if self.is_over(pin):
                continue
            lost = self.kept[request_id] - here
            assert not lost, f"{len(lost)} blocks of a pin that was accepted are gone"
            self.kept[request_id] |= self.reachable(pin.wish.cid, here)
        for name in here:
            assert self.store.dag.read(self.by_name[name].cid) == self.by_name[name].data

    @rule()
    def a_whole_sweep_frees_the_rest(self) -> None:
        before = self.here
        kept: set[bytes] = set()
        for pin in self.accepted.values():
            if not self.is_over(pin):
                kept |= self.reachable(pin.wish.cid, before)
        self.store.sweep()
        after = self.here
        fresh = {name for name, at in self.put_at.items() if self.clock.now - at < LEASE_S}
        assert kept <= after
        assert after - kept <= fresh, "nothing stays that no pin reaches"

    def teardown(self) -> None:
        for pin in self.accepted.values():
            found = self.pins.get(pin.account, pin.request_id)
            assert found.status is not Status.FAILED
            self.pins.remove(pin.account, pin.request_id)
        self.clock.now += 2 * LEASE_S
        self.store.sweep()
        assert self.here == set()
        assert self.store.usage().bytes_ == 0
        self.store.close()
        shutil.rmtree(self.folder)


CollectionMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestCollection = CollectionMachine.TestCase
