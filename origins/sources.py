"""Whom to ask for what: the configured gateways, those who gave something lately, and whom routers name."""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from content.cid import Cid
from net.outbound import Outbound
from origins.meter import OriginMeter
from origins.provider_records import providers
from origins.scores import Scores
from origins.settings import OriginSettings
from runtime.clock import Clock
from runtime.errors import EdgeError

log = logging.getLogger("fleek.origins")

_ANSWER_BYTES_MAX: Final = 1 << 20
_ROUTER_S: Final = 5.0
# Providers come and go over hours; that there are none may change with the next announcement
_FOUND_S: Final = 60.0
_NONE_S: Final = 10.0
_MEMO: Final = 1024
# Who provides a root has what is below it too, although routers often know the root alone
_RECENT: Final = 8
_RETRY_AFTER_MAX_S: Final = 60.0


class Sources:
    """The sources of one worker."""

    def __init__(
        self, outbound: Outbound, strict: Outbound, settings: OriginSettings, clock: Clock, meter: OriginMeter
    ) -> None:
        """`strict`: for those that neither the operator nor a router named."""
        self._outbound, self._strict, self._clock, self._meter = outbound, strict, clock, meter
        self._trusted: dict[str, None] = {}
        self._gateways = [url.rstrip("/") for url in settings.gateways]
        self._routers = [url.rstrip("/") for url in settings.routers]
        self._recent: deque[str] = deque(maxlen=_RECENT)
        self._known: dict[bytes, tuple[float, list[str]]] = {}
        self._told: dict[str, None] = {}
        self.scores = Scores()

    def of(self, cid: Cid, without: Collection[str] = (), also: Sequence[str] = ()) -> "CidSources":
        """Sources for one thing, to be asked one after the other; `also`: some that are said to have it."""
        return CidSources(self, cid, without, also)

    def tell(self, sources: Iterable[str]) -> None:
        """These were named for one thing by who asked for it: they are never asked for any other."""
        for each in sources:
            while len(self._told) >= _MEMO:
                del self._told[next(iter(self._told))]
            self._told[each] = None

    def trust(self, source: str) -> None:
        """The operator, or a router of theirs, named it. One that is forgotten is dialled as any other."""
        while len(self._trusted) >= _MEMO:
            del self._trusted[next(iter(self._trusted))]
        self._trusted[source] = None

    def is_trusted(self, source: str) -> bool:
        """Whether `origins.allow_nets` holds for it."""
        return source in self._gateways or source in self._trusted

    def outbound_to(self, source: str) -> Outbound:
        """What it is dialled with."""
        return self._outbound if self.is_trusted(source) else self._strict

    def order(self, sources: list[str]) -> list[str]:
        """Those that may be asked now, best first."""
        return self.scores.order(sources, self._clock.tick_s())

    def at_hand(self) -> list[str]:
        """Everyone who can be asked without asking a router first."""
        return list(dict.fromkeys([*self._gateways, *self._recent]))

    def rest_s(self, without: Collection[str] = (), also: Sequence[str] = ()) -> float | None:
        """Seconds until one of those at hand who rest may be asked again; None when none rests."""
        sources = [each for each in (*also, *self.at_hand()) if each not in without]
        return self.scores.rest_s(sources, self._clock.tick_s())

    async def named(self, cid: Cid) -> list[str]:
        """Whom the routers name as providers; asked at most once a minute for the same thing."""
        now_s = self._clock.tick_s()
        kept = self._known.get(cid.multihash)
        if kept is not None and kept[0] > now_s:
            return kept[1]
        answers = await asyncio.gather(*(self._ask(router, cid) for router in self._routers))
        found = list(dict.fromkeys(each for some in answers for each in some))
        while len(self._known) >= _MEMO:
            del self._known[next(iter(self._known))]
        for each in found:
            self.trust(each)
        self._known[cid.multihash] = (now_s + (_FOUND_S if found else _NONE_S), found)
        return found

    async def _ask(self, router: str, cid: Cid) -> list[str]:
        url = f"{router}/routing/v1/providers/{cid}?filter-protocols=unknown,transport-ipfs-gateway-http"
        self._meter.request("providers")
        try:
            reply = await self._outbound.get(
                url,
                accept="application/x-ndjson, application/json;q=0.9",
                max_bytes=_ANSWER_BYTES_MAX,
                deadline_s=_ROUTER_S,
            )
            async with reply:
                return providers(await reply.read()) if reply.status == 200 else []
        except EdgeError as error:
            self._meter.failure(error)
            log.info("router %s: %s", router, error.message)
            return []

    def answered(self, source: str, started_s: float, size_bytes: int) -> None:
        """A source gave what was asked, since `started_s` of the clock."""
        self.scores.answered(source, self._clock.tick_s() - started_s, size_bytes)
        if source not in self._gateways and source not in self._told:
            if source in self._recent:
                self._recent.remove(source)
            self._recent.appendleft(source)

    def failed(self, source: str, retry_after: str | None = None) -> None:
        """A source did not answer as it should; it rests, as long as it wishes within reason."""
        self._meter.demotion()
        self.scores.failed(source, self._clock.tick_s(), self._wished_s(retry_after))

    def lied(self, source: str, error: EdgeError) -> None:
        """A source gave what is not what was asked for; it is left out for ten minutes."""
        self._meter.demotion()
        log.warning("%s is not asked for a while: %s (%s)", source, error.message, error.where)
        self.scores.lied(source, self._clock.tick_s())

    def _wished_s(self, retry_after: str | None) -> float | None:
        """What `Retry-After` says, in seconds or as a date (RFC 9110 §10.2.3), within bounds."""
        if retry_after is None:
            return None
        if retry_after.isdecimal() and len(retry_after) < 10:
            wished = float(retry_after)
        else:
            try:
                wished = parsedate_to_datetime(retry_after).timestamp() - self._clock.now_s()
            except (ValueError, OverflowError):
                return None
        return min(max(wished, 1.0), _RETRY_AFTER_MAX_S)


class CidSources:
    """`hedge.Candidates` for one CID. Routers are asked only when everyone at hand was."""

    def __init__(self, sources: Sources, cid: Cid, without: Collection[str], also: Sequence[str]) -> None:
        self._sources, self._cid, self._also = sources, cid, also
        self._asked: set[str] = set(without)
        self._chosen: list[str] = []
        self._named: list[str] | None = None

    async def next(self) -> str | None:
        """See `hedge.Candidates.next`."""
        found = self._best([*self._also, *self._sources.at_hand()])
        if found is None:
            if self._named is None:
                self._named = await self._sources.named(self._cid)
            found = self._best(self._named)
        if found is not None:
            self._asked.add(found)
            self._chosen.append(found)
            self._sources.scores.chosen(found)
        return found

    def over(self) -> None:
        """The search has ended: those it settled on are as free as they were."""
        while self._chosen:
            self._sources.scores.chosen(self._chosen.pop(), -1)

    def _best(self, sources: list[str]) -> str | None:
        return next((each for each in self._sources.order(sources) if each not in self._asked), None)
