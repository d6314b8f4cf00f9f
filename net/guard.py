"""Which addresses this node may dial. Pure.

A URL from outside (a redirect, a provider record, a customer's origin) must not make a node talk to its own
machine or network (server-side request forgery). So every address is judged after the name was resolved and
the connection goes to exactly the address that was judged. Sources: the IANA special-purpose address
registries for IPv4 and IPv6 (RFC 6890), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from runtime.errors import Forbidden, UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
# All of IPv6 that is not global unicast is refused, and inside it what tunnels to somewhere else
_GLOBAL_V6: Final = IPv6Network("2000::/3")
_REFUSED_V6: Final = tuple(
    IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_URL_MAX: Final = 4096
_PORTS_REFUSED: Final = frozenset(range(1, 80)) | frozenset(range(81, 443))  # mail, ssh and their like


class Guard:
    """The rule for one node: public addresses, and the networks its operator allows besides."""

    def __init__(self, allow_nets: Iterable[str] = (), setting: str = "origins.allow_nets") -> None:
        """`allow_nets`: networks as `10.1.0.0/16`; `setting`: where they are set. Raises UsageError."""
        self._setting = setting
        try:
            self._allowed: tuple[Network, ...] = tuple(ip_network(text) for text in allow_nets)
        except ValueError as error:
            raise UsageError(f"not a network: {error}", where=setting) from None

    def check(self, address: str) -> None:
        """Raise Forbidden unless `address` (without brackets) may be dialled."""
        if "%" in address:
            raise self._refused(address, "has a zone")
        try:
            parsed = ip_address(address)
        except ValueError:
            raise self._refused(address[:80], "is no IP address") from None
        if any(parsed in network for network in self._allowed if network.version == parsed.version):
            return
        if isinstance(parsed, IPv6Address):
            self._check_v6(parsed)
        elif any(parsed in network for network in _REFUSED_V4):
            raise self._refused(address, "is not a public address")

    def _check_v6(self, address: IPv6Address) -> None:
        mapped = address.ipv4_mapped
        if mapped is not None:
            self.check(str(mapped))
            return
        if address not in _GLOBAL_V6 or any(address in network for network in _REFUSED_V6):
            raise self._refused(str(address), "is not a public address")

    def _refused(self, address: str, why: str) -> Forbidden:
        problem = f"the address {address} {why}: it is not dialled"
        return Forbidden(problem, where=address, hint=f"{self._setting} may allow it")


def checked_url(text: str) -> SplitResult:
    """An http(s) URL without user info, with a host and a port that web servers use. Raises Forbidden."""
    if len(text) > _URL_MAX or any(not " " < character < "\x7f" for character in text):
        raise Forbidden("not a URL that is fetched: too long, or not plain ASCII", where=text[:80])
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Forbidden("not a URL that is fetched", where=text[:80]) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Forbidden("only http and https URLs with a host are fetched", where=text[:80])
    if "%" in parts.netloc:
        raise Forbidden("a host with a zone or an escape is not fetched", where=text[:80])
    if parts.username is not None or parts.password is not None:
        raise Forbidden("a URL with user info is not fetched", where=f"{parts.scheme}://…@{parts.hostname}")
    if port == 0 or port in _PORTS_REFUSED:
        raise Forbidden(f"port {port} is not a web server's", where=text[:80])
    return parts
