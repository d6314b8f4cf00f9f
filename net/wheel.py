"""One coarse timer for all connections of a process: a wheel that is turned from outside.

Pure: it is told `now`. A connection carries its own deadline and may push it out as often as it
likes for the price of one attribute; the wheel looks again only when the old one comes due.
Called by `net.server`.
"""

from typing import Final, Protocol

UNWATCHED: Final = -1


class Timed(Protocol):
    """Anything with a deadline; `due_s` is its own, `wheel_turn` the wheel's (`UNWATCHED` at first)."""

    due_s: float
    wheel_turn: int


class Wheel:
    """Sets of timed things, one set a tick, reused every `slots` ticks."""

    def __init__(self, tick_s: float, slots: int, now_s: float) -> None:
        """`tick_s`: how late a deadline may be noticed. `slots` * `tick_s` should pass most deadlines."""
        self.tick_s = tick_s
        self._slots: list[set[Timed]] = [set() for _ in range(slots)]
        self._turn = int(now_s / tick_s)

    def place(self, timed: Timed) -> None:
        """Watch `timed` until its `due_s`; needed at first, and when `due_s` is pulled nearer."""
        turn = self._wanted(timed.due_s)
        if self._turn < timed.wheel_turn <= turn:
            return  # looked at early enough already
        self._slots[timed.wheel_turn % len(self._slots)].discard(timed)
        timed.wheel_turn = turn
        self._slots[turn % len(self._slots)].add(timed)

    def drop(self, timed: Timed) -> None:
        """Watch `timed` no longer."""
        self._slots[timed.wheel_turn % len(self._slots)].discard(timed)
        timed.wheel_turn = UNWATCHED

    def advance(self, now_s: float) -> list[Timed]:
        """All whose `due_s` has passed by `now_s`; they are no longer watched."""
        late: list[Timed] = []
        last = int(now_s / self.tick_s)
        # After a long stall one revolution visits every slot; more would only repeat it.
        first = max(self._turn + 1, last - len(self._slots) + 1)
        for turn in range(first, last + 1):
            self._turn = turn
            self._sift(turn % len(self._slots), now_s, late)
        return late

    def _sift(self, slot: int, now_s: float, late: list[Timed]) -> None:
        waiting, self._slots[slot] = self._slots[slot], set()
        for timed in waiting:
            if timed.due_s <= now_s:
                timed.wheel_turn = UNWATCHED
                late.append(timed)
            else:
                timed.wheel_turn = self._wanted(timed.due_s)
                self._slots[timed.wheel_turn % len(self._slots)].add(timed)

    def _wanted(self, due_s: float) -> int:
        """The turn at which a deadline is looked at: the first whole tick at or after it, at most
        one revolution away (a later deadline is looked at, and passed on, on the way)."""
        turn = -int(-due_s // self.tick_s)
        return min(max(turn, self._turn + 1), self._turn + len(self._slots))
