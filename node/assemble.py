"""The one place that knows both sides of every port: a store, its tokens and what serves them."""

from dataclasses import dataclass

from blockstore import Store
from gateway.app import AccessRules, Gateway
from gateway.content_app import ContentApp
from gateway.denylist import Denylist
from gateway.dnslinks import DnsLinks
from gateway.hosts import Hosts
from gateway.mutable import Names
from gateway.routing_answer import Routing
from handshake.tokens import Tokens
from node.start import Start
from runtime.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Appliance:
    """What a serving process is made of."""

    store: Store
    tokens: Tokens
    app: Gateway

    def close(self) -> None:
        """Finish the writes in flight and close everything. Blocks until they are durable."""
        self.tokens.close()
        self.store.close()


def assemble(start: Start) -> Appliance:
    """Open the data folder and join the services. Raises EdgeError."""
    clock = SystemClock()
    store = Store.open(start.node.data, start.store)
    tokens = Tokens.open(start.node.data)
    links = DnsLinks.load(start.gateway.dnslink_file, clock.tick_s)
    hosts = Hosts(start.gateway.subdomain_hosts, start.gateway.trusted_proxies, links.is_known)
    names = Names(store.dag, links, clock.now_s)
    deny = Denylist.load(start.gateway.denylists, store.dag)
    content = ContentApp(store.dag, hosts, names, deny, None)
    routing = Routing(store.dag, names, deny, tokens, "")
    rules = AccessRules(anonymous_read=start.node.anonymous_read, max_misses=start.gateway.max_misses)
    return Appliance(store, tokens, Gateway(store, tokens, rules, content, routing))
