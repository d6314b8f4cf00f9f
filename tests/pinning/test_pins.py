"""Pins over a real store: the contract of their ports, and what only the store can show."""

import subprocess
import sys
import threading
from pathlib import Path

import lmdb
import pytest

from blockstore import Durability, Root, Store, StoreSettings
from content.block import Block
from content.cid import DAG_PB, RAW, Cid
from durable import Txn
from pinning import bitmaps
from pinning.pin import Filter, Pin, Progress, Status, Wish
from pinning.pins import BATCH_MAX, STREAM_PAGE, Pins
from runtime.errors import BadRequest, EdgeError, NotFound, QuotaExceeded
from tests.pinning.book_contract import BookContract, cid, named
from tests.pinning.conftest import QUICK, HandClock

PIN_TABLES = (
    "pinaccounts",
    "pins",
    "pinids",
    "pinstatus",
    "pinterms",
    "pinnames",
    "pinqueue",
    "pinexpiry",
    "pinwork",
)
ADDER = """
import sys
from pathlib import Path
from blockstore import Durability, Root, Store, StoreSettings
from pinning.pins import Pins
from tests.pinning.book_contract import named
with Store.open(Path(sys.argv[1]), StoreSettings(durability=Durability.NONE)) as store:
    pins = Pins(store)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        print(pins.add(sys.argv[3], named(number, sys.argv[4])).request_id)
"""


class TestPins(BookContract):
    """`pinning.pins.Pins`."""


def entries(store: Store) -> dict[str, int]:
    with store.index.reading() as txn:
        names = (*PIN_TABLES, "dagroots")
        return {name: txn.stat(store.index.table(name))["entries"] for name in names}


def test_an_accepted_pin_keeps_its_blocks_from_gc_and_a_removed_one_does_not(
    store: Store, pins: Pins, clock: HandClock
) -> None:
    block = Block.sealed(RAW, b"kept")
    store.dag.put([block])
    pin = pins.add("a", Wish(block.cid))
    clock.now += 1000
    store.sweep()
    assert store.dag.read(block.cid) == b"kept"
    pins.remove("a", pin.request_id)
    store.sweep()
    assert not store.dag.has(block.cid)


def test_gc_frees_what_only_an_expired_pin_kept_before_anybody_ran_expire(
    store: Store, pins: Pins, clock: HandClock
) -> None:
    block = Block.sealed(RAW, b"kept")
    store.dag.put([block])
    pins.add("a", Wish(block.cid, expires_s=clock.now + 500))
    clock.now += 499
    store.sweep()
    assert store.dag.has(block.cid)
    clock.now += 2
    store.sweep()
    assert not store.dag.has(block.cid)
    assert pins.expire(clock.now, 10) == 1


def test_a_failed_pin_keeps_nothing(store: Store, pins: Pins, clock: HandClock) -> None:
    block = Block.sealed(RAW, b"half of it")
    store.dag.put([block])
    pins.failed(pins.add("a", Wish(block.cid)).request_id, "the other half is nowhere")
    clock.now += 1000
    store.sweep()
    assert not store.dag.has(block.cid)


def test_blobs_an_account_has_put_count_for_its_quota(store: Store, pins: Pins) -> None:
    store.put_bytes(bytes(100), root=Root.account("a"))
    assert pins.usage("a").bytes_ == 100
    with pytest.raises(QuotaExceeded):
        pins.add("a", named(1), quota_bytes=100)
    pins.add("a", named(1), quota_bytes=101)


def test_two_processes_and_two_threads_lose_no_pin_and_repeat_no_time(tmp_path: Path) -> None:
    data, count = tmp_path / "data", 150
    settings = StoreSettings(durability=Durability.NONE)
    with Store.open(data, settings) as store:
        pins = Pins(store)
        command = [sys.executable, "-c", ADDER, str(data), str(count)]
        others = [
            subprocess.Popen(
                [*command, account, "theirs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for account in ("shared", "other")
        ]
        for process in others:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        mine: list[list[str]] = [[], []]

        def add(which: int) -> None:
            mine[which] += [pins.add("shared", named(number, "mine")).request_id for number in range(count)]

        threads = [threading.Thread(target=add, args=(which,)) for which in (0, 1)]
        for process in others:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for thread in threads:
            thread.start()
        theirs = [process.communicate()[0].split() for process in others]
        for thread in threads:
            thread.join()
        assert [process.returncode for process in others] == [0, 0]
        shared = list(pins.stream("shared", Filter()))
        everything = list(pins.stream(None, Filter()))
        assert {pin.request_id for pin in shared} == {*mine[0], *mine[1], *theirs[0]}
        assert len(everything) == 4 * count
        created = [pin.created_ns for pin in everything]
        assert created == sorted(set(created), reverse=True)
        assert pins.page("shared", Filter(name="theirs"), 1).count == count
        assert pins.page("shared", Filter(), 1).count == 3 * count


def test_times_increase_though_the_clock_steps_back(pins: Pins, clock: HandClock) -> None:
    first = pins.add("a", named(1))
    clock.now -= 3600
    second = pins.add("b", named(2))
    assert second.created_ns > first.created_ns


def test_a_count_goes_down_with_what_it_counted(pins: Pins) -> None:
    made = pins.add_many("a", [named(number) for number in range(600)])
    for pin in made[::100]:
        pins.remove("a", pin.request_id)
    pins.pinned(made[1].request_id, 1, 1)
    assert pins.page("a", Filter(), 1).count == 594
    assert pins.page("a", Filter(statuses=frozenset((Status.QUEUED,))), 1).count == 593
    assert pins.usage("a").pins[Status.QUEUED] == 593
    assert pins.page("a", Filter(before_ns=made[300].created_ns), 1).count == 297
    assert pins.page("a", Filter(after_ns=made[300].created_ns), 1).count == 297


def test_ten_thousand_pins_delay_those_of_others_by_a_turn(pins: Pins) -> None:
    for _ in range(10):
        pins.add_many("many", [named(number) for number in range(1000)])
    single = [pins.add(account, named(1)).request_id for account in ("one", "two")]
    assert {pin.request_id for pin in pins.due(2e9, 3)} > set(single)
    busy = [pin.request_id for pin in pins.due(2e9, 4) if pin.account == "many"]
    assert [pin.request_id for pin in pins.due(2e9, 2, busy)] in (single, single[::-1])
    assert [pins.due(2e9, 1)[0].account for _ in range(6)].count("many") == 2, (
        "calls go on where the last ended"
    )


def test_cid_v0_and_v1_of_a_block_are_one_root(pins: Pins) -> None:
    v1 = cid(1, DAG_PB)
    made = [pins.add("a", Wish(each)) for each in (v1, Cid.v0(v1.multihash))]
    assert [pin.wish.cid.version for pin in made] == [1, 0], "and come back as they were asked for"
    assert pins.page("a", Filter(cids=(v1,)), 10).count == 2
    for pin in made:
        pins.pinned(pin.request_id, 70, 60)
    assert pins.usage("a").bytes_ == 70
    pins.remove("a", made[0].request_id)
    assert pins.usage("a").bytes_ == 70


def test_a_request_id_of_another_account_is_not_found(pins: Pins) -> None:
    pin = pins.add("a", named(1))
    for ask in (pins.get, pins.remove):
        with pytest.raises(NotFound):
            ask("b", pin.request_id)
    assert pins.get("a", pin.request_id) == pin


def test_the_random_part_of_a_request_id_is_looked_at(pins: Pins) -> None:
    pin = pins.add("a", named(1))
    guessed = pin.request_id[:-1] + ("0" if pin.request_id[-1] != "0" else "1")
    with pytest.raises(NotFound):
        pins.get("a", guessed)
    assert pins.begin(guessed) is None


def test_changes_are_seen_by_another_process(store: Store, pins: Pins) -> None:
    before = pins.changes()
    command = [sys.executable, "-c", ADDER, str(store.backing.index.path.parent), "1", "a", "x"]
    subprocess.run(command, input="\n", check=True, stdout=subprocess.PIPE, text=True)
    assert pins.changes() != before


def test_a_list_holds_no_snapshot_between_pages(store: Store, pins: Pins) -> None:
    pins.add_many("a", [named(number) for number in range(STREAM_PAGE + 10)])

    def reading() -> bool:
        lines = store.backing.index._env.readers().splitlines()[1:]
        return any(not line.rstrip().endswith("-") for line in lines)

    listing = pins.stream("a", Filter())
    next(listing)
    assert not reading()
    with store.index.reading():
        assert reading(), "this is how it would show"
    added = pins.add("a", named(9999))
    rest = list(listing)
    assert len(rest) == STREAM_PAGE + 9, "what came later is not in a list that has begun"
    assert added not in rest


def test_a_row_that_cannot_be_read_stops_its_change_whole_and_no_other(store: Store, pins: Pins) -> None:
    pins.add("a", named(1, "x"))
    table = store.index.table("pinterms")
    with store.index.reading() as txn:
        number = pins.table.accounts.number(txn, "a")
        assert number is not None
        key = bitmaps.term_prefix(number, bitmaps.cid_term(cid(1))) + bytes(4)
        assert txn.get(key, db=table) is not None

    def damage(txn: Txn) -> None:
        txn.put(key, b"damaged row", db=table)

    store.index.change(damage)
    before, changes = entries(store), pins.changes()
    outcomes: list[object] = []
    ended = threading.Semaphore(0)

    def done(outcome: object) -> None:
        outcomes.append(outcome)
        ended.release()

    hold = threading.Event()

    def held(_: Txn) -> None:
        hold.wait(10)

    store.index.change_soon(held, lambda error: None)
    for wish in (named(2), named(1, "new name"), named(3)):
        pins.add_soon("a", wish, done)  # one batch, behind what is held
    hold.set()
    for _ in range(3):
        assert ended.acquire(timeout=10)
    assert [isinstance(outcome, EdgeError) for outcome in outcomes] == [False, True, False]
    after = entries(store)
    assert after["pins"] == before["pins"] + 2
    assert after["pinids"] == before["pinids"] + 2
    assert after["dagroots"] == before["dagroots"] + 2
    assert pins.changes() == changes + 2
    assert pins.page("a", Filter(), 10).count == 3


def test_progress_is_written_with_the_next_commit_and_found_after_reopening(
    tmp_path: Path, clock: HandClock
) -> None:
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        pins = Pins(store)
        pin = pins.add("a", named(1))
        pins.begin(pin.request_id)
        assert pins.progress(pin.request_id, Progress(1, 2, 3), b"old")
        assert pins.progress(pin.request_id, Progress(10, 20, 30), b"cursor")
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        pins = Pins(store)
        assert pins.cursor(pin.request_id) == b"cursor"
        assert pins.get("a", pin.request_id).progress == Progress(10, 20, 30)
        assert [each.request_id for each in pins.due(clock.now, 10)] == [pin.request_id], "interrupted"
        pins.pinned(pin.request_id, 1, 1)
        assert entries(store)["pinwork"] == 0


def test_soon_forms_tell_of_refusals(pins: Pins) -> None:
    heard: list[object] = []
    ended = threading.Semaphore(0)

    def done(outcome: object) -> None:
        heard.append(outcome)
        ended.release()

    with pytest.raises(BadRequest):
        pins.add_soon("a", named(1, "x" * 256), done)
    pins.add_soon("a", named(1), done, quota_bytes=0)
    pins.remove_soon("a", "0" * 32, done)
    pins.replace_soon("a", "0" * 32, named(1), done)
    pins.add_soon("a", named(1), done)
    for _ in range(4):
        assert ended.acquire(timeout=10)
    assert [type(each) for each in heard] == [QuotaExceeded, NotFound, NotFound, Pin]


def test_a_batch_is_bounded_and_all_or_nothing(pins: Pins) -> None:
    with pytest.raises(BadRequest):
        pins.add_many("a", [named(1)] * (BATCH_MAX + 1))
    with pytest.raises(BadRequest):
        pins.add_many("a", [])
    with pytest.raises(BadRequest):
        pins.add_many("a", [named(1), named(2, "x" * 256)])
    assert pins.page("a", Filter(), 1).count == 0


def test_a_root_counts_from_the_first_pin_that_has_it(pins: Pins) -> None:
    first, again, others = pins.add("a", named(1)), pins.add("a", named(1)), pins.add("b", named(1))
    assert not pins.is_counted(first.request_id)
    pins.begin(first.request_id)
    pins.pinned(first.request_id, 10, 10)
    assert pins.is_counted(again.request_id)
    assert not pins.is_counted(others.request_id)
    assert not pins.is_counted("0" * 32)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_is_bounded(pins: Pins, limit: int) -> None:
    with pytest.raises(BadRequest):
        pins.page("a", Filter(), limit)


def test_a_store_from_before_pins_takes_them(tmp_path: Path, clock: HandClock) -> None:
    block = Block.sealed(RAW, b"older")
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        store.dag.put([block])
    with lmdb.open(str(tmp_path / "data" / "index"), max_dbs=64) as environment:
        for name in PIN_TABLES:
            table = environment.open_db(name.encode())
            with environment.begin(write=True) as txn:
                txn.drop(table)
    with Store.open(tmp_path / "data", QUICK, clock) as store:
        pins = Pins(store)
        assert pins.page("a", Filter(), 10).count == 0
        assert pins.usage("a").bytes_ == 0
        pins.add("a", Wish(block.cid))
        assert store.dag.read(block.cid) == b"older"
