"""The writer: order, grouping, failures that stay with their own job, bounded waiting."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable import Environment, Extents, GroupWriter, Job, Packs, Txn
from runtime.clock import SystemClock
from runtime.errors import Conflict, EdgeError, Interrupted, StoreFull


def put(key: bytes, value: bytes | bytearray) -> Callable[[Txn], None]:
    def change(txn: Txn) -> None:
        txn.put(key, value)

    return change


class Bench:
    """Two small environments and a writer over them."""

    def __init__(self, folder: Path, *, commit_bytes: int = 1 << 20, backlog_bytes: int = 1 << 20) -> None:
        self.bulk = Environment.open(folder / "bulk", map_bytes=1 << 24, max_readers=32)
        self.index = Environment.open(folder / "index", map_bytes=1 << 24, tables=["t"], max_readers=32)
        self.extents = Extents(folder / "extents", synced=True, announce=lambda: None)
        self.packs = Packs(folder / "packs", synced=True, announce=lambda: None)
        self.writer = GroupWriter(
            self.bulk,
            self.index,
            self.extents,
            self.packs,
            SystemClock(),
            commit_bytes=commit_bytes,
            backlog_bytes=backlog_bytes,
            linger_s=0.01,
        )

    def keys(self, environment: Environment) -> list[bytes]:
        with environment.reading() as txn:
            cursor = txn.cursor(environment.tables["t"]) if environment.tables else txn.cursor()
            found, keys = cursor.first(), []
            while found:
                keys.append(cursor.key())
                found = cursor.next()
        return keys

    def commits(self) -> tuple[int, int]:
        return tuple(each._env.info()["last_txnid"] for each in (self.bulk, self.index))  # type: ignore[return-value]

    def put(self, key: bytes) -> Callable[[Txn], None]:
        return put(key, b"v")

    def put_index(self, key: bytes) -> Callable[[Txn], None]:
        def change(txn: Txn) -> None:
            txn.put(key, b"v", db=self.index.tables["t"])

        return change

    def close(self) -> None:
        if self.writer.is_open:
            self.writer.close()
        self.bulk.close()
        self.index.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


class Gate:
    """A job that holds the writer until opened, so that others gather behind it."""

    def __init__(self, bench: Bench) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        bench.writer.submit(Job(index=self._hold))
        assert self.entered.wait(10)

    def _hold(self, txn: Txn) -> None:
        self.entered.set()
        assert self.open.wait(10)


def test_run_returns_after_both_changes_are_committed(bench: Bench) -> None:
    bench.writer.run(bulk=bench.put(b"b"), index=bench.put_index(b"i"))
    assert (bench.keys(bench.bulk), bench.keys(bench.index)) == ([b"b"], [b"i"])


def test_the_bulk_change_is_on_the_disk_before_the_index_change_begins(bench: Bench) -> None:
    seen: list[list[bytes]] = []

    def index(txn: Txn) -> None:
        seen.append(bench.keys(bench.bulk))
        bench.put_index(b"i")(txn)

    bench.writer.run(bulk=bench.put(b"b"), index=index)
    assert seen == [[b"b"]]


def test_jobs_that_gather_share_two_commits(bench: Bench) -> None:
    gate = Gate(bench)
    finished = threading.Semaphore(0)
    for number in range(100):
        key = b"%03d" % number
        bench.writer.submit(
            Job(bench.put(key), bench.put_index(key), done=lambda error: finished.release()), wait=False
        )
    before = bench.commits()
    gate.open.set()
    for _ in range(100):
        assert finished.acquire(timeout=10)
    after = bench.commits()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert len(bench.keys(bench.index)) == 100


def test_a_job_that_refuses_fails_alone(bench: Bench) -> None:
    gate = Gate(bench)
    outcomes: dict[str, EdgeError | None] = {}

    def refuse(txn: Txn) -> None:
        raise Conflict("no")

    def note(name: str) -> Callable[[EdgeError | None], None]:
        return lambda error: outcomes.__setitem__(name, error)

    bench.writer.submit(Job(bench.put(b"1"), bench.put_index(b"1"), done=note("one")))
    bench.writer.submit(Job(bench.put(b"2"), refuse, done=note("two")))
    bench.writer.submit(Job(refuse, bench.put_index(b"3"), done=note("three")))
    bench.writer.submit(Job(bench.put(b"4"), bench.put_index(b"4"), done=note("four")))
    gate.open.set()
    bench.writer.run(index=bench.put_index(b"5"))
    assert (outcomes["one"], outcomes["four"]) == (None, None)
    assert isinstance(outcomes["two"], Conflict)
    assert isinstance(outcomes["three"], Conflict)
    assert bench.keys(bench.index) == [b"1", b"4", b"5"]


def test_a_job_that_breaks_the_transaction_fails_alone(bench: Bench) -> None:
    gate = Gate(bench)
    outcomes: list[EdgeError | None] = []
    for number in range(5):
        key = b"" if number == 2 else b"%d" % number  # an empty key is an LMDB error
        bench.writer.submit(Job(bench.put(key), bench.put_index(b"%d" % number), done=outcomes.append))
    gate.open.set()
    bench.writer.run(index=bench.put_index(b"end"))
    assert [error is None for error in outcomes] == [True, True, False, True, True]
    assert bench.keys(bench.index) == [b"0", b"1", b"3", b"4", b"end"]
    assert bench.keys(bench.bulk) == [b"0", b"1", b"3", b"4"]


def test_a_map_without_room_is_store_full_and_the_next_small_change_works(bench: Bench) -> None:
    with pytest.raises(StoreFull):
        bench.writer.run(bulk=put(b"big", bytes(1 << 25)))
    bench.writer.run(bulk=bench.put(b"small"))
    assert bench.keys(bench.bulk) == [b"small"]


def test_submit_waits_while_the_backlog_is_full_and_ready_calls_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path, commit_bytes=1000, backlog_bytes=1000)
    gate = Gate(bench)
    called, passed = threading.Event(), threading.Event()
    bench.writer.ready(called.set)
    assert called.is_set()
    called.clear()
    bench.writer.submit(Job(bench.put(b"1"), held_bytes=1000, urgent=False))
    assert not bench.writer.has_room
    assert bench.writer.backlog_bytes == 1000
    bench.writer.ready(called.set)

    def late() -> None:
        bench.writer.submit(Job(bench.put(b"2"), held_bytes=1000, urgent=False))
        passed.set()

    thread = threading.Thread(target=late)
    thread.start()
    assert not passed.wait(0.05)
    assert not called.is_set()
    gate.open.set()
    assert passed.wait(10)
    assert called.wait(10)
    thread.join()
    bench.close()


def test_content_nobody_waits_for_is_committed_after_the_linger(bench: Bench) -> None:
    done = threading.Event()
    bench.writer.submit(Job(bench.put(b"b"), held_bytes=10, urgent=False, done=lambda error: done.set()))
    assert done.wait(10)
    assert bench.keys(bench.bulk) == [b"b"]


def test_close_commits_what_is_queued_and_refuses_more(bench: Bench) -> None:
    for number in range(50):
        bench.writer.submit(Job(bench.put(b"%d" % number), urgent=False))
    bench.writer.close()
    assert len(bench.keys(bench.bulk)) == 50
    with pytest.raises(Interrupted):
        bench.writer.run(index=bench.put_index(b"late"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_callback_that_raises_does_not_stop_the_writer(bench: Bench) -> None:
    def broken(error: EdgeError | None) -> None:
        raise RuntimeError("a caller's fault")

    bench.writer.submit(Job(index=bench.put_index(b"1"), done=broken))
    bench.writer.run(index=bench.put_index(b"2"))
    assert bench.keys(bench.index) == [b"1", b"2"]


def test_the_writer_thread_may_not_wait_for_itself(bench: Bench) -> None:
    caught: list[BaseException] = []

    def done(error: EdgeError | None) -> None:
        try:
            bench.writer.run(index=bench.put_index(b"x"))
        except AssertionError as fault:
            caught.append(fault)

    bench.writer.submit(Job(index=bench.put_index(b"1"), done=done))
    bench.writer.run(index=bench.put_index(b"2"))
    assert len(caught) == 1


@pytest.mark.parametrize("ends", ["well", "refused", "broken"])
def test_who_reads_on_and_on_gives_way_to_a_change_that_runs(bench: Bench, ends: str) -> None:
    begun, go = threading.Event(), threading.Event()
    ended: list[EdgeError | None] = []

    def change(txn: Txn) -> None:
        begun.set()
        assert go.wait(20)
        if ends == "refused":
            raise Conflict("no")
        if ends == "broken":
            raise RuntimeError("a bug")

    done = threading.Event()

    def heard(error: EdgeError | None) -> None:
        ended.append(error)
        done.set()

    assert bench.writer.give_way(0.0)
    bench.writer.submit(Job(index=change, urgent=True, done=heard))
    assert begun.wait(20)
    assert not bench.writer.give_way(0.0)
    assert not bench.writer.give_way(0.001)
    go.set()
    assert bench.writer.give_way(20)
    assert done.wait(20)
    assert (ended[0] is None) == (ends == "well")
    assert bench.writer.give_way(0.0)
