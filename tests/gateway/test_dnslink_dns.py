"""Domains that the DNS is asked for: once, for as long as it says; also where it has nothing."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from blockstore import Store
from content.block import Block
from content.cid import RAW
from gateway.app import AccessRules, Gateway
from gateway.content_app import ContentApp
from gateway.deny_rules import Rules
from gateway.denylist import Denylist
from gateway.dnslinks import DnsLinks
from gateway.hosts import Hosts
from gateway.mutable import Names
from gateway.routing_answer import Routing
from handshake.tokens import Tokens
from net.answer import Answer
from net.dnslink import lookup
from net.guard import Guard
from net.http1 import HeadReader
from net.limits import HttpLimits
from net.outbound import Outbound, OutboundLimits, Outbounds
from origins.fetcher import Fetcher
from origins.meter import OriginMeter
from origins.settings import OriginSettings
from runtime.board import SLOT_WORDS
from tests.manual_clock import ManualClock
from tests.net import dns_server
from tests.net.dns_server import Server

HELLO = Block.sealed(RAW, b"hello\n")
SITE, NONE = "_dnslink.site.example.", "_dnslink.none.example."
TABLE = {
    SITE: dns_server.Answer(f"dnslink=/ipfs/{HELLO.cid}", ttl_s=60),
    "_dnslink.broken.example.": dns_server.Answer(rcode="SERVFAIL"),
}


class Asking:
    """A gateway in this process, which asks a DNS server of the test's own."""

    def __init__(self, store: Store, tokens: Tokens, server: Server) -> None:
        self.server, self.clock = server, ManualClock()
        links = DnsLinks({}, self.clock.tick_s)
        names = Names(store.dag, links, self.clock.now_s)
        hosts = Hosts(
            ("localhost",),
            (),
            links.is_known,
            lambda host: not links.is_known(host) and not links.is_absent(host),
            asks_dns=True,
        )
        deny = Denylist(Rules(), store.dag, store.board.generation)
        outbound, resolver = Outbound(Guard(()), OutboundLimits()), server.resolver()
        self.fetcher = Fetcher(
            store,
            Outbounds(outbound, outbound),
            OriginSettings(),
            self.clock,
            names,
            links,
            lambda host: lookup(host, resolver),
            OriginMeter(memoryview(bytearray(8 * SLOT_WORDS)).cast("Q")),
        )
        content = ContentApp(store.dag, hosts, names, deny, self.fetcher)
        self.gateway = Gateway(
            store, tokens, AccessRules(), content, Routing(store.dag, names, deny, tokens, "")
        )

    async def get(self, path: str, host: str = "127.0.0.1", more: str = "") -> Answer:
        """The answer to a GET."""
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"
        taken = HeadReader(HttpLimits()).take(head.encode())
        assert taken is not None
        answer = self.gateway.decide(taken[0])
        return answer if answer is not None else await self.gateway.handle(taken[0], nothing())

    async def statuses(self, path: str, host: str = "127.0.0.1", *, times: int = 5) -> list[int]:
        """Those of so many GETs, one after the other."""
        return [(await self.get(path, host)).status for _ in range(times)]


async def nothing() -> AsyncIterator[bytes]:
    """The body of a GET."""
    none: tuple[bytes, ...] = ()
    for piece in none:
        yield piece


@asynccontextmanager
async def asking(folder: Path) -> AsyncIterator[Asking]:
    with Store.open(folder / "data") as store:
        store.dag.put([HELLO])
        tokens = Tokens.open(folder / "data")
        async with dns_server.dns_server(TABLE) as server:
            made = Asking(store, tokens, server)
            yield made
            await made.fetcher.close()
        tokens.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def test_a_domain_is_asked_for_once_and_again_when_its_time_is_over(tmp_path: Path) -> None:
    async def test() -> None:
        async with asking(tmp_path) as here:
            assert await here.statuses("/ipns/site.example/") == [200] * 5
            assert here.server.asked == [SITE]
            assert ("Cache-Control", "public, max-age=60") in (await here.get("/ipns/SITE.example/")).fields
            here.clock.now += 61
            assert await here.statuses("/ipns/site.example/") == [200] * 5
            assert here.server.asked == [SITE] * 2

    run(test())


def test_many_who_ask_at_once_ask_the_dns_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with asking(tmp_path) as here:
            answers = await asyncio.gather(*(here.get("/ipns/site.example/") for _ in range(20)))
            assert [answer.status for answer in answers] == [200] * 20
            assert here.server.asked == [SITE]

    run(test())


def test_a_domain_without_a_link_is_asked_for_once_a_minute(tmp_path: Path) -> None:
    async def test() -> None:
        async with asking(tmp_path) as here:
            answer = await here.get("/ipns/none.example/a")
            assert answer.status == 502
            assert isinstance(answer.body, bytes)
            assert b"could not resolve name" in answer.body
            assert await here.statuses("/ipns/none.example/b") == [502] * 5
            cached = await here.get("/ipns/none.example/", more="Cache-Control: only-if-cached\r\n")
            assert cached.status == 412
            assert here.server.asked == [NONE]
            here.clock.now += 61
            assert await here.statuses("/ipns/none.example/a") == [502] * 5
            assert here.server.asked == [NONE] * 2

    run(test())


def test_a_host_is_looked_up_once_whatever_it_is(tmp_path: Path) -> None:
    async def test() -> None:
        async with asking(tmp_path) as here:
            assert await here.statuses("/", "site.example") == [200] * 5
            assert await here.statuses(f"/ipfs/{HELLO.cid}", "site.example") == [404] * 5
            assert await here.statuses(f"/ipfs/{HELLO.cid}", "none.example") == [200] * 5
            assert here.server.asked == [SITE, NONE]

    run(test())


@pytest.mark.parametrize("host", ["127.0.0.1", "broken.example"])
def test_a_dns_that_fails_is_an_error_that_may_pass(tmp_path: Path, host: str) -> None:
    async def test() -> None:
        async with asking(tmp_path) as here:
            answer = await here.get("/ipns/broken.example/", host)
            assert answer.status in (502, 504)
            assert dict(answer.fields)["Retry-After"]
            assert len(here.server.asked) < 10, "the resolver tries again, and nobody else does"

    run(test())
