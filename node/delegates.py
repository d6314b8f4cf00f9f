"""Where pins' content may be sent to: this node's own address as a multiaddr with its peer id.

Source: the Pinning Service API 1.0.0 ("delegates"); clients connect to them, and some refuse the whole answer
when one lacks `/p2p/…`.
"""

from gateway.hosts import Hosts, Site
from gateway.routing_records import multiaddr
from net.http1 import Request


class Delegates:
    """The node's multiaddrs, as each client reaches it."""

    def __init__(self, hosts: Hosts, public_url: str | None, peer_id: str) -> None:
        """`public_url`: the same address for all clients; None: the host that a client asked."""
        self._hosts = hosts
        self._peer_id = peer_id
        self._fixed: tuple[str, ...] | None = None
        if public_url is not None:
            scheme, _, place = public_url.rstrip("/").partition("://")
            self._fixed = self._at(hosts.of(place, scheme))

    def __call__(self, request: Request) -> tuple[str, ...]:
        """The delegates to name in the answer to `request`. Raises BadRequest for a bad forwarded host."""
        return self._fixed or self._at(self._hosts.site(request))

    def _at(self, site: Site) -> tuple[str, ...]:
        return (f"{multiaddr(site, 'dns4')}/p2p/{self._peer_id}",)
