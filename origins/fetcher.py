"""Brings here what is not here: blocks and DAGs from trustless gateways and providers, names from routers.

Theory of operation. A block is asked for by its CID. If it has links, it is asked for as a CAR of its entity
(a file with all its blocks, a directory with its shards): the first block answers the one who waits, the rest
goes on arriving behind it, and who needs one of those waits for it. A raw block is asked for alone. Sources
are asked in the order of how they did lately; one that does not answer soon gets company (hedging), and the
first true answer counts. What a source says is never believed: each block is hashed (`content.car`,
`content.block`), and a source that lied is left out for a while.

Invariants
 1. Nothing enters the store that did not match its CID.
 2. One fetch a CID at a time over all workers; the kernel frees what a dead worker held.
 3. Fetches at once, bytes of an answer and time are bounded.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol
from urllib.parse import quote

from blockstore import Store
from blockstore.importing import flatten
from blockstore.landings import Landings
from content import ipns
from content.block import MAX_BLOCK_BYTES, Block
from content.car import CarReader
from content.cid import RAW, Cid
from net.outbound import Outbound
from origins.fills import Fills
from origins.scores import Scores
from origins.settings import OriginSettings
from runtime.clock import Clock
from runtime.errors import BadRequest, EdgeError, NotFound, SourceTimeout, TooLarge, Unreachable, Unverified

log = logging.getLogger("fleek.origins")

_RAW_TYPE: Final = "application/vnd.ipld.raw"
_CAR_TYPE: Final = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
_RECORD_TYPE: Final = "application/vnd.ipfs.ipns-record"
# A CAR of one entity: a file may be this large; more than that is asked for block by block
_CAR_BYTES_MAX: Final = 64 << 30
_PROVIDERS_BYTES_MAX: Final = 1 << 20
_PROVIDERS_MAX: Final = 16
_POLL_S: Final = 0.02
_POLL_MAX_S: Final = 0.25


class Links(Protocol):
    """Who remembers DNSLinks."""

    def learn(self, host: str, path: str | None, ttl_s: float) -> None:
        """Remember what the DNS said."""
        ...


class Records(Protocol):
    """Who keeps IPNS records."""

    def keep(self, name: Cid, raw: bytes) -> ipns.Record:
        """Keep a record if it is valid and newer."""
        ...


Resolver = Callable[[str], Awaitable[tuple[str | None, float]]]


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
    ) -> None:
        self._store, self._dag, self._outbound, self._settings = store, store.dag, outbound, settings
        self._clock, self._records, self._links, self._resolver = clock, records, links, resolver
        self._fills = Fills(store.backing.index.path.parent / "run" / "fills")
        self._scores = Scores()
        self._under_way: dict[bytes, asyncio.Task[None]] = {}
        self._streams: dict[bytes, asyncio.Task[None]] = {}
        self._arrivals: dict[bytes, list[asyncio.Future[None]]] = {}
        self._turns = asyncio.Semaphore(settings.max_fetches)

    def close(self) -> None:
        """Stop what is under way."""
        for task in (*self._under_way.values(), *self._streams.values()):
            task.cancel()
        self._fills.close()

    # Blocks

    async def block(self, cid: Cid) -> None:
        """Return when the block is here. Raises NotFound, Unreachable, SourceTimeout."""
        if self._dag.has(cid) or await self._arriving(cid):
            return
        task = self._under_way.get(cid.multihash)
        if task is None:
            task = asyncio.create_task(self._one_fill(cid))
            self._under_way[cid.multihash] = task
            task.add_done_callback(lambda _: self._under_way.pop(cid.multihash, None))
        # one who gives up waiting does not end it for the others
        await asyncio.shield(task)

    async def _arriving(self, cid: Cid) -> bool:
        """Wait while streams are under way that may bring the block; whether one did."""
        while self._streams and not self._dag.has(cid):
            arrival = asyncio.get_running_loop().create_future()
            self._arrivals.setdefault(cid.multihash, []).append(arrival)
            try:
                streams = list(self._streams.values())
                await asyncio.wait([arrival, *streams], return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._arrivals.get(cid.multihash, []).clear()
        return self._dag.has(cid)

    async def _one_fill(self, cid: Cid) -> None:
        """Fetch, or wait for the worker that does."""
        pause_s = _POLL_S
        try:
            async with asyncio.timeout(self._settings.fetch_timeout_s):
                while not self._fills.take(cid.multihash):
                    await asyncio.sleep(pause_s)
                    pause_s = min(_POLL_MAX_S, pause_s * 1.5)
                    if self._dag.has(cid):
                        return
                try:
                    if not self._dag.has(cid):
                        async with self._turns:
                            await self._hedged(cid)
                finally:
                    self._fills.give(cid.multihash)
        except TimeoutError:
            text = f"nobody gave the block within {self._settings.fetch_timeout_s:g} s"
            raise SourceTimeout(text, where=cid.text()) from None

    async def _hedged(self, cid: Cid) -> None:
        """Ask the sources one after the other, each a little later, until one gave the block."""
        sources = await self._sources(cid)
        asking: set[asyncio.Task[None]] = set()
        problem: EdgeError = NotFound("no source is known for this block", where=cid.text())
        try:
            while sources or asking:
                if sources:
                    asking.add(asyncio.create_task(self._from(sources.pop(0), cid)))
                wait_s = self._settings.hedge_s if sources else None
                done, asking = await asyncio.wait(asking, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    error = task.exception()
                    if error is None:
                        return
                    if not isinstance(error, EdgeError):
                        raise error
                    problem = error
        finally:
            for task in asking:
                task.cancel()
        if isinstance(problem, NotFound):
            raise NotFound("nobody who was asked has this block", where=cid.text())
        raise Unreachable(f"the block could not be fetched: {problem.message}", where=cid.text())

    async def _sources(self, cid: Cid) -> list[str]:
        """Base URLs to ask: the configured gateways, then providers that routers name."""
        gateways = [url.rstrip("/") for url in self._settings.gateways]
        ordered = self._scores.order(gateways, self._clock.tick_s())
        found = await asyncio.gather(*(self._providers(router, cid) for router in self._settings.routers))
        providers = [each for some in found for each in some if each not in gateways]
        return ordered + self._scores.order(providers[:_PROVIDERS_MAX], self._clock.tick_s())

    async def _providers(self, router: str, cid: Cid) -> list[str]:
        url = f"{router.rstrip('/')}/routing/v1/providers/{cid}"
        try:
            reply = await self._outbound.get(
                url, accept="application/json", max_bytes=_PROVIDERS_BYTES_MAX, deadline_s=5.0
            )
            async with reply:
                return providers(await reply.read()) if reply.status == 200 else []
        except EdgeError as error:
            log.info("router %s: %s", router, error.message)
            return []

    async def _from(self, source: str, cid: Cid) -> None:
        """Get the block from one source, and what comes behind it. Raises EdgeError."""
        started_s = self._clock.tick_s()
        try:
            if cid.codec == RAW:
                await self._raw(source, cid)
            else:
                await self._car(source, cid)
        except (Unverified, BadRequest, TooLarge) as error:
            self._scores.lied(source, self._clock.tick_s())
            log.warning("%s gave what is not %s: %s", source, cid, error.message)
            raise Unreachable("a source gave something else", where=source) from None
        except EdgeError:
            self._scores.failed(source)
            raise
        self._scores.answered(source, self._clock.tick_s() - started_s)

    async def _raw(self, source: str, cid: Cid) -> None:
        reply = await self._outbound.get(
            f"{source}/ipfs/{cid}?format=raw",
            accept=_RAW_TYPE,
            max_bytes=MAX_BLOCK_BYTES,
            deadline_s=self._settings.fetch_timeout_s,
        )
        async with reply:
            _check_status(reply.status, source)
            block = Block.verified(cid, await reply.read())
        await asyncio.to_thread(self._dag.put, [block])
        self._arrived(cid.multihash)

    async def _car(self, source: str, cid: Cid) -> None:
        """Take the CAR of an entity; returns when its root is here, the rest goes on arriving."""
        reply = await self._outbound.get(
            f"{source}/ipfs/{cid}?format=car&dag-scope=entity",
            accept=_CAR_TYPE,
            max_bytes=_CAR_BYTES_MAX,
            deadline_s=self._settings.fetch_timeout_s,
        )
        if reply.status != 200 or "ipld.car" not in (reply.fields.get("content-type") or ""):
            reply.close()
            _check_status(reply.status, source)
            await self._raw(source, cid)  # a gateway of single blocks
            return
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def stream() -> None:
            try:
                async with reply:
                    await self._take_car(reply.pieces(), cid, first)
            except EdgeError as error:
                if not first.done():
                    first.set_exception(error)
                else:
                    if isinstance(error, (Unverified, BadRequest)):
                        self._scores.lied(source, self._clock.tick_s())
                    log.info("a CAR of %s from %s broke off: %s", cid, source, error.message)
            finally:
                self._streams.pop(cid.multihash, None)
                if not first.done():
                    first.set_exception(NotFound("the CAR does not hold what it is of", where=source))

        self._streams[cid.multihash] = asyncio.create_task(stream())
        try:
            await first
        except asyncio.CancelledError:
            task = self._streams.get(cid.multihash)
            if task is not None:
                task.cancel()
            raise

    async def _take_car(self, pieces: AsyncIterator[bytes], cid: Cid, first: "asyncio.Future[None]") -> None:
        reader, landings = CarReader(), Landings()

        def take(data: bytes) -> list[bytes]:
            """On a thread: hash, store, wait for the disk where somebody waits for the block."""
            names = []
            for block in reader.feed(data):
                self._dag.put_soon(block, landings)
                names.append(block.cid.multihash)
            landings.wait()
            return names

        async for data in pieces:
            for name in await asyncio.to_thread(take, data):
                self._arrived(name)
                if name == cid.multihash and not first.done():
                    first.set_result(None)
        reader.end()
        if self._dag.has(cid):
            await asyncio.to_thread(flatten, self._dag, cid)

    def _arrived(self, multihash: bytes) -> None:
        for arrival in self._arrivals.pop(multihash, ()):
            if not arrival.done():
                arrival.set_result(None)

    # Names

    async def record(self, name: Cid) -> None:
        """Fetch the newest record that anybody has. Raises NotFound."""
        text = ipns.name_text(name)
        urls = [f"{router.rstrip('/')}/routing/v1/ipns/{text}" for router in self._settings.routers]
        urls += [f"{each.rstrip('/')}/ipns/{text}?format=ipns-record" for each in self._settings.gateways]
        found = await asyncio.gather(*(self._record_from(url, name) for url in urls))
        if not any(found):
            raise NotFound("nobody who was asked has a valid record of this name", where=text)

    async def _record_from(self, url: str, name: Cid) -> bool:
        try:
            reply = await self._outbound.get(
                url, accept=_RECORD_TYPE, max_bytes=ipns.MAX_RECORD_BYTES, deadline_s=10.0
            )
            async with reply:
                if reply.status != 200:
                    return False
                raw = await reply.read()
            await asyncio.to_thread(self._records.keep, name, raw)
        except EdgeError as error:
            log.info("no record from %s: %s", url, error.message)
            return False
        return True

    async def dnslink(self, host: str) -> None:
        """Ask the DNS what a domain points at, and remember it, also that it points at nothing."""
        if self._resolver is None:
            self._links.learn(host, None, 60.0)
            raise NotFound("the DNS is not asked by this node", where=host)
        path, ttl_s = await self._resolver(host)
        self._links.learn(host, path, ttl_s)


def providers(raw: bytes) -> list[str]:
    """Base URLs of the HTTP providers in a routing answer; what is malformed is passed over."""
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        found = []
        for record in json.loads(raw).get("Providers", [])[:_PROVIDERS_MAX]:
            for address in record.get("Addrs") or ():
                base = base_url(str(address))
                if base is not None and base not in found:
                    found.append(base)
        return found
    return []


def base_url(multiaddr: str) -> str | None:
    """`/dns|ip4|ip6/HOST/tcp/PORT[/tls][/http|/https]` as a base URL; None for any other transport."""
    parts = multiaddr.split("/")
    if (
        len(parts) < 6
        or parts[0]
        or parts[1] not in ("dns", "dns4", "dns6", "ip4", "ip6")
        or parts[3] != "tcp"
    ):
        return None
    rest = parts[5:]
    if "https" in rest or ("tls" in rest and "http" in rest):
        scheme = "https"
    elif "http" in rest:
        scheme = "http"
    else:
        return None
    host = f"[{parts[2]}]" if parts[1] == "ip6" else quote(parts[2], safe=".-_")
    return f"{scheme}://{host}:{parts[4]}" if parts[4].isdigit() else None


def _check_status(status: int, source: str) -> None:
    if status == 200:
        return
    if status in (404, 410, 412):
        raise NotFound("the source does not have it", where=source)
    raise Unreachable(f"the source answered {status}", where=source)
