"""Brings what is pinned here: takes pins whose turn it is, some at once, and says what became of each.

Theory of operation. Pins are taken from `PinWork` and worked on by an `Attempt` each. Who has fewest pins at
work goes first, then who waited longest; one account has at most a few at work. Where every place is taken,
a pin that has been at work for long makes room for an account that has none: it goes on later from its
cursor. What a try raises decides whether there is another one, later each time, or none.

Invariants
 1. At most `at_once` pins are at work, `at_once_per_account` of one account, one for a root.
 2. A pin ends pinned, failed with a reason, removed, or queued for a later try; tries are bounded.
 3. A pin that is removed is let go of within a second, and at once when it is waited for.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from blockstore.presence import present
from pinning.attempt import Attempt, Means, Whole
from pinning.fetch_ports import Quotas
from pinning.meter import PinMeter
from pinning.pin import Pin
from pinning.ports import End
from pinning.reasons import OFFLINE, explain, given_up, is_final, waiting
from runtime.errors import EdgeError, NotFound, QuotaExceeded, SourceTimeout, Unreachable

log = logging.getLogger("fleek.pinning")

# How soon a pin that another process accepted is noticed: one look costs 3 us
_POLL_S: Final = 0.05
# The same while nothing is queued: twenty wakes a second are what an idle node is made of
_REST_POLL_S: Final = 0.2
# Retries come due without anything changing
_DUE_S: Final = 0.5
# Offline a look at a root and its share of a commit take 0.1 ms; a hundred thousand pins have their turn in
# a hundred seconds, at a tenth of a core
_OFFLINE_AT_ONCE: Final = 512
_EXPIRE_S: Final = 5.0
_EXPIRE_AT_ONCE: Final = 256
# Doubling stops mattering long before
_DOUBLINGS_MAX: Final = 32
# Accounts whose last turn is remembered
_ACCOUNTS_MAX: Final = 4096


@dataclass(slots=True, eq=False)
class _AtWork:
    """A pin that is worked on."""

    pin: Pin
    started_s: float
    task: "asyncio.Task[None]"
    attempt: Attempt


class PinWorker:
    """The worker of one node."""

    def __init__(
        self,
        means: Means,
        quotas: Quotas,
        chance: Callable[[], float] = random.random,
        meter: PinMeter | None = None,
    ) -> None:
        """`chance`: a number in [0, 1), for the jitter between tries; `meter`: is told how they end."""
        self._meter = meter
        self._means, self._quotas, self._chance = means, quotas, chance
        self._work, self._settings, self._clock = means.work, means.settings, means.clock
        self._at_work: dict[str, _AtWork] = {}
        self._turns: dict[str, float] = {}  # account -> when its last pin was begun
        self._wake = asyncio.Event()
        self._seen: int | None = None  # of the pins' changes
        self._due_s = self._expire_s = float("-inf")

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop; what is under way is given up and goes on at the next start."""
        try:
            while not stopping.is_set():
                now_s, number = self._clock.tick_s(), self._work.changes()
                if number != self._seen:
                    for each in self._at_work.values():
                        each.attempt.look_again()
                if number != self._seen or now_s >= self._due_s or self._wake.is_set():
                    self._wake.clear()
                    self._seen, self._due_s = number, now_s + _DUE_S
                    await self._begin_due()
                if now_s >= self._expire_s:
                    self._expire_s = now_s + _EXPIRE_S
                    await self._expire()
                await self._pause(stopping)
        finally:
            tasks = [each.task for each in self._at_work.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pause(self, stopping: asyncio.Event) -> None:
        """Wait until there is something to do. A timer's look costs a tenth of what waking this task does."""
        loop = asyncio.get_running_loop()
        poll_s = _POLL_S if self._at_work else _REST_POLL_S
        timer: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal timer
            now_s = self._clock.tick_s()
            is_due = now_s >= self._due_s or now_s >= self._expire_s or stopping.is_set()
            try:
                is_due = is_due or self._work.changes() != self._seen
            except EdgeError:
                is_due = True  # `run` meets it too, and there it is heard
            if is_due:
                self._wake.set()
            else:
                timer = loop.call_later(poll_s, look)

        timer = loop.call_later(poll_s, look)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _expire(self) -> None:
        try:
            while await asyncio.to_thread(self._work.expire, self._clock.now_s(), _EXPIRE_AT_ONCE):
                pass
        except EdgeError as error:
            log.warning("pins whose time is over stay for now: %s (%s)", error.message, error.where)

    # Whose turn it is

    async def _begin_due(self) -> None:
        """Take pins for the places that are free; where none is, see whether somebody should make room."""
        limit = 2 * self._settings.at_once  # so that every account that may begin one is among the first
        is_offline = self._means.retrieval is None
        try:
            if not self._at_work and not self._work.waits():
                return
            most = max(limit, _OFFLINE_AT_ONCE) if is_offline else limit
            due = await asyncio.to_thread(self._work.due, self._clock.now_s(), most, tuple(self._at_work))
            if is_offline and due:
                due, ends = await asyncio.to_thread(self._here_at_all, due)
                self._count_ends(ends)
        except EdgeError as error:
            log.warning("pins wait: %s (%s)", error.message, error.where)
            return
        while len(self._at_work) < self._settings.at_once and (pin := self._next(due)) is not None:
            due.remove(pin)
            self._begin(pin)
        if due and len(self._at_work) >= self._settings.at_once:
            self._make_room(due)

    def _here_at_all(self, due: list[Pin]) -> tuple[list[Pin], list[End]]:
        """Those of which the root is here; offline the tries of all others end so, in one commit."""
        here, ends = [], []
        for pin in due:
            if pin.wish.cid.is_identity or present(self._means.store, pin.wish.cid) is not None:
                here.append(pin)
            else:
                ends.append(self._end(pin, NotFound(OFFLINE, where=pin.wish.cid.text())))
        if ends:
            self._work.ended(ends)
        return here, ends

    def _next(self, due: list[Pin]) -> Pin | None:
        """The pin to begin: of who has fewest at work, then of who has waited longest for a turn."""
        counts = Counter(each.pin.account for each in self._at_work.values())
        roots = {each.pin.wish.cid.multihash for each in self._at_work.values()}
        may = [
            pin
            for pin in due
            if counts[pin.account] < self._settings.at_once_per_account
            and pin.wish.cid.multihash not in roots  # two tries for one root would fetch it twice
            and pin.request_id not in self._at_work
        ]
        turns = self._turns
        return min(
            may,
            key=lambda pin: (counts[pin.account], turns.get(pin.account, 0.0), pin.created_ns),
            default=None,
        )

    def _make_room(self, due: list[Pin]) -> None:
        """Let the pin that is longest at work, of who has most, stop for an account that has none."""
        counts = Counter(each.pin.account for each in self._at_work.values())
        if all(counts[pin.account] for pin in due):
            return
        since_s = self._clock.tick_s() - self._settings.slice_s
        long = [each for each in self._at_work.values() if each.started_s <= since_s]
        if long:
            each = max(long, key=lambda each: (counts[each.pin.account], -each.started_s))
            each.task.cancel()

    def _begin(self, pin: Pin) -> None:
        now_s = self._clock.tick_s()
        while len(self._turns) >= _ACCOUNTS_MAX:
            del self._turns[next(iter(self._turns))]
        self._turns.pop(pin.account, None)
        self._turns[pin.account] = now_s
        attempt = Attempt(self._means, pin, self._quotas)
        task = asyncio.create_task(self._bring(pin, attempt))
        self._at_work[pin.request_id] = _AtWork(pin, now_s, task, attempt)
        task.add_done_callback(lambda ended: self._ended(pin, ended))

    def _ended(self, pin: Pin, task: "asyncio.Task[None]") -> None:
        self._at_work.pop(pin.request_id, None)
        self._wake.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("the pin %s met a fault", pin.request_id, exc_info=task.exception())

    # What becomes of it

    async def _bring(self, pin: Pin, attempt: Attempt) -> None:
        """One try, and what came of it on record."""
        try:
            begun = await asyncio.to_thread(self._work.begin, pin.request_id)
            if begun is None:
                return
            try:
                async with asyncio.timeout(self._settings.try_s):
                    whole = await attempt.run()
            except TimeoutError:
                problem: EdgeError = SourceTimeout(f"it was not whole after {self._settings.try_s:.0f} s")
                await self._did_not(begun, problem, attempt)
            except EdgeError as error:
                await self._did_not(begun, error, attempt)
            except Exception as fault:  # a fault with one pin must not stop the others
                log.error("the pin %s met a fault", pin.request_id, exc_info=fault)
                await self._did_not(begun, Unreachable("a fault of this program, see its log"), attempt)
            else:
                if whole is not None:
                    await self._did(begun, attempt, whole)
                elif self._meter is not None:
                    self._meter.ended("gone")
        except EdgeError as error:  # the store takes no change now: the pin is due again, not at once
            log.warning("the pin %s is tried again: %s (%s)", pin.request_id, error.message, error.where)
            await asyncio.sleep(self._settings.retry_s)

    async def _did(self, pin: Pin, attempt: Attempt, whole: Whole) -> None:
        limit_bytes = attempt.quota.limit_bytes
        try:
            was_there = await asyncio.to_thread(
                self._work.pinned, pin.request_id, whole.dag_bytes, whole.raw_bytes, quota_bytes=limit_bytes
            )
        except QuotaExceeded as error:
            await self._did_not(pin, error, attempt)
            return
        if self._meter is not None:
            self._meter.ended("pinned" if was_there else "gone")

    async def _did_not(self, pin: Pin, error: EdgeError, attempt: Attempt) -> None:
        ends = [self._end(pin, error, attempt.said(error))]
        await asyncio.to_thread(self._work.ended, ends)
        self._count_ends(ends)

    def _count_ends(self, ends: list[End]) -> None:
        if self._meter is not None:
            failed = sum(1 for _, _, next_try_s in ends if next_try_s is None)
            self._meter.ended("failed", failed)
            self._meter.ended("again", len(ends) - failed)

    def _end(self, pin: Pin, error: EdgeError, said: Sequence[tuple[str, str]] = ()) -> End:
        """What becomes of a pin after a try that ended so; `said` by the origins that it names."""
        tries, settings = pin.attempts + 1, self._settings
        reason = explain(error, pin, said)
        if is_final(error) or tries >= settings.attempts:
            return pin.request_id, given_up(reason, tries), None
        doubled_s = settings.retry_s * 2.0 ** min(tries - 1, _DOUBLINGS_MAX)
        # jitter: pins that failed together must not come back together
        wait_s = min(settings.retry_max_s, doubled_s) * (0.75 + self._chance() / 2)
        next_try_s = self._clock.now_s() + wait_s
        return pin.request_id, waiting(reason, tries, settings.attempts, next_try_s), next_try_s
