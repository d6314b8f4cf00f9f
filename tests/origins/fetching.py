"""A fetcher over a store of its own, in this process: what tests of `origins` start."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blockstore import Store
from content.cid import Cid
from content.unixfs.file import leaves
from gateway.dnslinks import DnsLinks
from gateway.mutable import Names
from net.guard import Guard
from net.outbound import Outbound, OutboundLimits, Outbounds
from origins.fetcher import Fetcher
from origins.meter import OriginMeter
from origins.settings import OriginSettings
from runtime.board import SLOT_WORDS
from runtime.clock import SystemClock
from runtime.metrics import word
from tests.origins.trustless_source import Source

LOOPBACK = ("127.0.0.0/8",)
PATIENCE_S = 60.0


class Fetching:
    """A store, a fetcher, and what the fetcher counted."""

    def __init__(self, data: Path, settings: OriginSettings, idle_s: float) -> None:
        clock = SystemClock()
        self.store = Store.open(data)
        self.dag = self.store.dag
        self.words = memoryview(bytearray(8 * SLOT_WORDS)).cast("Q")
        links = DnsLinks({}, clock.tick_s)
        names = Names(self.dag, links, clock.now_s)
        outbound = Outbound(Guard(settings.allow_nets), OutboundLimits(idle_s=idle_s))
        strict = Outbound(Guard(settings.allow_nets_for_accounts), OutboundLimits(idle_s=idle_s))
        meter = OriginMeter(self.words)
        self.fetcher = Fetcher(
            self.store, Outbounds(outbound, strict), settings, clock, names, links, None, meter
        )

    def counted(self, name: str, *labels: tuple[str, str]) -> int:
        """A counter's value."""
        return int(self.words[word(name, *labels)])

    async def read(self, cid: Cid, start: int, stop: int) -> bytes:
        """Bytes of a file as the gateway reads them: root first, then spans as they are missing."""
        if not self.dag.has(cid):
            await self.fetcher.entity(cid)
        found, at = b"", start
        while at < stop:
            await self.fetcher.span(cid, at, stop)
            leaf = next(leaves(cid, self.dag.read, at, stop))
            found += self.dag.read(leaf.cid)[leaf.block_start : leaf.block_stop]
            end = leaf.file_offset + leaf.block_stop - leaf.block_start
            self.fetcher.passed(cid, at, end, stop)
            at = end
        return found


@asynccontextmanager
async def fetching(
    data: Path, *sources: Source, routers: tuple[str, ...] = (), idle_s: float = 20.0, **settings: Any
) -> AsyncIterator[Fetching]:
    """A fetcher that asks `sources`."""
    urls = tuple(source.url for source in sources)
    named = {"allow_nets": LOOPBACK, "allow_nets_for_accounts": LOOPBACK, **settings}
    made = OriginSettings(gateways=urls, routers=routers, **named)
    running = Fetching(data, made, idle_s)
    try:
        yield running
    finally:
        await running.fetcher.close()
        running.store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop of its own, in bounded time."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work

    asyncio.run(bounded())
