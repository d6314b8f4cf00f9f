"""Brings here what is not here: blocks, entities and files from trustless gateways and providers, and names.

Theory of operation. The gateway asks for what it turned out to need: one block (on its way along a path), an
entity (a directory it is about to list, a file it is about to send), or a span of a file while it sends it
(`origins.file_windows`). Sources are asked in the order of how they did lately; one that is slow gets company
(`origins.hedge`), one that fails rests, one that lies is left out (`origins.scores`). What a source says is
never believed: each block is hashed, and only what was asked for is taken (`origins.entity_car`).

Invariants
 1. Nothing enters the store that did not match its CID.
 2. One fetch a thing at a time over all workers; the kernel frees what a dead worker held.
 3. Fetches at once, bytes of an answer and time are bounded. A fetch that nobody waits for any more ends, but
    for 8 MiB of a file, whose end is near.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from blockstore import Store
from content import cid as codecs
from content import multihash
from content.block import BlockMissing
from content.cid import Cid
from content.unixfs.file import size_of
from net.outbound import Outbounds
from origins.arrivals import Arrivals
from origins.byte_stream import ByteStreams
from origins.came import Came
from origins.dag_fetch import DagFetch
from origins.file_windows import FileWindows, first_missing, rejoin
from origins.fills import Fills, OneFetch
from origins.looking import Attempt, Looking
from origins.meter import OriginMeter
from origins.name_fetch import Links, NameFetch, Records, Resolver
from origins.refetch import Refetch
from origins.said import Said
from origins.settings import OriginSettings
from origins.sources import Sources
from origins.steps import step
from origins.trustless import Gain, NoCars, Trustless
from origins.ways import Ways
from runtime.clock import Clock
from runtime.errors import BlobDamaged, EdgeError, NotFound, SourceTimeout, Unreachable, Unverified

# Shards of a directory of some million entries; of a larger one the rest is asked for when it is needed
_ENTITY_BYTES_MAX: Final = 64 << 20
# What a small file has, and a large one's way to its first leaf
_BEGINNING: Final = "&entity-bytes=0:262143"
# Whole files and DAGs from where they came: each a stream and a thread
_REFETCHES_MAX: Final = 4
# What was brought back and is damaged again is a disk that fails
_TRIES: Final = 3


class Fetcher:
    """`gateway.ports.Fetcher` over other people's nodes."""

    def __init__(
        self,
        store: Store,
        outbounds: Outbounds,
        settings: OriginSettings,
        clock: Clock,
        records: Records,
        links: Links,
        resolver: Resolver | None,
        meter: OriginMeter,
    ) -> None:
        outbound, strict = outbounds.ours, outbounds.strict
        self._dag, self._outbounds = store.dag, outbounds
        fills = Fills(store.backing.index.path.parent / "run" / "fills")
        self._once = OneFetch(fills, settings.max_fetches)
        arrivals = Arrivals()
        sources = Sources(outbound, strict, settings, clock, meter)
        limit_s = settings.fetch_timeout_s
        said = Said()
        self._trustless = Trustless(store.dag, sources, arrivals, clock, meter, limit_s, said)
        self._looking = Looking(sources, clock, settings.hedge_s, limit_s)
        self._files = FileWindows(store.dag, self._once, self._trustless, sources, self._looking, arrivals)
        self._came = Came(store, clock, sources)
        self._dags = DagFetch(
            store, self._trustless, sources, self._looking, settings.max_fetches, self._came.came, said
        )
        self._sources = sources
        streams = ByteStreams(outbound, strict, settings.arweave_gateways, meter)
        self._refetching = OneFetch(fills, _REFETCHES_MAX)
        self.refetch = Refetch(store, streams, self._dags, self._refetching, clock, sources.trust, said)
        self._ways = Ways(store, self.refetch, clock, sources)
        self._names = NameFetch(outbound, settings, records, links, resolver, meter, clock)

    async def close(self) -> None:
        """Stop what is under way; blocks that have come are kept."""
        await self._files.close()
        await self._refetching.close()
        await self._once.close()
        self._outbounds.close()

    async def block(self, cid: Cid, root: Cid | None = None) -> None:
        """Return when the block is here. `root`: what it is asked for below of, whose origins may have it.

        Raises NotFound, Unreachable, SourceTimeout, TooManyRequests; Unverified where only lies came.
        """

        async def attempt(source: str, gain: Gain) -> None:
            await self._trustless.block(source, cid, gain)

        await self._one(cid, root, attempt)

    async def entity(self, cid: Cid, root: Cid | None = None) -> None:
        """As `block`, and with it a directory's shards, or the beginning of a file. Raises the same."""
        if cid.codec != codecs.DAG_PB:
            await self.block(cid, root)
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

        await self._one(cid, root, attempt)

    async def blob(self, root: bytes) -> None:
        """Bring a blob back by its hash or as the file it was, see `Refetch.blob`; or as one below a root."""
        try:
            await self.refetch.blob(root)
        except (NotFound, Unreachable, Unverified, SourceTimeout) as error:
            await self._ways.blob_back(root, error)

    def knows_blob(self, root: bytes) -> bool:
        """Whether it is on record where a blob, or the file it was, came from. Some 10 us."""
        return self._ways.knows_blob(root)

    async def dag(self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None) -> None:
        """Return when the block and what one source has below it are here, unless most of it was.

        See `DagFetch.dag`.
        """
        await self._dags.dag(cid, also, root, by_parts=True)

    async def settle(self) -> None:
        """Return when damage that was found until now is on record, so that it counts as missing."""
        await step(self._dag.settle)

    async def span(self, cid: Cid, start: int, stop: int, root: Cid | None = None) -> None:
        """Return when what is needed for byte `start` of a file is here, see `FileWindows.span`."""
        also = self._ways.gateways(cid, root)
        try:
            await self._files.span(cid, start, stop, also)
        except (NotFound, Unreachable, SourceTimeout) as error:
            await self._back(cid, root, error)
            await self._files.span(cid, start, stop, also)

    async def file(self, cid: Cid, root: Cid | None = None) -> None:
        """Return when a file is here as one blob, see `FileWindows.whole`. Raises as `span`, `block`."""
        for left in reversed(
            range(_TRIES)
        ):  # reading finds what else is damaged, and it is missing from then on
            await self.settle()
            await self.block(cid, root)
            try:
                size = size_of(cid, self._dag.read_sound(cid))
                while (missing := await step(first_missing, self._dag, cid, 0, size)) is not None:
                    await self.span(cid, missing[1], size, root)
                await self._files.whole(cid)
                return
            except BlockMissing:
                if not left:
                    raise

    def passed(self, cid: Cid, start: int, end: int, stop: int, root: Cid | None = None) -> None:
        """A reader takes bytes [start, end) of a file on its way to `stop`: fetch on ahead of it."""
        if self._files.enters_window(start, end):
            self._files.passed(cid, start, end, stop, self._ways.gateways(cid, root))

    async def record(self, name: Cid) -> None:
        """Fetch the newest record that anybody has. Raises NotFound."""
        key = b"record " + name.multihash
        await asyncio.shield(self._once.start(key, lambda: False, lambda: self._names.record(name)))

    async def dnslink(self, host: str) -> None:
        """Ask the DNS what a domain points at, and remember it, also that it points at nothing."""
        key = b"dnslink " + host.encode()
        await asyncio.shield(self._once.start(key, lambda: False, lambda: self._names.dnslink(host)))

    async def _one(self, cid: Cid, root: Cid | None, attempt: Attempt) -> None:
        if self._dag.has(cid):
            await self.settle()  # damage that was just found may not be on record
            if self._dag.has(cid):
                return
        multihash.verify(cid.multihash, b"")  # refuses what could never be verified
        also = self._ways.gateways(cid, root)

        async def came(source: str, gain: Gain) -> None:
            await attempt(source, gain)
            self._came.came(root or cid, source)

        async def work() -> None:
            damaged = self._damaged_blob(cid)
            try:
                await self._looking.look(_name(cid, also), cid, came, also=also)
            except (NotFound, Unreachable, SourceTimeout) as error:
                await self._search(cid, root, came, also, error)
            if damaged is not None:
                await step(rejoin, self._dag, damaged)

        # one who gives up waiting does not end it for the others; it may be a whole DAG from where it came
        await self._once.awaited(cid.multihash, lambda: self._dag.has(cid), work)

    async def _search(
        self, cid: Cid, root: Cid | None, attempt: Attempt, asked: Sequence[str], error: EdgeError
    ) -> None:
        """Go back to where a block came from, or what it is a part of. Raises `error` when that is vain."""

        async def ask(above: Sequence[Cid], error: EdgeError) -> None:
            more = [each for each in self._ways.gateways(*above) if each not in asked]
            if not more:
                raise error
            await self._looking.look(_name(cid, more), cid, attempt, also=more)

        await self._back(cid, root, error, ask)

    async def _back(
        self,
        cid: Cid,
        root: Cid | None,
        error: EdgeError,
        ask: Callable[[Sequence[Cid], EdgeError], Awaitable[None]] | None = None,
    ) -> None:
        """Have a block from where it, or `root`, came from; or what else it lies below of, after `ask`."""
        try:
            await self._ways.back(cid, (cid, root), error)
            return
        except (NotFound, Unreachable, SourceTimeout) as failure:
            error = failure
        above = [each for each in await self._ways.above(cid) if each not in (cid, root)]
        if ask is not None:
            try:
                await ask(above, error)
                return
            except (NotFound, Unreachable, SourceTimeout) as failure:
                error = failure
        await self._ways.back(cid, above, error)

    def _damaged_blob(self, cid: Cid) -> bytes | None:
        """The blob that a block lies in, where it is damaged there."""
        try:
            found = self._dag.slice(cid)
        except BlobDamaged:
            return None
        return found.blob.root if found is not None and found.is_damaged else None


def _name(cid: Cid, also: Sequence[str]) -> bytes:
    """What a search in vain is remembered by: the same from the same sources."""
    return b" ".join((cid.multihash, *map(str.encode, also)))
