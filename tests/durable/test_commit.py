"""The two steps of a commit beside each other: what runs when, and failures that stay where they belong.

Jobs carry as many bytes as a commit may, so each is a batch of its own unless it is small.
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable import Change, Job, Txn
from runtime.errors import Conflict, EdgeError, StoreFull
from tests.durable.test_writer import Bench, Gate, put

COMMIT = 1000
WAIT_S = 10


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, commit_bytes=COMMIT, backlog_bytes=1 << 20)
    yield made
    made.close()


def then(change: Change, *more: Callable[[], object]) -> Change:
    """`change`, and after it in the same transaction what else is to happen."""

    def both(txn: Txn) -> None:
        change(txn)
        for each in more:
            each()

    return both


def waiting(event: threading.Event) -> Callable[[], None]:
    """What returns when `event` has come, and fails its transaction if it does not."""

    def wait() -> None:
        assert event.wait(WAIT_S)

    return wait


def empty_key(txn: Txn) -> None:
    """LMDB takes no empty key: the transaction is lost, with the neighbours' changes."""
    txn.put(b"", b"v")


class Outcomes:
    """How each job ended, in the order they did."""

    def __init__(self) -> None:
        self.seen: dict[str, EdgeError | None] = {}

    def of(self, name: str) -> Callable[[EdgeError | None], None]:
        return lambda error: self.seen.__setitem__(name, error)

    @property
    def failed(self) -> list[str]:
        return [name for name, error in self.seen.items() if error is not None]


def test_rows_are_committed_beside_the_content_of_the_next_batch(bench: Bench) -> None:
    next_began, threads = threading.Event(), set()
    gate = Gate(bench)
    rows = then(bench.put_index(b"1"), waiting(next_began), lambda: threads.add(threading.get_ident()))
    content = then(bench.put(b"2"), next_began.set, lambda: threads.add(threading.get_ident()))
    bench.writer.submit(Job(bench.put(b"1"), rows, COMMIT))
    bench.writer.submit(Job(content, bench.put_index(b"2"), COMMIT))
    gate.open.set()
    bench.writer.close()
    assert (bench.keys(bench.bulk), bench.keys(bench.index)) == ([b"1", b"2"], [b"1", b"2"])
    assert len(threads) == 2


def test_where_a_batch_brings_little_one_thread_does_both(bench: Bench) -> None:
    threads = set()
    gate = Gate(bench)
    for number in range(2000):  # more than one batch of small jobs
        rows = then(bench.put_index(b"%d" % number), lambda: threads.add(threading.get_ident()))
        bench.writer.submit(Job(index=rows, urgent=False))
    gate.open.set()
    bench.writer.close()
    assert len(bench.keys(bench.index)) == 2000
    assert len(threads) == 1


def test_a_row_waits_for_its_own_content_though_the_batch_before_is_under_way(bench: Bench) -> None:
    seen: list[list[bytes]] = []
    gate = Gate(bench)
    for number in range(6):
        rows = then(bench.put_index(b"%d" % number), lambda: seen.append(bench.keys(bench.bulk)))
        bench.writer.submit(Job(bench.put(b"%d" % number), rows, COMMIT))
    gate.open.set()
    bench.writer.close()
    assert [b"%d" % number in keys for number, keys in enumerate(seen)] == [True] * 6


def test_rows_of_a_batch_wait_until_those_before_are_told(bench: Bench) -> None:
    overtaken: list[bool] = []
    gate, next_rows = Gate(bench), threading.Event()

    def done(error: EdgeError | None) -> None:
        overtaken.append(next_rows.wait(0.2))

    bench.writer.submit(Job(bench.put(b"1"), bench.put_index(b"1"), COMMIT, done=done))
    rows = then(bench.put_index(b"2"), next_rows.set)
    bench.writer.submit(Job(bench.put(b"2"), rows, 1))  # so little that it needs no second thread
    gate.open.set()
    bench.writer.close()
    assert overtaken == [False]
    assert next_rows.is_set()


def test_room_is_given_back_when_content_is_stored_and_its_memory_let_go_of(bench: Bench) -> None:
    class Held(bytearray):
        pass

    held = Held(COMMIT)
    gone = weakref.ref(held)
    gate, next_began, proceed = Gate(bench), threading.Event(), threading.Event()

    rows = then(bench.put_index(b"1"), waiting(proceed))
    bench.writer.submit(Job(put(b"1", held), rows, COMMIT))
    del held
    bench.writer.submit(Job(then(bench.put(b"2"), next_began.set, waiting(proceed)), None, COMMIT))
    assert bench.writer.backlog_bytes == 2 * COMMIT
    gate.open.set()
    assert next_began.wait(WAIT_S)
    try:
        assert bench.writer.backlog_bytes == COMMIT
        assert gone() is None, "the content is on the disk: nobody needs its memory"
        assert bench.keys(bench.index) == []
    finally:
        proceed.set()


def test_rows_that_fail_beside_are_tried_again_alone_and_in_order(bench: Bench) -> None:
    outcomes, gate, next_began = Outcomes(), Gate(bench), threading.Event()
    runs: list[str] = []

    def job(name: str, rows: Change, held_bytes: int, content: Change | None = None) -> None:
        key = name.encode()
        noted = then(rows, lambda: runs.append(name))
        bench.writer.submit(Job(content or bench.put(key), noted, held_bytes, done=outcomes.of(name)))

    job("a", then(bench.put_index(b"a"), waiting(next_began)), 1)
    job("b", empty_key, 1)
    job("c", bench.put_index(b"c"), COMMIT)
    job("d", bench.put_index(b"d"), COMMIT, then(bench.put(b"d"), next_began.set))
    gate.open.set()
    bench.writer.close()
    assert outcomes.failed == ["b"]
    assert list(outcomes.seen) == ["a", "b", "c", "d"]
    assert runs == ["a", "a", "c", "d"]
    assert bench.keys(bench.index) == [b"a", b"c", b"d"]
    assert bench.keys(bench.bulk) == [b"a", b"b", b"c", b"d"], "content is stored whatever becomes of its row"


def test_no_content_is_written_while_rows_are_tried_again(bench: Bench) -> None:
    """What a deletion frees, or the ballast gave it, may not be taken by a neighbour before it ran."""
    outcomes, gate = Outcomes(), Gate(bench)
    next_began, again = threading.Event(), threading.Event()
    runs: list[int] = []
    beside: list[bool] = []

    def rows() -> None:
        assert next_began.wait(WAIT_S)
        runs.append(1)
        if len(runs) == 2:
            again.set()

    bench.writer.submit(Job(bench.put(b"1"), then(bench.put_index(b"1"), rows), 1, done=outcomes.of("1")))
    bench.writer.submit(Job(bench.put(b"2"), empty_key, COMMIT, done=outcomes.of("2")))
    content = then(bench.put(b"3"), next_began.set, lambda: beside.append(again.wait(0.2)))
    bench.writer.submit(Job(content, None, COMMIT, done=outcomes.of("3")))
    gate.open.set()
    bench.writer.close()
    assert (beside, len(runs)) == ([False], 2)
    assert outcomes.failed == ["2"]


def test_content_that_fails_beside_leaves_the_rows_before_it_alone(bench: Bench) -> None:
    outcomes, gate = Outcomes(), Gate(bench)
    next_failed = threading.Event()

    def fails(txn: Txn) -> None:
        next_failed.set()
        empty_key(txn)

    rows = then(bench.put_index(b"1"), waiting(next_failed))
    bench.writer.submit(Job(bench.put(b"1"), rows, COMMIT, done=outcomes.of("1")))
    bench.writer.submit(Job(bench.put(b"2"), bench.put_index(b"2"), 1, done=outcomes.of("2")))
    bench.writer.submit(Job(fails, bench.put_index(b"3"), 1, done=outcomes.of("3")))
    bench.writer.submit(Job(bench.put(b"4"), bench.put_index(b"4"), COMMIT, done=outcomes.of("4")))
    gate.open.set()
    bench.writer.close()
    assert outcomes.failed == ["3"]
    assert list(outcomes.seen) == ["1", "2", "3", "4"]
    assert bench.keys(bench.index) == bench.keys(bench.bulk) == [b"1", b"2", b"4"]


def test_both_steps_may_fail_at_once(bench: Bench) -> None:
    outcomes, gate = Outcomes(), Gate(bench)
    next_failed = threading.Event()

    def fails(txn: Txn) -> None:
        next_failed.set()
        empty_key(txn)

    def rows_fail(txn: Txn) -> None:
        assert next_failed.wait(WAIT_S)
        empty_key(txn)

    bench.writer.submit(Job(bench.put(b"1"), bench.put_index(b"1"), 1, done=outcomes.of("1")))
    bench.writer.submit(Job(bench.put(b"2"), rows_fail, COMMIT, done=outcomes.of("2")))
    bench.writer.submit(Job(bench.put(b"3"), bench.put_index(b"3"), 1, done=outcomes.of("3")))
    bench.writer.submit(Job(fails, bench.put_index(b"4"), COMMIT, done=outcomes.of("4")))
    gate.open.set()
    bench.writer.close()
    assert outcomes.failed == ["2", "4"]
    assert bench.keys(bench.index) == [b"1", b"3"]
    assert bench.keys(bench.bulk) == [b"1", b"2", b"3"]


def test_what_bulk_refused_stays_refused_when_rows_are_tried_again(bench: Bench) -> None:
    outcomes, gate = Outcomes(), Gate(bench)

    def refuse(txn: Txn) -> None:
        raise Conflict("no")

    bench.writer.submit(Job(refuse, bench.put_index(b"1"), 1, done=outcomes.of("1")))
    bench.writer.submit(Job(bench.put(b"2"), empty_key, 1, done=outcomes.of("2")))
    bench.writer.submit(Job(bench.put(b"3"), refuse, 1, done=outcomes.of("3")))
    bench.writer.submit(Job(bench.put(b"4"), bench.put_index(b"4"), COMMIT, done=outcomes.of("4")))
    gate.open.set()
    bench.writer.close()
    assert list(outcomes.seen) == ["1", "2", "3", "4"]
    assert outcomes.failed == ["1", "2", "3"]
    assert isinstance(outcomes.seen["1"], Conflict)
    assert isinstance(outcomes.seen["3"], Conflict)
    assert bench.keys(bench.index) == [b"4"]


def test_rows_without_room_in_their_map_fail_alone(bench: Bench) -> None:
    outcomes, gate, next_began = Outcomes(), Gate(bench), threading.Event()

    def too_large(txn: Txn) -> None:
        assert next_began.wait(WAIT_S)
        txn.put(b"1", bytes(1 << 25), db=bench.index.tables["t"])

    bench.writer.submit(Job(bench.put(b"1"), too_large, COMMIT, done=outcomes.of("1")))
    content = then(bench.put(b"2"), next_began.set)
    bench.writer.submit(Job(content, bench.put_index(b"2"), COMMIT, done=outcomes.of("2")))
    gate.open.set()
    bench.writer.close()
    assert outcomes.failed == ["1"]
    assert isinstance(outcomes.seen["1"], StoreFull)
    assert bench.keys(bench.index) == [b"2"]


def test_close_waits_for_rows_that_are_under_way(bench: Bench) -> None:
    outcomes, gate = Outcomes(), Gate(bench)
    next_ended, closing = threading.Event(), threading.Event()
    rows = then(bench.put_index(b"1"), waiting(closing))
    bench.writer.submit(Job(bench.put(b"1"), rows, COMMIT, done=outcomes.of("1")))
    content = then(bench.put(b"2"), next_ended.set)
    bench.writer.submit(Job(content, bench.put_index(b"2"), COMMIT, done=outcomes.of("2")))
    gate.open.set()
    assert next_ended.wait(WAIT_S)
    closer = threading.Thread(target=bench.writer.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()
    closing.set()
    closer.join(WAIT_S)
    assert not closer.is_alive()
    assert list(outcomes.seen) == ["1", "2"]
    assert bench.keys(bench.index) == [b"1", b"2"]


def test_neither_thread_of_the_writer_may_wait_for_it(bench: Bench) -> None:
    caught: list[str] = []

    def done(error: EdgeError | None) -> None:
        try:
            bench.writer.run(index=bench.put_index(b"x"))
        except AssertionError:
            caught.append(threading.current_thread().name)

    gate = Gate(bench)
    for key, held_bytes in ((b"1", COMMIT), (b"2", COMMIT), (b"3", 1)):
        bench.writer.submit(Job(bench.put(key), bench.put_index(key), held_bytes, done=done))
    gate.open.set()
    bench.writer.close()
    assert caught == ["store-publisher", "store-publisher", "store-writer"]


class Fault(Enum):
    """What is wrong with a job of the model."""

    NONE = "nothing"
    NO_CONTENT = "nothing, and it has no bulk change"
    NO_ROWS = "nothing, and it has no index change"
    REFUSES_CONTENT = "its bulk change refuses"
    REFUSES_ROWS = "its index change refuses"
    BREAKS_CONTENT = "its bulk change breaks the transaction"
    BREAKS_ROWS = "its index change breaks the transaction"

    @property
    def has_content(self) -> bool:
        return self in (Fault.NONE, Fault.NO_ROWS, Fault.REFUSES_ROWS, Fault.BREAKS_ROWS)

    @property
    def has_rows(self) -> bool:
        return self in (Fault.NONE, Fault.NO_CONTENT)

    @property
    def fails(self) -> bool:
        return not (self.has_rows or self is Fault.NO_ROWS)


class Model:
    """Jobs with faults, what they saw, and what must be true of it."""

    def __init__(self, bench: Bench, faults: list[tuple[Fault, bool]]) -> None:
        self.bench = bench
        self.faults = [fault for fault, _ in faults]
        self.ended: list[tuple[int, bool]] = []
        self.content_runs: list[int] = []
        self.row_runs: list[int] = []
        self.early: list[int] = []  # jobs whose rows ran before their content was committed
        gate = Gate(bench)
        for number, (fault, is_large) in enumerate(faults):
            bulk = None if fault is Fault.NO_CONTENT else self._change(number, bulk=True)
            index = None if fault is Fault.NO_ROWS else self._change(number, bulk=False)
            done = lambda error, number=number: self.ended.append((number, error is not None))  # noqa: E731
            bench.writer.submit(Job(bulk, index, COMMIT if is_large else 1, done=done))
        gate.open.set()
        bench.writer.close()

    def _change(self, number: int, *, bulk: bool) -> Change:
        key, fault = b"%04d" % number, self.faults[number]
        refuses, breaks = (
            (Fault.REFUSES_CONTENT, Fault.BREAKS_CONTENT) if bulk else (Fault.REFUSES_ROWS, Fault.BREAKS_ROWS)
        )

        def change(txn: Txn) -> None:
            (self.content_runs if bulk else self.row_runs).append(number)
            if not bulk and fault is not Fault.NO_CONTENT and key not in self.bench.keys(self.bench.bulk):
                self.early.append(number)
            if fault is refuses:
                raise Conflict("no")
            if fault is breaks:
                empty_key(txn)
            (self.bench.put(key) if bulk else self.bench.put_index(key))(txn)

        return change

    def check(self) -> None:
        every = list(enumerate(self.faults))
        assert self.ended == [(number, fault.fails) for number, fault in every]
        assert self.early == []
        content = [b"%04d" % number for number, fault in every if fault.has_content]
        rows = [b"%04d" % number for number, fault in every if fault.has_rows]
        assert self.bench.keys(self.bench.bulk) == content
        assert self.bench.keys(self.bench.index) == rows
        for runs in (self.content_runs, self.row_runs):
            last = {number: at for at, number in enumerate(runs)}
            assert sorted(last, key=last.__getitem__) == sorted(last), (
                "the last run of one came after a later one's"
            )


@settings(max_examples=60)
@given(faults=st.lists(st.tuples(st.sampled_from(Fault), st.booleans()), min_size=1, max_size=12))
def test_whatever_fails_order_and_neighbours_stand(
    faults: list[tuple[Fault, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("model"), commit_bytes=COMMIT, backlog_bytes=1 << 20)
    try:
        Model(bench, faults).check()
    finally:
        bench.close()
