"""How many pins and origins an account may have, and that stores of before are counted."""

from pathlib import Path

import lmdb
import pytest

from blockstore import Store
from pinning.accounts import Tally
from pinning.limits import PinLimits
from pinning.pin import Status, Wish
from pinning.pins import Pins
from runtime.errors import QuotaExceeded
from tests.pinning.book_contract import cid, named
from tests.pinning.conftest import QUICK, HandClock


def tally(pins: Pins, store: Store, account: str = "a") -> Tally:
    with store.index.reading() as txn:
        return pins.table.tally(txn, pins.table.accounts.find(txn, account))


def test_pins_that_wait_are_limited_and_each_that_ends_makes_room(store: Store) -> None:
    pins = Pins(store, PinLimits(open_max=2))
    first, second = pins.add_many("a", [named(1), named(2)])
    with pytest.raises(QuotaExceeded, match="has 2 pins that wait"):
        pins.add("a", named(3))
    pins.add("b", named(3))  # another account's are its own
    pins.begin(first.request_id)
    with pytest.raises(QuotaExceeded):
        pins.add("a", named(3))
    pins.pinned(first.request_id, 1, 1)
    third = pins.add("a", named(3))
    pins.failed(second.request_id, "gone")
    pins.add("a", named(4))
    with pytest.raises(QuotaExceeded):
        pins.add("a", named(5))
    pins.remove("a", third.request_id)
    pins.add("a", named(5))


def test_a_replacement_counts_for_what_it_adds(store: Store) -> None:
    pins = Pins(store, PinLimits(open_max=1, pins_max=2))
    done = pins.add("a", named(1))
    pins.begin(done.request_id)
    pins.pinned(done.request_id, 1, 1)
    waits = pins.add("a", named(2))
    waits = pins.replace("a", waits.request_id, named(3))
    with pytest.raises(QuotaExceeded):
        pins.replace("a", done.request_id, named(4))
    done = pins.replace("a", done.request_id, named(1, "the same content"))
    with pytest.raises(QuotaExceeded, match="2 pins; at most 2"):
        pins.add("a", named(5))
    assert tally(pins, store) == Tally(1, 2, 0)
    pins.remove("a", waits.request_id)
    pins.replace("a", done.request_id, named(6))
    assert tally(pins, store) == Tally(1, 1, 0)


def test_a_batch_beyond_a_limit_is_refused_whole(store: Store) -> None:
    pins = Pins(store, PinLimits(pins_max=3))
    with pytest.raises(QuotaExceeded):
        pins.add_many("a", [named(number) for number in range(4)])
    assert tally(pins, store) == Tally()


def test_origins_beyond_the_limit_stay_with_their_pin_alone(store: Store) -> None:
    pins = Pins(store, PinLimits(origins_max=3))
    places = ("https://a.example/x", "https://b.example/x")
    for number in (1, 2, 3):
        pin = pins.add("a", Wish(cid(number), origins=places))
        assert pins.get("a", pin.request_id).wish.origins == places
    pins.add("a", Wish(cid(1), origins=places))  # known already
    kept = [name for name, _ in store.origins.all()]
    assert kept == [cid(1).multihash, cid(1).multihash, cid(2).multihash]
    assert tally(pins, store).origins == 3


def test_what_a_store_of_before_has_is_counted_once(tmp_path: Path, clock: HandClock) -> None:
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        made = Pins(store).add_many("a", [named(number) for number in range(300)])
        for pin in made[:10]:
            Pins(store).begin(pin.request_id)
            Pins(store).pinned(pin.request_id, 1, 1)
    with lmdb.open(str(tmp_path / "data" / "index"), max_dbs=64) as environment:
        table = environment.open_db(b"pinaccounts")
        with environment.begin(write=True) as txn:
            cursor = txn.cursor(table)
            assert cursor.set_range(b"\x03")
            assert cursor.delete()
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        pins = Pins(store, PinLimits(open_max=291))
        assert tally(pins, store) == Tally(290, 300)
        pins.add("a", named(400))
        with pytest.raises(QuotaExceeded):
            pins.add("a", named(401))
        pins.remove("a", made[0].request_id)
        assert tally(pins, store) == Tally(291, 300)


def test_totals_are_those_of_all_accounts(store: Store) -> None:
    pins = Pins(store)
    for number in range(70):
        made = pins.add(f"account {number}", named(number))
        pins.add(f"account {number}", named(1000 + number))
        if number % 2:
            pins.begin(made.request_id)
            pins.pinned(made.request_id, 10, 10)
    found = pins.totals()
    assert found.pins == {
        Status.QUEUED: 105, Status.PINNING: 0, Status.PINNED: 35, Status.FAILED: 0
    }  # fmt: skip
    assert found.bytes_ == 350
