"""The one place that knows both sides of every port: a store, its tokens and what serves them."""

import ssl
from dataclasses import dataclass

from blockstore import Store
from content.cid import Cid
from gateway.app import AccessRules, Gateway
from gateway.content_app import ContentApp
from gateway.deny_rules import load
from gateway.denylist import Denylist
from gateway.dnslinks import DnsLinks
from gateway.hosts import Hosts
from gateway.mutable import Names
from gateway.routing_answer import Routing
from handshake.tokens import Tokens
from net.bearer import Caller
from net.dnslink import lookup
from net.guard import Guard
from net.outbound import Outbound, OutboundLimits, Outbounds
from node.delegates import Delegates
from node.front import Front
from node.identity import peer_id, signing_key
from node.start import Start
from node.uploads import PATHS as UPLOADS
from node.uploads import upload_service
from origins.fetcher import Fetcher
from origins.meter import OriginMeter
from pinning.api import BASE as PINNING
from pinning.api import Extra, PinApi
from pinning.origins_answer import origins_answer
from pinning.pins import Pins
from pinning.proof_answer import proof_answer, proved_answer
from pinning.size_answer import size_answer
from runtime.clock import SystemClock
from runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class Appliance:
    """What a serving process is made of."""

    store: Store
    tokens: Tokens
    app: Front
    gateway: Gateway
    pinning: PinApi
    fetcher: Fetcher | None

    def close(self) -> None:
        """Finish the writes in flight and close everything. Blocks until they are durable.

        The fetcher belongs to the loop: it is closed there, before.
        """
        self.pinning.close()
        self.tokens.close()
        self.store.close()


def assemble(start: Start) -> Appliance:
    """Open the data folder and join the services. Raises EdgeError."""
    clock = SystemClock()
    store = Store.open(start.node.data, start.store)
    tokens = Tokens.open(start.node.data)
    links = DnsLinks.load(start.gateway.dnslink_file, clock.tick_s)
    may_dial = not start.node.offline
    asks_dns = may_dial and start.gateway.dnslink_dns and start.gateway.dnslink_hosts
    hosts = Hosts(
        start.gateway.subdomain_hosts,
        start.gateway.trusted_proxies,
        links.is_known,
        lambda host: asks_dns and not links.is_known(host) and not links.is_absent(host),
        asks_dns=asks_dns,
    )
    names = Names(store.dag, links, clock.now_s)
    deny = Denylist(load(start.gateway.denylists), store.dag, store.board.generation)
    fetcher = fetcher_of(start, store, names, links, clock) if may_dial else None
    content = ContentApp(store.dag, hosts, names, deny, fetcher)
    peer = peer_id(start.node.data)
    routing = Routing(store.dag, names, deny, tokens, peer)
    rules = AccessRules(anonymous_read=start.node.anonymous_read, max_misses=start.gateway.max_misses)
    gateway = Gateway(store, tokens, rules, content, routing)
    pins = Pins(store, start.pinning.limits)
    delegates = Delegates(hosts, start.node.public_url, peer)
    key = signing_key(start.node.data)
    extras: dict[str, Extra] = {
        "origins": lambda who, cid: origins_answer(store, cid, who.account),
        "size": lambda who, cid: size_answer(
            store, pins, clock.tick_s, lambda each: _check_may_read(start, deny, who, each), who.account, cid
        ),
        "proof": lambda who, asked: proof_answer(
            store, pins, key, deny.check, clock.now_s(), who.account, asked
        ),
        "proved": lambda who, request_id: proved_answer(store, pins, who.account, request_id),
    }
    pinning = PinApi(pins, tokens, deny, delegates, clock, extras)
    uploads = upload_service(start, store, pins, tokens, deny, clock)
    front = Front(gateway, hosts, ((PINNING, pinning), *((path, uploads) for path in UPLOADS)))
    return Appliance(store, tokens, front, gateway, pinning, fetcher)


def _check_may_read(start: Start, deny: Denylist, who: Caller, cid: Cid) -> None:
    """Raise what the gateway would refuse this caller this content with."""
    if not start.node.anonymous_read:
        who.require("read")
    deny.check(cid)


def fetcher_of(start: Start, store: Store, names: Names, links: DnsLinks, clock: SystemClock) -> Fetcher:
    """What brings here what is not here; belongs to the running loop. Raises UsageError."""
    settings = start.origins
    try:
        tls = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as fault:
        raise UsageError(
            f"the certificate authorities cannot be read: {fault}", where="origins.ca_file"
        ) from None
    outbound = Outbound(Guard(settings.allow_nets), OutboundLimits(), tls)
    strict = Outbound(
        Guard(settings.allow_nets_for_accounts, "origins.allow_nets_for_accounts"), OutboundLimits(), tls
    )
    resolver = lookup if start.gateway.dnslink_dns else None
    meter = OriginMeter(store.board.slot(start.slot))
    return Fetcher(store, Outbounds(outbound, strict), settings, clock, names, links, resolver, meter)
