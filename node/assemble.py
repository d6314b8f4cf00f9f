"""The one place that knows both sides of every port: a store, its tokens and what serves them."""

from dataclasses import dataclass

from blockstore import Store
from gateway.app import AccessRules, Gateway
from handshake.tokens import Tokens
from node.start import Start


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
    store = Store.open(start.node.data, start.store)
    tokens = Tokens.open(start.node.data)
    app = Gateway(store, tokens, AccessRules(anonymous_read=start.node.anonymous_read))
    return Appliance(store, tokens, app)
