"""Pins against a model: a list in memory that does what the ports say, in any order."""

import shutil
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from blockstore import RootKind, Store
from content.cid import DAG_PB, Cid
from pinning.pin import Filter, Match, Pin, Progress, Status, Wish
from pinning.pins import Pins
from pinning.search import matches
from tests.pinning.book_contract import cid
from tests.pinning.conftest import QUICK, HandClock

ACCOUNTS = ("a", "b")
CIDS = (cid(1), cid(2), cid(3, DAG_PB), Cid.v0(cid(3).multihash), cid(4))
NAMES = (None, "", "x", "X", "photo.jpg", "Photo.JPG", "straße", "STRASSE", "ÿ\x00ÿ", "other" * 30)
PAIRS = (("app", "x"), ("app", "y"), ("env", "x"), ("", ""))
OPEN = (Status.QUEUED, Status.PINNING)
INEXACT = (Match.PARTIAL, Match.IPARTIAL)

wishes = st.builds(
    Wish,
    st.sampled_from(CIDS),
    st.sampled_from(NAMES),
    st.sampled_from(((), ("/ip4/192.0.2.1/tcp/4001",), ("https://a.example/x", "https://b.example/y"))),
    st.lists(st.sampled_from(PAIRS), max_size=2).map(dict),
    st.sampled_from((None, None, 1_700_000_050.0, 1_700_000_500.5)),
)
statuses = st.frozensets(st.sampled_from(Status), max_size=3)
cids = st.lists(st.sampled_from(CIDS), max_size=3, unique=True).map(tuple)
parts = st.sampled_from((None, *NAMES[1:], "ph", "oto", "PG", "ss", "ÿ", "\x00"))
pairs = st.lists(st.sampled_from(PAIRS), max_size=2).map(dict)


class PinsMachine(RuleBasedStateMachine):
    """Two accounts, their pins, a clock, and everything one can ask."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pins-"))
        self.clock = HandClock()
        self.pins_by_account: dict[str, list[Pin]] = {account: [] for account in ACCOUNTS}
        self.last_ns = 0
        self.open()

    def open(self) -> None:
        self.store = Store.open(self.folder / "data", QUICK, self.clock)
        self.pins = Pins(self.store)

    @property
    def everything(self) -> list[Pin]:
        return [pin for known in self.pins_by_account.values() for pin in known]

    def accepted(self, pin: Pin) -> None:
        assert pin.created_ns > self.last_ns
        self.last_ns = pin.created_ns
        self.pins_by_account[pin.account].append(pin)

    def changed(self, old: Pin, new: Pin) -> None:
        known = self.pins_by_account[old.account]
        known[known.index(old)] = new

    def drawn(self, data: st.DataObject, *among: Status) -> Pin:
        fitting = [pin for pin in self.everything if not among or pin.status in among]
        return data.draw(st.sampled_from(fitting))

    # What accounts ask

    @rule(account=st.sampled_from(ACCOUNTS), wish=wishes)
    def add(self, account: str, wish: Wish) -> None:
        pin = self.pins.add(account, wish)
        assert (pin.status, pin.wish, pin.account) == (Status.QUEUED, wish, account)
        self.accepted(pin)

    @rule(account=st.sampled_from(ACCOUNTS), wish=wishes, count=st.sampled_from((3, 260)))
    def add_many(self, account: str, wish: Wish, count: int) -> None:
        """As many requests at once do: in one commit, or some."""
        made: list[Pin] = []
        whole = threading.Event()

        def done(outcome: object) -> None:
            assert isinstance(outcome, Pin)
            made.append(outcome)
            if len(made) == count:
                whole.set()

        for _ in range(count):
            self.pins.add_soon(account, wish, done)
        assert whole.wait(60)
        for pin in made:
            self.accepted(pin)

    @rule(
        account=st.sampled_from(ACCOUNTS),
        several=st.lists(wishes, min_size=1, max_size=4),
        times=st.sampled_from((1, 200)),
    )
    def add_a_batch(self, account: str, several: list[Wish], times: int) -> None:
        made = self.pins.add_many(account, several * times)
        assert [pin.wish for pin in made] == several * times
        for pin in made:
            self.accepted(pin)

    @precondition(lambda self: self.everything)
    @rule(data=st.data(), wish=wishes)
    def replace(self, data: st.DataObject, wish: Wish) -> None:
        old = self.drawn(data)
        new = self.pins.replace(old.account, old.request_id, wish)
        self.pins_by_account[old.account].remove(old)
        if old.status is Status.PINNED and old.wish.cid == wish.cid:
            assert (new.status, new.dag_bytes) == (Status.PINNED, old.dag_bytes)
        else:
            assert new.status is Status.QUEUED
        self.accepted(new)

    @precondition(lambda self: self.everything)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        pin = self.drawn(data)
        self.pins.remove(pin.account, pin.request_id)
        self.pins_by_account[pin.account].remove(pin)

    # What the worker says

    @precondition(lambda self: any(pin.status in OPEN for pin in self.everything))
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        pin = self.drawn(data, *OPEN)
        assert self.pins.begin(pin.request_id) is not None
        self.changed(pin, replace(pin, status=Status.PINNING))

    @precondition(lambda self: any(pin.status is Status.PINNING for pin in self.everything))
    @rule(data=st.data(), blocks=st.integers(0, 1 << 40), cursor=st.binary(max_size=40))
    def progress(self, data: st.DataObject, blocks: int, cursor: bytes) -> None:
        pin = self.drawn(data, Status.PINNING)
        progress = Progress(blocks, 2 * blocks, 3)
        assert self.pins.progress(pin.request_id, progress, cursor)
        self.pins.add("later", Wish(CIDS[0]))  # the next commit carries it
        self.changed(pin, replace(pin, progress=progress))
        assert self.pins.cursor(pin.request_id) == cursor

    @precondition(lambda self: any(pin.status in OPEN for pin in self.everything))
    @rule(data=st.data(), size=st.integers(0, 1 << 50))
    def pinned(self, data: st.DataObject, size: int) -> None:
        pin = self.drawn(data, *OPEN)
        known = [each for each in self.everything if each.wish.cid.as_v1() == pin.wish.cid.as_v1()]
        size = next((each.dag_bytes for each in known if each.dag_bytes is not None), size)
        assert self.pins.pinned(pin.request_id, size, size // 2)
        ended = replace(pin, status=Status.PINNED, dag_bytes=size, raw_bytes=size // 2, details="")
        self.changed(pin, replace(ended, progress=Progress(), next_try_s=0.0))

    @precondition(lambda self: any(pin.status in OPEN for pin in self.everything))
    @rule(data=st.data(), at_s=st.sampled_from((1.0, 1_700_000_000.25, 1_700_000_100.0)))
    def retry(self, data: st.DataObject, at_s: float) -> None:
        pin = self.drawn(data, *OPEN)
        assert self.pins.retry(pin.request_id, "ö" * 3, at_s)
        waiting = replace(pin, status=Status.QUEUED, details="ö" * 3, next_try_s=at_s)
        self.changed(pin, replace(waiting, attempts=pin.attempts + 1))

    @precondition(lambda self: any(pin.status in OPEN for pin in self.everything))
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        pin = self.drawn(data, *OPEN)
        assert self.pins.failed(pin.request_id, "nobody has it")
        ended = replace(pin, status=Status.FAILED, details="nobody has it", next_try_s=0.0)
        self.changed(pin, replace(ended, attempts=pin.attempts + 1, progress=Progress()))

    @precondition(lambda self: any(pin.status not in OPEN for pin in self.everything))
    @rule(data=st.data())
    def what_is_over_takes_no_more_work(self, data: st.DataObject) -> None:
        pin = self.drawn(data, Status.PINNED, Status.FAILED)
        assert self.pins.begin(pin.request_id) is None
        assert not self.pins.retry(pin.request_id, "again", 1.0)
        assert not self.pins.progress(pin.request_id, Progress(1, 1, 1), b"")

    # Time

    @rule(seconds=st.sampled_from((-10.0, 0.0, 1e-7, 30.0, 300.0)))
    def time_passes_or_steps_back(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(limit=st.sampled_from((1, 100, 1000)))
    def expire(self, limit: int) -> None:
        now_s = self.clock.now
        over = [
            pin for pin in self.everything if pin.wish.expires_s is not None and pin.wish.expires_s <= now_s
        ]
        count = self.pins.expire(now_s, limit)
        assert count == min(limit, len(over))
        over.sort(key=lambda pin: (pin.wish.expires_s, pin.account != ACCOUNTS[0]))
        gone = [pin for pin in over if pin not in list(self.pins.stream(None, Filter()))]
        assert len(gone) == count
        for pin in gone:
            self.pins_by_account[pin.account].remove(pin)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    # What is seen

    @rule(
        account=st.sampled_from(ACCOUNTS),
        limit=st.sampled_from((1, 2, 10, 1000)),
        data=st.data(),
        chosen=st.builds(
            Filter,
            cids=cids,
            name=parts,
            match=st.sampled_from(Match),
            statuses=statuses,
            meta=pairs,
        ),
    )
    def page(self, account: str, limit: int, data: st.DataObject, chosen: Filter) -> None:
        times = [pin.created_ns + more for pin in self.everything[:300] for more in (-1, 0, 1)] or [0]
        bounds = st.none() | st.sampled_from(times)
        wanted = replace(chosen, before_ns=data.draw(bounds), after_ns=data.draw(bounds))
        fitting = [pin for pin in self.pins_by_account[account][::-1] if matches(pin, wanted)]
        page = self.pins.page(account, wanted, limit)
        assert list(page.pins) == fitting[:limit]
        if wanted.meta or (wanted.name is not None and wanted.match in INEXACT):
            assert len(page.pins) <= page.count <= len(fitting)
            assert page.count > len(page.pins) or len(page.pins) == len(fitting)
        else:
            assert page.count == len(fitting)
        assert list(self.pins.stream(account, wanted)) == fitting
        own = {each.request_id for each in self.everything}
        everywhere = [pin for pin in self.pins.stream(None, wanted) if pin.request_id in own]
        assert everywhere == sorted(
            (pin for pin in self.everything if matches(pin, wanted)), key=lambda pin: -pin.created_ns
        )

    @rule(account=st.sampled_from(ACCOUNTS), limit=st.sampled_from((7, 1000)))
    def pages_by_before_visit_every_pin_once(self, account: str, limit: int) -> None:
        seen: list[Pin] = []
        page = self.pins.page(account, Filter(), limit)
        while page.pins:
            assert page.count == len(self.pins_by_account[account]) - len(seen)
            seen += page.pins
            page = self.pins.page(account, Filter(before_ns=seen[-1].created_ns), limit)
        assert seen == self.pins_by_account[account][::-1]

    @rule(limit=st.sampled_from((1, 4, 1000)), data=st.data())
    def due(self, limit: int, data: st.DataObject) -> None:
        waiting = [pin for pin in self.everything if pin.status in OPEN]
        busy = (
            data.draw(st.lists(st.sampled_from(waiting), max_size=3, unique_by=lambda pin: pin.request_id))
            if waiting
            else []
        )
        others = [pin.request_id for pin in self.pins.stream("later", Filter())]
        now_s = self.clock.now
        ready = [pin for pin in waiting if pin not in busy and pin.next_try_s <= now_s]
        due = self.pins.due(now_s, limit, [pin.request_id for pin in busy] + others)
        assert len(due) == min(limit, len(ready))
        in_hand = {account: sum(pin.account == account for pin in busy) for account in ACCOUNTS}
        for account in ACCOUNTS:
            mine = [pin for pin in due if pin.account == account]
            could = [pin for pin in ready if pin.account == account]
            assert mine == could[: len(mine)], "oldest first"
            left = len(could) > len(mine)
            held = in_hand[account] + len(mine)
            for other in ACCOUNTS:
                served = sum(pin.account == other for pin in due)
                if left and served and other != account:
                    assert in_hand[other] + served <= held + 1, "nobody waits for who has more in hand"

    @rule(account=st.sampled_from(ACCOUNTS))
    def usage(self, account: str) -> None:
        known = self.pins_by_account[account]
        usage = self.pins.usage(account)
        assert usage.pins == {status: sum(pin.status is status for pin in known) for status in Status}
        roots = {pin.wish.cid.as_v1(): pin.dag_bytes for pin in known if pin.status is Status.PINNED}
        assert usage.bytes_ == sum(size or 0 for size in roots.values())

    @invariant()
    def every_accepted_pin_has_its_root_and_nothing_else_has(self) -> None:
        expected = {
            (pin.wish.cid, f"{pin.account}/{pin.request_id}")
            for pin in self.everything
            if pin.status is not Status.FAILED
        }
        found = {
            (each.cid, each.root.owner)
            for each in self.store.dag.roots()
            if each.root.kind is RootKind.ACCOUNT and not each.root.owner.startswith("later/")
        }
        assert found == expected

    @invariant()
    def counters_are_what_there_is(self) -> None:
        with self.store.index.reading() as txn:
            for account, known in self.pins_by_account.items():
                tally = self.pins.table.tally(txn, self.pins.table.accounts.find(txn, account))
                waiting = sum(pin.status in OPEN for pin in known)
                assert (tally.open, tally.pins) == (waiting, len(known))
            everybody = self.pins.totals()
            assert sum(everybody.pins.values()) >= len(self.everything)
            rows = [each.account for _, each in self.store.origins.all()]
            for account in self.pins_by_account:
                tally = self.pins.table.tally(txn, self.pins.table.accounts.find(txn, account))
                assert tally.origins == rows.count(account)

    def teardown(self) -> None:
        left_over, ended = list(self.pins.stream(None, Filter())), threading.Semaphore(0)
        for pin in left_over:
            self.pins.remove_soon(pin.account, pin.request_id, lambda _: ended.release())
        for _ in left_over:
            assert ended.acquire(timeout=60)
        left = {}
        with self.store.index.reading() as txn:
            for name in (
                "pins",
                "pinids",
                "pinstatus",
                "pinterms",
                "pinnames",
                "pinqueue",
                "pinexpiry",
                "pinwork",
            ):
                left[name] = txn.stat(self.store.index.table(name))["entries"]
        assert not any(left.values()), f"rows that nothing needs: {left}"
        self.store.close()
        shutil.rmtree(self.folder)


PinsMachine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPinsModel = PinsMachine.TestCase
