"""A pin worker over a store and sources of its own, in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content.block import Block
from content.cid import Cid
from pinning.attempt import Means
from pinning.fetch_ports import Quota, Retrieval, Sources
from pinning.pin import Pin, Status, Wish
from pinning.settings import PinSettings
from pinning.worker import PinWorker
from runtime.clock import SystemClock
from tests.origins.fetching import Fetching, fetching
from tests.origins.trustless_source import Source
from tests.pinning.dags import Held
from tests.pinning.fake_work import FakeWork

QUICK: dict[str, Any] = {"attempts": 3, "retry_s": 0.05, "retry_max_s": 0.2}


@dataclass
class FakeQuotas:
    """Quotas by account; used bytes are those of the work."""

    work: FakeWork
    limits: dict[str, int] = field(default_factory=dict)

    def of(self, account: str) -> Quota:
        """The quota of an account."""
        return Quota(self.limits.get(account), self.work.used_bytes.get(account, 0))


class FakeRetrieval:
    """Blocks that come when the test lets them, with nothing below."""

    def __init__(self, here: Fetching, held: Held) -> None:
        self._dag, self._held = here.dag, held
        self.asked: list[Cid] = []
        self.at_once = self.most_at_once = 0
        self.let = asyncio.Event()
        self.let.set()

    async def dag(self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None) -> None:
        """One block."""
        self.asked.append(cid)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.let.wait()
            await asyncio.to_thread(self._dag.put, [Block.verified(cid, self._held[cid.multihash].data)])
        finally:
            self.at_once -= 1


class Working:
    """The worker, and what a test looks at."""

    def __init__(
        self,
        here: Fetching,
        work: FakeWork,
        retrieval: Retrieval | None,
        sources: Sources | None,
        settings: PinSettings,
        check: Callable[[Cid], None] | None,
    ) -> None:
        self.here, self.work = here, work
        self.quotas = FakeQuotas(self.work)
        means = Means(here.store, self.work, settings, SystemClock(), retrieval, sources, check)
        self.worker = PinWorker(means, self.quotas)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def go(self) -> None:
        """Let the worker run."""
        self._task = asyncio.create_task(self.worker.run(self._stopping))

    async def stop(self) -> None:
        """End it."""
        self._stopping.set()
        if self._task is not None:
            await self._task

    def add(self, cid: Cid, account: str = "alice", **wish: Any) -> str:
        """Pin; the request id."""
        return self.work.add(account, Wish(cid, **wish)).request_id

    def pin(self, request_id: str) -> Pin:
        """The pin now."""
        return self.work.pins[request_id]

    async def until(self, holds: Callable[[], bool], limit_s: float = 40.0) -> None:
        """Return when it holds; fail when it does not in time."""
        async with asyncio.timeout(limit_s):
            while not holds():
                await asyncio.sleep(0.01)

    async def ended(self, *request_ids: str) -> list[Pin]:
        """Wait until these are pinned or failed."""
        over = (Status.PINNED, Status.FAILED)
        await self.until(lambda: all(self.pin(each).status in over for each in request_ids))
        return [self.pin(each) for each in request_ids]


@asynccontextmanager
async def working(
    data: Path,
    *gateways: Source,
    retrieval: Callable[[Fetching], Retrieval | None] | None = None,
    sources: Sources | None = None,
    work: FakeWork | None = None,
    run: bool = True,
    check: Callable[[Cid], None] | None = None,
    fetch: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Working]:
    """A worker, which runs unless told otherwise; `retrieval` None: over `gateways`.

    `fetch`: other settings of the fetcher, which then is asked for what lies at origins too.
    """
    async with fetching(data, *gateways, **(fetch or {})) as here:
        found = here.fetcher if retrieval is None else retrieval(here)
        sources = here.fetcher.refetch if fetch is not None else sources
        made = Working(here, work or FakeWork(), found, sources, PinSettings(**{**QUICK, **settings}), check)
        if run:
            made.go()
        try:
            yield made
        finally:
            await made.stop()


def lacking(here: Fetching, held: Held) -> list[Cid]:
    """Blocks that cannot be read."""
    return [block.cid for block in held.values() if not here.dag.has(block.cid)]
