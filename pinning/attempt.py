"""One try to have all of a pin here: what is here is walked over, what lacks is fetched, until none does."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from blockstore import Store
from blockstore.presence import present
from content.cid import Cid
from origins.steps import step
from pinning.fetch_ports import Quota, Quotas, Retrieval, Sources
from pinning.here import HereWalk
from pinning.pin import Pin, Progress
from pinning.ports import PinWork
from pinning.reasons import OFFLINE, block_of, gateways_of
from pinning.settings import PinSettings
from runtime.clock import Clock
from runtime.errors import EdgeError, NotFound, QuotaExceeded, Unreachable

log = logging.getLogger("fleek.pinning")

# A crash costs the walk over what came in this time
_PROGRESS_S: Final = 1.0
# More than this of a block's DAG is not sent again for what lacks of it: then its children come each on its
# own. So little costs a crash, a try that ended, and the next version of what is here
_SENT_AGAIN_BYTES: Final = 16 << 20
# While a fetch is under way, what has come is walked over this often
_LOOK_S: Final = 0.2
# So many children of one block that lack are asked for together, as the CAR of their parent
_TOGETHER: Final = 4
# After a start from a cursor, and where blocks went meanwhile, it is walked again from the root
_WALKS_MAX: Final = 4
# Blocks whose whole DAG was asked for in this try; when there are more, some are asked for again
_ASKED_MAX: Final = 65_536
_LEASE_SHARE: Final = 4
# Blocks that are asked for again because they came and went: damage that is being mended, not more
_AGAIN_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Whole:
    """All of a DAG is here."""

    dag_bytes: int
    raw_bytes: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Means:
    """What tries are made with. `retrieval` None: offline, only what is here counts.

    `check` raises what refuses a block of a DAG (a denylist); None: nothing is refused. Any thread.
    """

    store: Store
    work: PinWork
    settings: PinSettings
    clock: Clock
    retrieval: Retrieval | None = None
    sources: Sources | None = None
    check: Callable[[Cid], None] | None = None


class Attempt:
    """One try for one pin. `run` may be awaited once, and cancelled at any moment."""

    def __init__(self, means: Means, pin: Pin, quotas: Quotas) -> None:
        self._means, self._pin, self._quotas = means, pin, quotas
        self.quota = Quota()
        self._room_bytes: int | None = None  # for this pin; None: no limit
        self._also = gateways_of(pin.wish.origins)
        self._noted_s = means.clock.tick_s()
        self._interval_s = _PROGRESS_S
        self._asked: set[bytes] = set()
        self._origins_asked = asyncio.Lock()
        self._passed = 0  # blocks of the walk
        self._passed_then = -1  # when other origins were asked last
        self._origins_gave = self._walked_over = 0  # times that they gave; that the walk began after
        self._again = 0  # blocks that came and could not be read

    def look_again(self) -> None:
        """Ask soon whether the pin is still wanted."""
        self._interval_s = _LOOK_S

    def said(self, error: EdgeError) -> list[tuple[str, str]]:
        """What the origins that the pin names said when they did not give what the try failed for."""
        sources, wish = self._means.sources, self._pin.wish
        if sources is None or not wish.origins:
            return []
        lacking = block_of(error, wish.cid)
        return sources.said(wish.origins, list(dict.fromkeys((lacking.multihash, wish.cid.multihash))))

    async def run(self) -> Whole | None:
        """What is here in the end; None when the pin was removed meanwhile.

        Raises NotFound, Unreachable, SourceTimeout for what nobody gives; QuotaExceeded, StoreFull;
        BadRequest and TooLarge for a DAG that cannot be pinned.
        """
        means, root = self._means, self._pin.wish.cid
        self.quota = await step(self._quotas.of, self._pin.account)
        if self.quota.limit_bytes is not None and not await step(means.work.is_counted, self._pin.request_id):
            self._room_bytes = self.quota.room_bytes
        cursor = await asyncio.to_thread(means.work.cursor, self._pin.request_id)
        for _ in range(_WALKS_MAX):
            began_s = means.clock.tick_s()
            here = HereWalk(means.store, root, means.settings.max_blocks, cursor, means.check)
            self._passed_then = -1
            if not await self._bring(here):
                return None
            took_s = means.clock.tick_s() - began_s
            # what was passed long ago, or before the cursor, may have gone since
            if (
                here.walk.starts_over
                and not here.lost
                and took_s < means.store.settings.lease_s / _LEASE_SHARE
            ):
                walk = here.walk
                return Whole(walk.bytes_, walk.content_bytes, walk.blocks)
            cursor = b""
        raise Unreachable("its blocks go away while they are counted; is somebody removing them?")

    async def _bring(self, here: HereWalk) -> bool:
        """Walk to the end, fetching what lacks; False when the pin is gone."""
        running: dict[bytes, asyncio.Task[None]] = {}
        try:
            while True:
                gave = self._origins_gave
                more = await asyncio.to_thread(here.step)
                self._passed, self._walked_over = here.walk.blocks, gave
                self._check_room(here)
                if not await self._note(here):
                    return False
                for name in [name for name, task in running.items() if task.done()]:
                    running.pop(name).result()
                if here.walk.at is None:
                    return True
                if more:
                    continue
                await self._begin_fetches(here, running)
                await asyncio.wait(running.values(), timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)

    def _check_room(self, here: HereWalk) -> None:
        room = self._room_bytes
        if room is not None and here.walk.bytes_ > room:
            raise QuotaExceeded(
                f"it is larger than the account's quota leaves room for: {room:,} bytes of"
                f" {self.quota.limit_bytes:,} were free, and more than that came"
            )

    async def _note(self, here: HereWalk) -> bool:
        """Persist the progress now and again; False when the pin is gone."""
        means, walk = self._means, here.walk
        now_s = means.clock.tick_s()
        if now_s - self._noted_s < self._interval_s:
            return True
        self._noted_s, self._interval_s = now_s, _PROGRESS_S
        progress = Progress(walk.blocks, walk.bytes_, walk.links_waiting)
        return await asyncio.to_thread(means.work.progress, self._pin.request_id, progress, walk.cursor())

    async def _begin_fetches(self, here: HereWalk, running: dict[bytes, "asyncio.Task[None]"]) -> None:
        at_once = self._means.settings.fetches_per_pin
        if len(running) >= at_once:
            return
        missing = await asyncio.to_thread(here.missing, max(at_once, _TOGETHER), running)
        lacking = Counter(parent for _, parent in missing)
        for cid, parent in missing:
            wanted = cid
            if parent is not None and lacking[parent] >= _TOGETHER and self._comes_together(here, parent):
                wanted = parent
            if parent is not None and parent.multihash in running:
                continue
            if len(running) >= at_once:
                return
            self._count_again(wanted)
            running[wanted.multihash] = asyncio.create_task(self._fetch(wanted))

    def _comes_together(self, here: HereWalk, parent: Cid) -> bool:
        """Whether the CAR of a block is asked for, for what lacks right below it."""
        sent_again_bytes = here.walk.bytes_below(parent)
        return parent.multihash not in self._asked and sent_again_bytes <= _SENT_AGAIN_BYTES

    def _count_again(self, cid: Cid) -> None:
        """Note that a block is asked for; one that came is not asked for again, unless it cannot be read."""
        self._again += cid.multihash in self._asked
        if self._again > _AGAIN_MAX:
            raise Unreachable("what came cannot be read again; is the disk failing?", where=cid.text())
        if len(self._asked) >= _ASKED_MAX:
            self._asked.clear()
        self._asked.add(cid.multihash)

    async def _fetch(self, cid: Cid) -> None:
        """Have a block, and what is below it as far as it can be had at once."""
        retrieval = self._means.retrieval
        if retrieval is None:
            raise NotFound(OFFLINE, where=cid.text())
        try:
            await retrieval.dag(cid, self._also, self._pin.wish.cid)
        except EdgeError as error:
            if not isinstance(error, NotFound) and not error.outcome.may_retry:
                raise
            if not await self._ask_origins(cid):
                raise
            self._asked.discard(cid.multihash)  # it may not be among what came: then it is asked for again
            return
        if not self._has(cid):
            raise Unreachable("it was fetched and is not here", where=cid.text())

    async def _ask_origins(self, cid: Cid) -> bool:
        """Ask the pin's other origins and those on record, once until the walk is further than then.

        Whether they gave something, or may have: the walk tells.
        """
        sources = self._means.sources
        if sources is None:
            return False
        passed = self._passed
        async with self._origins_asked:
            if passed < self._passed or self._has(cid):
                return True  # the walk went on meanwhile, over what somebody else's asking brought
            if passed == self._passed_then:
                return self._walked_over < self._origins_gave
            self._passed_then = passed
            try:
                await sources.fetch(
                    self._pin.wish.cid,
                    self._pin.wish.origins,
                    account=self._pin.account,
                    most_bytes=self._room_bytes,
                )
                self._origins_gave += 1
            except EdgeError as error:
                log.info("origins of %s: %s", self._pin.wish.cid, error.message)
                return self._has(cid)  # blocks that came before the fault are what their CIDs say
            return True

    def _has(self, cid: Cid) -> bool:
        return present(self._means.store, cid) is not None
