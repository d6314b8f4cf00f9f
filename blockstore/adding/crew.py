"""A few threads that do work in the order it was given, each piece of it on whichever is free.

Reading and hashing files leave Python's lock alone, so files are read side by side while one thread
decides. Work is dealt out in hands of many small pieces, because a small file takes less time than
waking a thread. What follows a piece (`then`) happens on the thread that gave it, in the order given.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from runtime.errors import Interrupted

Desk = TypeVar("Desk")  # what the pieces of one hand share
Result = TypeVar("Result")
# One per core, so that none idles while its neighbour waits for a disk; more only wait for Python's lock
_THREADS_MAX: Final = 4
HAND_PIECES: Final = 64
_HAND_BYTES: Final = 2 << 20  # a sixteenth of a commit
_AFTERS_MAX: Final = 4096  # things that wait for pieces before them
_HANDS_A_THREAD: Final = 4  # dealt ahead: with the bytes above, what is in memory beside the store's queue


class _Hand(Generic[Desk, Result]):
    """Pieces of work that one thread does one after another, and what they came to."""

    def __init__(self) -> None:
        self.pieces: list[Callable[[Desk], Result]] = []
        self.bytes = 0
        self.results: list[Result] = []
        self.failure: BaseException | None = None
        self.is_done = threading.Event()


class Crew(Generic[Desk, Result]):
    """The threads. Use as a context: leaving it stops them, at the next piece after a failure."""

    def __init__(
        self, begin: Callable[[Sequence[Callable[[Desk], Result]]], Desk], end: Callable[[Desk], None]
    ) -> None:
        """`begin` makes what the pieces of a hand share, `end` is given it after the last of them."""
        self._begin = begin
        self._end = end
        self._todo: deque[_Hand[Desk, Result]] = deque()
        self._work = threading.Condition()
        self._is_over = False
        self._hand: _Hand[Desk, Result] = _Hand()
        self._dealt: deque[_Hand[Desk, Result]] = deque()
        self._thens: deque[Callable[[Result], None] | None] = deque()  # None: one of `_afters`
        self._afters: deque[Callable[[], None]] = deque()
        count = min(_THREADS_MAX, max(2, os.cpu_count() or 1))
        self._dealt_max = count * _HANDS_A_THREAD
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Crew[Desk, Result]":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._work:
            self._is_over = True
            self._todo.clear()
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Raise Interrupted when the work is to stop; long pieces ask between two reads."""
        if self._is_over:
            raise Interrupted("given up")

    def give(self, piece: Callable[[Desk], Result], bytes_: int, then: Callable[[Result], None]) -> None:
        """Have `piece` done; `then` gets what it returned. Waits while much is underway.

        Raises what a piece before raised; nothing is done after that.
        """
        hand = self._hand
        hand.pieces.append(piece)
        hand.bytes += bytes_
        self._thens.append(then)
        if len(hand.pieces) >= HAND_PIECES or hand.bytes >= _HAND_BYTES:
            self._deal()

    def after(self, then: Callable[[], None]) -> None:
        """Have `then` called once everything given before has been seen to."""
        if not self._thens:
            then()
            return
        self._thens.append(None)
        self._afters.append(then)
        if len(self._afters) >= _AFTERS_MAX:
            self.finish()

    def finish(self) -> None:
        """Wait for all that was given."""
        self._deal()
        while self._thens:
            self._settle_first()

    def _deal(self) -> None:
        if self._hand.pieces:
            hand, self._hand = self._hand, _Hand()
            self._dealt.append(hand)
            with self._work:
                self._todo.append(hand)
                self._work.notify()
        while self._dealt and (self._dealt[0].is_done.is_set() or len(self._dealt) >= self._dealt_max):
            self._settle_first()

    def _settle_first(self) -> None:
        """Wait for the first hand, and call what follows its pieces."""
        if self._dealt:
            hand = self._dealt.popleft()
            hand.is_done.wait()
            for result in hand.results:
                then = self._thens.popleft()
                assert then is not None, "what waits for pieces is called right behind them"
                then(result)
                self._call_afters()
            if hand.failure is not None:
                raise hand.failure

    def _call_afters(self) -> None:
        while self._thens and self._thens[0] is None:
            self._thens.popleft()
            self._afters.popleft()()

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._todo and not self._is_over:
                    self._work.wait()
                if self._is_over:
                    return
                hand = self._todo.popleft()
            self._do(hand)

    def _do(self, hand: _Hand[Desk, Result]) -> None:
        try:
            desk = self._begin(hand.pieces)
            for piece in hand.pieces:
                self.check()
                hand.results.append(piece(desk))
            self._end(desk)
        except BaseException as failure:  # noqa: BLE001  # raised on the thread that gave the work
            hand.failure = failure
        hand.pieces = []
        hand.is_done.set()
