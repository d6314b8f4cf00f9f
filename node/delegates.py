"""Where pins' content may be sent to: this node's own address as a multiaddr with its peer id.

Source: the Pinning Service API 1.0.0 ("delegates"); clients connect to them, and some refuse the whole answer
when one lacks `/p2p/…`.
"""

from gateway.hosts import Hosts, is_address, split_host
from net.http1 import Request


class Delegates:
    """The node's multiaddrs, as each client reaches it."""

    def __init__(self, hosts: Hosts, public_url: str | None, peer_id: str) -> None:
        """`public_url`: the same address for all clients; None: the host that a client asked."""
        self._hosts = hosts
        self._peer_id = peer_id
        self._fixed = None if public_url is None else (multiaddr(public_url, peer_id),)

    def __call__(self, request: Request) -> tuple[str, ...]:
        """The delegates to name in the answer to `request`. Raises BadRequest for a bad forwarded host."""
        if self._fixed is not None:
            return self._fixed
        site = self._hosts.site(request)
        return (multiaddr(f"{site.scheme}://{site.base or 'localhost'}", self._peer_id),)


def multiaddr(origin: str, peer_id: str) -> str:
    """`/dns4|ip4|ip6/HOST/tcp/PORT[/tls]/http/p2p/ID` of http(s)://host[:port], which was checked."""
    scheme, _, place = origin.rstrip("/").partition("://")
    host, port = split_host(place)
    host = host.strip("[]")
    usual = 443 if scheme == "https" else 80
    number = int(port) if port and 0 < int(port) < 65_536 else usual
    kind = "dns4" if not is_address(host) else "ip6" if ":" in host else "ip4"
    return f"/{kind}/{host}/tcp/{number}{'/tls' if scheme == 'https' else ''}/http/p2p/{peer_id}"
