"""Asks sources one after the other until one has given what is wanted; slow ones get company."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from runtime.errors import EdgeError, NotFound, SourceTimeout

# A third source may be right where two stall; more would only multiply what is transferred
_COMPANY_MAX: Final = 3
Attempt = Callable[[str], Coroutine[Any, Any, None]]


class Candidates(Protocol):
    """Sources, best first."""

    async def next(self) -> str | None:
        """The next one to ask; None when there is no more."""
        ...


class Race:
    """One race for one thing. `run` may be awaited once."""

    def __init__(
        self, candidates: Candidates, attempt: Attempt, progress: Callable[[], int], hedge_s: float
    ) -> None:
        """`progress`: a number that changes whenever something useful has come."""
        self._candidates, self._attempt, self._progress = candidates, attempt, progress
        self._hedge_s = hedge_s
        self._asking: set[asyncio.Task[None]] = set()
        self._choosing: asyncio.Task[str | None] | None = None
        self._wants_more, self._exhausted = True, False
        self._problem: EdgeError = NotFound("no source is known")

    async def run(self, limit_s: float) -> None:
        """Return when an attempt at one source succeeded; the others are ended.

        A further source is asked when one failed, and when nothing useful came for `hedge_s`. Raises
        SourceTimeout when nothing came for `limit_s`; NotFound when nobody has it or nobody is there to be
        asked; else the last other error.
        """
        loop = asyncio.get_running_loop()
        seen, moved_s = self._progress(), loop.time()
        try:
            while not await self._step():
                now = self._progress()
                if now != seen:
                    seen, moved_s = now, loop.time()
                    self._wants_more = self._wants_more and not self._asking
                elif loop.time() - moved_s > limit_s:
                    raise SourceTimeout(f"nobody gave it within {limit_s:g} s")
        finally:
            await self._end()

    async def _step(self) -> bool:
        """Wait for something to happen; whether somebody gave it. Raises when nobody is left to ask."""
        if self._wants_more and self._choosing is None and len(self._asking) < _COMPANY_MAX:
            self._choosing = None if self._exhausted else asyncio.create_task(self._candidates.next())
        waiting = self._tasks()
        if not waiting:
            raise self._problem
        done, _ = await asyncio.wait(waiting, timeout=self._hedge_s, return_when=asyncio.FIRST_COMPLETED)
        self._take_chosen()
        given = [self._ended(task) for task in self._asking & done]
        self._wants_more = not done or False in given
        return True in given

    def _take_chosen(self) -> None:
        """Ask the source that was chosen, if that is done."""
        if self._choosing is None or not self._choosing.done():
            return
        source, self._choosing = self._choosing.result(), None
        if source is None:
            self._exhausted = True
        else:
            self._asking.add(asyncio.create_task(self._attempt(source)))

    def _ended(self, task: "asyncio.Task[None]") -> bool:
        """Take note of an attempt's end; whether it succeeded."""
        self._asking.discard(task)
        error = task.exception()
        if error is None:
            return True
        if not isinstance(error, EdgeError):
            raise error
        if isinstance(self._problem, NotFound) or not isinstance(error, NotFound):
            self._problem = error
        return False

    async def _end(self) -> None:
        left = self._tasks()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return {*self._asking} if self._choosing is None else {*self._asking, self._choosing}
