"""IPNS records from routers and gateways, and DNSLinks from the DNS."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from content import ipns
from content.cid import Cid
from net.outbound import Outbound
from origins.absences import Absences
from origins.meter import OriginMeter
from origins.settings import OriginSettings
from origins.steps import step
from runtime.clock import Clock
from runtime.errors import EdgeError, NotFound

log = logging.getLogger("fleek.origins")

_RECORD_TYPE: Final = "application/vnd.ipfs.ipns-record"
_RECORD_S: Final = 10.0
_NO_DNS_S: Final = 60.0


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


class NameFetch:
    """Asks others what a name points at."""

    def __init__(
        self,
        outbound: Outbound,
        settings: OriginSettings,
        records: Records,
        links: Links,
        resolver: Resolver | None,
        meter: OriginMeter,
        clock: Clock,
    ) -> None:
        self._outbound, self._settings, self._clock, self._meter = outbound, settings, clock, meter
        self._records, self._links, self._resolver = records, links, resolver
        self._absences = Absences()

    async def record(self, name: Cid) -> None:
        """Fetch the newest record that anybody has, and have it kept. Raises NotFound."""
        text = ipns.name_text(name)
        self._absences.check(name.multihash, self._clock.tick_s(), text)
        urls = [f"{router.rstrip('/')}/routing/v1/ipns/{text}" for router in self._settings.routers]
        urls += [f"{each.rstrip('/')}/ipns/{text}?format=ipns-record" for each in self._settings.gateways]
        found = await asyncio.gather(*(self._record_from(url, name) for url in urls))
        if not any(found):
            problem = NotFound("nobody who was asked has a valid record of this name", where=text)
            self._absences.learn(name.multihash, problem, self._clock.tick_s())
            raise problem

    async def _record_from(self, url: str, name: Cid) -> bool:
        self._meter.request("record")
        try:
            reply = await self._outbound.get(
                url, accept=_RECORD_TYPE, max_bytes=ipns.MAX_RECORD_BYTES, deadline_s=_RECORD_S
            )
            async with reply:
                if reply.status != 200:
                    raise NotFound(f"the answer is {reply.status}")
                raw = await reply.read()
            await step(self._records.keep, name, raw)
        except EdgeError as error:
            self._meter.failure(error)
            log.info("no record from %s: %s", url, error.message)
            return False
        return True

    async def dnslink(self, host: str) -> None:
        """Ask the DNS what a domain points at, and remember it, also that it points at nothing."""
        if self._resolver is None:
            self._links.learn(host, None, _NO_DNS_S)
            raise NotFound("the DNS is not asked by this node", where=host)
        path, ttl_s = await self._resolver(host)
        self._links.learn(host, path, ttl_s)
