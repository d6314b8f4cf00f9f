"""A store against a dictionary: any sequence of calls, with restarts and time passing, agrees."""

import random
import shutil
import tempfile
from pathlib import Path

import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from blockstore import LOCAL_PIN, Root, Store
from runtime.errors import Conflict, NotFound
from tests.blockstore.conftest import KILL_SAFE, HandClock
from tests.blockstore.test_ingest import damage_segment, leaks_here

SIZES = (0, 3, 1000, 16_385, 262_144, 300_000, 700_000)
CONTENT = [random.Random(size).randbytes(size) for size in SIZES]
NAMES = [blake3.blake3(data).digest() for data in CONTENT]
NUMBERS = st.integers(0, len(SIZES) - 1)
OWNERS = st.sampled_from(["", "a", "b"])


class Model:
    """What the store must know of one blob."""

    def __init__(self) -> None:
        self.pins: set[str] = set()
        self.accounts: set[str] = set()
        self.lease_until = 0.0
        self.evicted = False
        self.damaged = False


class StoreMachine(RuleBasedStateMachine):
    """The store and the dictionary side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fleek-model-"))
        self.clock = HandClock()
        self.model: dict[int, Model] = {}
        self.store = self.open()

    def open(self) -> Store:
        return Store.open(self.folder / "data", KILL_SAFE, self.clock)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    @rule(number=NUMBERS, how=st.sampled_from(["pin", "lease", "account"]), owner=OWNERS)
    def put(self, number: int, how: str, owner: str) -> None:
        known = self.model.get(number)
        whole = known is not None and not known.evicted and not known.damaged
        roots = {
            "pin": Root.pin(owner) if owner else LOCAL_PIN,
            "lease": None,
            "account": Root.account(owner),
        }
        put = self.store.put_bytes(CONTENT[number], root=roots[how])
        assert (put.root, put.already) == (NAMES[number], whole)
        blob = self.model.setdefault(number, Model())
        blob.evicted = blob.damaged = False
        if how == "lease":
            blob.lease_until = self.clock.now + KILL_SAFE.lease_s
        else:
            (blob.pins if how == "pin" else blob.accounts).add(owner)

    @rule(number=NUMBERS)
    def transfer(self, number: int) -> None:
        known = self.model.get(number)
        whole = known is not None and not known.evicted and not known.damaged
        data = CONTENT[number]
        partial = self.store.partial(NAMES[number], len(data))
        for start in reversed(range(0, len(data), 32_768)):
            partial.add(start, data[start : start + 32_768])
        assert partial.complete().already == whole
        blob = self.model.setdefault(number, Model())
        blob.evicted = blob.damaged = False
        blob.pins.add("")

    @rule(number=NUMBERS, force=st.booleans())
    def rm(self, number: int, force: bool) -> None:
        blob = self.model.get(number)
        try:
            self.store.rm(NAMES[number], force)
            assert blob is not None
            assert force or not blob.accounts
            del self.model[number]
        except NotFound:
            assert blob is None
        except Conflict:
            assert blob is not None
            assert blob.accounts
            assert not force

    @rule(number=NUMBERS, owner=OWNERS)
    def pin(self, number: int, owner: str) -> None:
        try:
            self.store.pin(NAMES[number], owner)
            self.model[number].pins.add(owner)
        except NotFound:
            assert number not in self.model

    @rule(number=NUMBERS, owner=st.one_of(st.none(), OWNERS))
    def unpin(self, number: int, owner: str | None) -> None:
        pins = self.model[number].pins if number in self.model else set()
        gone = pins & ({owner} if owner is not None else pins)
        assert self.store.unpin(NAMES[number], owner) == len(gone)
        pins -= gone

    @rule(number=NUMBERS)
    def evict(self, number: int) -> None:
        try:
            self.store.evict(NAMES[number])
            self.model[number].evicted = True
            self.model[number].damaged = False
        except NotFound:
            assert number not in self.model

    @rule(number=NUMBERS)
    def damage(self, number: int) -> None:
        blob = self.model.get(number)
        if blob is None or blob.evicted or blob.damaged or not CONTENT[number]:
            return
        damage_segment(self.store, self.store.blob(NAMES[number]).storage_id, 0)
        assert not self.store.verify(NAMES[number]).intact
        self.store.backing.writer.run(index=lambda _: None)
        blob.damaged = True

    @rule(seconds=st.sampled_from([1.0, KILL_SAFE.lease_s + 1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def sweep(self) -> None:
        self.store.sweep()
        for number, blob in list(self.model.items()):
            if not blob.pins and not blob.accounts and blob.lease_until <= self.clock.now:
                del self.model[number]
        assert leaks_here(self.store) == []

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def they_agree(self) -> None:
        stats = {stat.hash: stat for stat in self.store.list()}
        assert set(stats) == {NAMES[number] for number in self.model}
        for number, blob in self.model.items():
            stat = stats[NAMES[number]]
            assert stat.size_bytes == SIZES[number]
            assert stat.state == ("evicted" if blob.evicted else "present")
            assert bool(stat.damaged_segments) == blob.damaged
            owners = {(each.kind.name, each.owner) for each in self.store.roots(NAMES[number])}
            expected = {("PIN", pin) for pin in blob.pins} | {("ACCOUNT", each) for each in blob.accounts}
            if blob.lease_until > self.clock.now:
                expected.add(("LEASE", ""))
            assert owners == expected
            if not blob.evicted and not blob.damaged:
                assert self.store.blob(NAMES[number]).read(0, SIZES[number]) == CONTENT[number]
        usage = self.store.usage()
        present = sum(SIZES[number] for number, blob in self.model.items() if not blob.evicted)
        assert (usage.blobs, usage.bytes_) == (len(self.model), present)
        for account in ("", "a", "b"):
            held = [SIZES[number] for number, blob in self.model.items() if account in blob.accounts]
            assert self.store.account_bytes(account) == sum(held)


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
