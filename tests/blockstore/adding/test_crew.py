"""A crew does pieces side by side and says what they came to in the order given."""

import threading

import pytest

from blockstore.adding.crew import Crew
from runtime.errors import Interrupted, UsageError


def crew() -> Crew[list[int], int]:
    return Crew(lambda pieces: [], lambda desk: desk.clear())


def test_what_follows_a_piece_comes_in_the_order_given() -> None:
    heard: list[object] = []
    first_may_end = threading.Event()

    def slow(desk: list[int]) -> int:
        first_may_end.wait()
        return -1

    with crew() as workers:
        workers.give(slow, 4 << 20, heard.append)
        workers.after(lambda: heard.append("after the slow one"))
        for index in range(100):
            workers.give(lambda _, index=index: index, 1 << 16, heard.append)  # type: ignore[misc]
        assert heard == []
        first_may_end.set()
        workers.after(lambda: heard.append("last"))
        workers.finish()
    assert heard == [-1, "after the slow one", *range(100), "last"]


def test_what_waits_for_nothing_is_called_at_once() -> None:
    heard: list[str] = []
    with crew() as workers:
        workers.after(lambda: heard.append("now"))
        assert heard == ["now"]


def test_a_failure_comes_in_its_turn_and_ends_the_work() -> None:
    heard: list[int] = []

    def fail(_: list[int]) -> int:
        raise UsageError("this one", where="third")

    with pytest.raises(UsageError, match="this one"), crew() as workers:
        for index in range(2):
            workers.give(lambda _, index=index: index, 1, heard.append)  # type: ignore[misc]
        workers.give(fail, 1, heard.append)
        workers.give(lambda _: 3, 1, heard.append)
        workers.finish()
    assert heard == [0, 1]


def test_leaving_early_stops_what_is_underway() -> None:
    started = threading.Event()
    stopped: list[BaseException] = []

    with pytest.raises(KeyboardInterrupt), crew() as workers:

        def until_stopped(_: list[int]) -> int:
            started.set()
            try:
                while True:
                    workers.check()
            except Interrupted as error:
                stopped.append(error)
                raise

        workers.give(until_stopped, 4 << 20, lambda _: None)
        started.wait()
        raise KeyboardInterrupt
    assert len(stopped) == 1


def test_pieces_ahead_are_bounded() -> None:
    """A piece is begun only a bounded number of hands before what it came to is asked for."""
    begun = 0
    release = threading.Event()
    heard: list[int] = []

    def piece(_: list[int]) -> int:
        nonlocal begun
        begun += 1
        return begun

    def first(_: list[int]) -> int:
        release.wait()
        return 0

    with crew() as workers:
        workers.give(first, 4 << 20, heard.append)
        giver_done = threading.Event()

        def give_many() -> None:
            for _ in range(200):
                workers.give(piece, 4 << 20, heard.append)
            workers.finish()
            giver_done.set()

        giver = threading.Thread(target=give_many)
        giver.start()
        assert not giver_done.wait(0.2)
        assert begun <= 16
        release.set()
        giver.join()
    assert heard[0] == 0
    assert len(heard) == 201
