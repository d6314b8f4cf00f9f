"""Brings back what scrub and reads found damaged, before anybody asks for it. Beside everything else, slowly.

What is in quarantine is looked through now and again. A damaged blob comes back as a read would have it:
the blocks that are lost, from gateways on record or by what lies above them, else all of it from where it
came. One blob at a time, and as long a rest after it. What does not come back, or is damaged again soon (a
disk that fails), rests for a minute, then twice as long each time, for a day at most.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from blockstore import Store
from blockstore.origin_book import blob_name
from blockstore.quarantine import damaged_blobs, damaged_blocks, is_whole, names_within
from content import names
from content.cid import DAG_PB, RAW, Cid
from origins.steps import step
from runtime.clock import Clock
from runtime.errors import BlobDamaged, EdgeError, NotFound
from runtime.metrics import HEAL_OUTCOMES, word

log = logging.getLogger("fleek.origins")

_REST_PER_WORK: Final = 1.0
# Putting a file together again reads all of it, and finds what else is damaged
_ROUNDS: Final = 3
# Until the same blob is tried again, and the longest that grows to
_AGAIN_S: Final = 60.0
_AGAIN_MAX_S: Final = 86_400.0
# Of so many blobs it is remembered that they were tried, 200 bytes each; what is forgotten is tried again
_TRIED_MAX: Final = 16_384
# What a store had worked on for years is not brought back in one go: the rest has its turn at the next look
_BLOBS_A_LOOK: Final = 1024
_HEALED: Final = {outcome: word("fleek_heals_total", ("outcome", outcome)) for outcome in HEAL_OUTCOMES}

Check = Callable[[Cid], None]
"""Raises Blocked for what is not to be had."""


class Source(Protocol):
    """What brings back; `origins.fetcher.Fetcher` is one. Every method returns when it is here, or raises."""

    async def block(self, cid: Cid, root: Cid | None = None) -> None:
        """One block, and the file it is a part of whole again when it was the last that lacked."""
        ...

    async def blob(self, root: bytes) -> None:
        """A blob by its hash, or as the file it was."""
        ...

    def knows_blob(self, root: bytes) -> bool:
        """Whether it is on record where it came from."""
        ...


@dataclass(slots=True)
class _Tried:
    """When a blob may be tried again, and how long the rest after that will be."""

    next_s: float
    rest_s: float


class Healer:
    """The healer of one node; belongs to the running loop."""

    def __init__(
        self,
        store: Store,
        source: Source,
        clock: Clock,
        slot: "memoryview[int]",
        interval_s: float,
        check: Check | None = None,
    ) -> None:
        """`slot`: of `Board.slot`, written by nobody else; `interval_s`: between two looks."""
        self._store, self._source, self._clock, self._check = store, source, clock, check
        self._words, self._interval_s = slot, interval_s
        self._tried: dict[bytes, _Tried] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Heal until told to stop; what is under way then is given up."""
        work = asyncio.ensure_future(self._run())
        told = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()  # raises: it does not end by itself
        finally:
            work.cancel()
            told.cancel()
            await asyncio.gather(work, told, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except EdgeError as error:
                log.error("what is damaged cannot be looked through: %s (%s)", error.message, error.where)
            await asyncio.sleep(self._interval_s)

    async def look(self) -> int:
        """Go through the quarantine once; returns how many blobs were healed."""
        healed, at, left = 0, b"", _BLOBS_A_LOOK
        while left > 0:
            page, at = await step(damaged_blobs, self._store, at)
            for root in page:
                if left > 0 and self._is_due(root):
                    left -= 1
                    began_s = self._clock.tick_s()
                    healed += await self._heal(root)
                    await asyncio.sleep(_REST_PER_WORK * (self._clock.tick_s() - began_s))
            if not at:
                break
        return healed

    def _is_due(self, root: bytes) -> bool:
        now_s, tried = self._clock.tick_s(), self._tried.pop(root, None)
        if tried is not None and tried.next_s > now_s:
            self._tried[root] = tried
            return False
        rest_s = _AGAIN_S if tried is None else min(2 * tried.rest_s, _AGAIN_MAX_S)
        while len(self._tried) >= _TRIED_MAX:
            del self._tried[next(iter(self._tried))]
        self._tried[root] = _Tried(now_s + rest_s, rest_s)
        return True

    async def _heal(self, root: bytes) -> bool:
        try:
            await self._bring_back(root)
        except EdgeError as error:
            if not await step(self._is_over, root):
                self._words[_HEALED["failed"]] += 1
                log.warning("%s is damaged and does not come back: %s (%s)", names.hex(root), error.message,
                            error.where)  # fmt: skip
                return False
        else:
            self._words[_HEALED["healed"]] += 1
            log.info("%s was damaged and is whole again, from where it came", names.hex(root))
            return True
        return False

    async def _bring_back(self, root: bytes) -> None:
        """Raises NotFound when that is vain, what fetching raises, what `check` raises."""
        problem: EdgeError = NotFound("nobody is known who has it", where=names.hex(root))
        for _ in range(_ROUNDS):
            try:
                named = blocks = await step(damaged_blocks, self._store, root)
            except BlobDamaged as error:  # its row is: which blocks are lost cannot be told, but it may come
                problem, blocks = error, []
                within = await step(names_within, self._store, root)
                named = [Cid.v1(codec, each) for each in within for codec in (DAG_PB, RAW)]
            if self._check is not None:
                for cid in (Cid.v1(RAW, blob_name(root)), *named):
                    await step(self._check, cid)
            try:
                for cid in blocks:
                    await self._source.block(cid)
            except EdgeError as error:
                problem = error
                break
            await step(self._store.dag.settle)
            if await step(is_whole, self._store, root):
                return
        if await step(self._source.knows_blob, root):
            await self._source.blob(root)
        if not await step(is_whole, self._store, root):
            raise problem

    def _is_over(self, root: bytes) -> bool:
        """Whether there is nothing left to heal: it was removed or evicted meanwhile, or healed by a read."""
        try:
            return not self._store.blob(root).damaged_segments
        except NotFound:
            return True
        except BlobDamaged:  # its row is
            return False
