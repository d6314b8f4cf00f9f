"""Brings here what is not here: blocks, entities and files from trustless gateways and providers, and names.

Theory of operation. The gateway asks for what it turned out to need: one block (on its way along a path), an
entity (a directory it is about to list, a file it is about to send), or a span of a file while it sends it
(`origins.file_windows`). Sources are asked in the order of how they did lately; one that is slow gets company
(`origins.hedge`), one that fails rests, one that lies is left out (`origins.scores`). What a source says is
never believed: each block is hashed, and only what was asked for is taken (`origins.entity_car`).

Invariants
 1. Nothing enters the store that did not match its CID.
 2. One fetch a thing at a time over all workers; the kernel frees what a dead worker held.
 3. Fetches at once, bytes of an answer and time are bounded. A fetch that nobody waits for any more goes on
    to its end, which is near: a block, an entity of 64 MiB at most, or 8 MiB of a file.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from blockstore import Store
from content import cid as codecs
from content import multihash
from content.cid import Cid
from net.outbound import Outbound
from origins.arrivals import Arrivals
from origins.dag_fetch import DagFetch
from origins.file_windows import FileWindows
from origins.fills import Fills, OneFetch
from origins.looking import Looking
from origins.meter import OriginMeter
from origins.name_fetch import Links, NameFetch, Records, Resolver
from origins.settings import OriginSettings
from origins.sources import Sources
from origins.trustless import Gain, NoCars, Trustless
from runtime.clock import Clock
from runtime.errors import EdgeError

# Shards of a directory of some million entries; of a larger one the rest is asked for when it is needed
_ENTITY_BYTES_MAX: Final = 64 << 20
# What a small file has, and a large one's way to its first leaf
_BEGINNING: Final = "&entity-bytes=0:262143"


class Fetcher:
    """`gateway.ports.Fetcher` over other people's nodes."""

    def __init__(
        self,
        store: Store,
        outbound: Outbound,
        settings: OriginSettings,
        clock: Clock,
        records: Records,
        links: Links,
        resolver: Resolver | None,
        meter: OriginMeter,
    ) -> None:
        self._dag, self._outbound = store.dag, outbound
        fills = Fills(store.backing.index.path.parent / "run" / "fills")
        self._once = OneFetch(fills, settings.max_fetches)
        arrivals = Arrivals()
        sources = Sources(outbound, settings, clock, meter)
        limit_s = settings.fetch_timeout_s
        self._trustless = Trustless(store.dag, outbound, sources, arrivals, clock, meter, limit_s)
        self._looking = Looking(sources, clock, settings.hedge_s, limit_s)
        self._files = FileWindows(store.dag, self._once, self._trustless, sources, self._looking, arrivals)
        self._dags = DagFetch(store, self._trustless, sources, self._looking, settings.max_fetches)
        self._sources = sources
        self._names = NameFetch(outbound, settings, records, links, resolver, meter, clock)

    async def close(self) -> None:
        """Stop what is under way; blocks that have come are kept."""
        await self._files.close()
        await self._once.close()
        self._outbound.close()

    async def block(self, cid: Cid) -> None:
        """Return when the block is here. Raises NotFound, Unreachable, SourceTimeout, TooManyRequests."""

        async def attempt(source: str, gain: Gain) -> None:
            await self._trustless.block(source, cid, gain)

        await self._one(cid, lambda: self._looking.look(cid.multihash, cid, attempt))

    async def entity(self, cid: Cid) -> None:
        """As `block`, and with it a directory's shards, or the beginning of a file. Raises the same."""
        if cid.codec != codecs.DAG_PB:
            await self.block(cid)
            return

        async def attempt(source: str, gain: Gain) -> None:
            if self._sources.scores.gives_cars(source):
                try:
                    await self._trustless.car(source, cid, _BEGINNING, _ENTITY_BYTES_MAX, gain)
                except NoCars:
                    pass
                except EdgeError:
                    if not self._dag.has(cid):
                        raise
            if not self._dag.has(cid):
                await self._trustless.block(source, cid, gain)

        await self._one(cid, lambda: self._looking.look(cid.multihash, cid, attempt))

    async def dag(self, cid: Cid, also: Sequence[str] = ()) -> None:
        """Return when the block and what one source has below it are here, see `DagFetch.dag`."""
        await self._dags.dag(cid, also)

    async def span(self, cid: Cid, start: int, stop: int) -> None:
        """Return when what is needed for byte `start` of a file is here, see `FileWindows.span`."""
        await self._files.span(cid, start, stop)

    def passed(self, cid: Cid, start: int, end: int, stop: int) -> None:
        """A reader takes bytes [start, end) of a file on its way to `stop`: fetch on ahead of it."""
        self._files.passed(cid, start, end, stop)

    async def record(self, name: Cid) -> None:
        """Fetch the newest record that anybody has. Raises NotFound."""
        key = b"record " + name.multihash
        await asyncio.shield(self._once.start(key, lambda: False, lambda: self._names.record(name)))

    async def dnslink(self, host: str) -> None:
        """Ask the DNS what a domain points at, and remember it, also that it points at nothing."""
        key = b"dnslink " + host.encode()
        await asyncio.shield(self._once.start(key, lambda: False, lambda: self._names.dnslink(host)))

    async def _one(self, cid: Cid, work: Callable[[], Awaitable[None]]) -> None:
        if self._dag.has(cid):
            return
        multihash.verify(cid.multihash, b"")  # refuses what could never be verified
        # one who gives up waiting does not end it for the others
        await asyncio.shield(self._once.start(cid.multihash, lambda: self._dag.has(cid), work))
