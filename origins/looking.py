"""One search for a thing over all sources: hedged, tried again where that may help, remembered if vain."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from content.cid import Cid
from origins.absences import Absences
from origins.hedge import Race
from origins.sources import Sources
from origins.trustless import Gain
from runtime.clock import Clock
from runtime.errors import EdgeError, NotFound, SourceTimeout, Unreachable

# A source that failed once is often back at the next moment; who waits for longer had better be told
_ROUNDS: Final = 3
_WAIT_MAX_S: Final = 5.0
# Timers of an event loop are rounded to a millisecond and may fire before the clock says so
_TIMER_S: Final = 0.002

Attempt = Callable[[str, Gain], Coroutine[Any, Any, None]]


class Looking:
    """How one worker searches."""

    def __init__(self, sources: Sources, clock: Clock, hedge_s: float, limit_s: float) -> None:
        """`limit_s`: the longest time without anything new."""
        self._sources, self._clock = sources, clock
        self._hedge_s, self._limit_s = hedge_s, limit_s
        self._absences = Absences()

    async def look(
        self,
        name: bytes,
        cid: Cid,
        attempt: Attempt,
        *,
        also: Sequence[str] = (),
        hedge_s: float | None = None,
        told: Callable[[EdgeError], EdgeError] | None = None,
    ) -> None:
        """Return when `attempt` succeeded at a source. `name`: what is looked for, `cid` what it belongs to.

        `also`: sources besides those that are known. `hedge_s`: None for that of the settings. `told`: says
        more of a failure, which is remembered so.

        Raises NotFound, Unreachable, SourceTimeout; StoreFull and whatever else is no source's doing.
        """
        self._absences.check(name, self._clock.tick_s(), cid.text())
        try:
            await self._rounds(cid, attempt, also, self._hedge_s if hedge_s is None else hedge_s)
        except (NotFound, Unreachable, SourceTimeout) as error:
            problem = error if told is None else told(error)
            self._absences.learn(name, problem, self._clock.tick_s())
            raise problem from None

    async def _rounds(self, cid: Cid, attempt: Attempt, also: Sequence[str], hedge_s: float) -> None:
        deadline_s = self._clock.tick_s() + self._limit_s
        without: set[str] = set()
        unreached: Unreachable | None = None
        for left in reversed(range(_ROUNDS)):
            gain, asked = Gain(), list[str]()

            async def one(source: str, gain: Gain = gain, asked: list[str] = asked) -> None:
                asked.append(source)
                try:
                    await attempt(source, gain)
                except NotFound:
                    without.add(source)  # is not asked in the next round
                    raise

            candidates = self._sources.of(cid, without, also)
            race = Race(candidates, one, gain.count, hedge_s)
            try:
                try:
                    await race.run(self._limit_s)
                finally:
                    candidates.over()
                return
            except SourceTimeout as slow:
                raise SourceTimeout(slow.message, where=cid.text()) from None
            except (NotFound, Unreachable) as problem:
                # that nobody was asked, as all rested when this round began, tells nothing new
                failure = unreached if unreached is not None and not asked else problem
                unreached = failure if isinstance(failure, Unreachable) else None
                rest_s = self._sources.rest_s(without, also)
                may_wait = left and rest_s is not None and rest_s <= _WAIT_MAX_S
                if rest_s is None or not may_wait or self._clock.tick_s() + rest_s > deadline_s:
                    raise _told(failure, rest_s, cid) from None
                await asyncio.sleep(rest_s + _TIMER_S)


def _told(error: NotFound | Unreachable, rest_s: float | None, cid: Cid) -> NotFound | Unreachable:
    if isinstance(error, Unreachable):
        return Unreachable(f"it could not be fetched: {error.message}", where=cid.text())
    if rest_s is not None:
        return Unreachable("sources that may have it failed lately and are left alone", where=cid.text())
    return NotFound("nobody who was asked has it", where=cid.text())
