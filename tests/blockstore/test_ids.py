"""Storage ids: never twice, and running out of a range in full flight is no standstill."""

import threading
from collections.abc import Callable

import pytest

from blockstore import Store, ids
from tests.blockstore.conftest import Opener
from tests.blockstore.test_ingest import leaks_here

Content = Callable[[int], bytes]


def test_ids_of_a_process_and_of_the_next_are_all_different(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "RANGE_IDS", 3)
    seen: list[int] = []
    for _ in range(3):
        store = open_store()
        seen += [store.backing.ids.take() for _ in range(7)]
        store.close()
    assert len(set(seen)) == 21
    assert min(seen) >= 3


@pytest.mark.timeout(30)
def test_ranges_run_out_while_puts_are_under_way(
    store: Store, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "RANGE_IDS", 5)
    outcomes: list[object] = []
    finished = threading.Semaphore(0)

    def done(outcome: object) -> None:
        outcomes.append(outcome)
        finished.release()

    for round_ in range(2):  # the second time everything is there already
        for size in range(100):
            ingest = store.ingest()
            ingest.write(content(size))
            ingest.finish_soon(done)
        for _ in range(100):
            assert finished.acquire(timeout=10), f"round {round_} stands still"
    assert store.usage().blobs == 100
    store.sweep()
    assert leaks_here(store) == []


def test_content_that_vanishes_between_look_and_commit_is_written_after_all(
    store: Store, content: Content, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ids, "RANGE_IDS", 1)
    root = store.put_bytes(content(100)).root
    entered, leave = threading.Event(), threading.Event()

    def hold(txn: object) -> None:
        entered.set()
        assert leave.wait(10)

    holder = threading.Thread(target=lambda: store.backing.writer.run(index=hold))
    holder.start()
    assert entered.wait(10)
    remover = threading.Thread(target=lambda: store.rm(root))
    remover.start()
    while not store.backing.writer.queued_jobs:
        pass
    answers: list[object] = []
    finished = threading.Event()

    def done(outcome: object) -> None:
        answers.append(outcome)
        finished.set()

    ingest = store.ingest()
    ingest._take_id = lambda: 1 << 50  # type: ignore[method-assign]  # the writer is held: no range can be had
    ingest._storage_id = 1 << 50
    ingest.write(content(100))
    ingest.finish_soon(done)  # the blob is still there when it looks, and gone when it lands
    leave.set()
    assert finished.wait(10)
    holder.join()
    remover.join()
    assert not getattr(answers[0], "already", True)
    assert store.blob(root).read(0, 100) == content(100)
