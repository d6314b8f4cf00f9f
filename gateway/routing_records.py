"""Peer records of delegated routing, and what a client filters of them. Pure.

Sources: the delegated routing v1 HTTP API (schema `peer`), IPIP-484 (filters).
"""

from dataclasses import dataclass
from typing import Final

from gateway.hosts import Site, is_address, split_host

Record = dict[str, object]
HTTP: Final = "transport-ipfs-gateway-http"
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Filters:
    """What a client can use: `addrs` are protocols of multiaddrs, with `!` those it cannot use."""

    addrs: tuple[str, ...]
    protocols: tuple[str, ...]

    @classmethod
    def of(cls, query: dict[str, str]) -> "Filters":
        """The filters of a query; none where a parameter is absent or empty."""
        return cls(_listed(query.get("filter-addrs", "")), _listed(query.get("filter-protocols", "")))

    def passes(self, record: Record, addrs: list[str], protocols: list[str]) -> Record | None:
        """The record with the addresses that remain; None when nothing of it is of use."""
        if self.protocols:
            known = {each.lower() for each in protocols} or {_UNKNOWN}
            if known.isdisjoint(self.protocols):
                return None
        if not self.addrs:
            return record
        if not addrs:
            return record if _UNKNOWN in self.addrs else None
        left = [each for each in addrs if self._may_use(each)]
        return {**record, "Addrs": left} if left else None

    def _may_use(self, multiaddr: str) -> bool:
        parts = set(multiaddr.lower().split("/"))
        wanted = [each for each in self.addrs if not each.startswith("!")]
        if any(each[1:] in parts for each in self.addrs if each.startswith("!")):
            return False
        return not wanted or any(each in parts for each in wanted)


def peer_record(peer_id: str, site: Site, filters: Filters) -> list[Record]:
    """This node as the client reaches it; empty when its filters leave nothing."""
    addrs, protocols = [multiaddr(site)], [HTTP]
    record: Record = {"Schema": "peer", "ID": peer_id, "Addrs": addrs, "Protocols": protocols}
    passed = filters.passes(record, addrs, protocols)
    return [] if passed is None else [passed]


def multiaddr(site: Site, names: str = "dns") -> str:
    """Where this node is reached, as the client reached it; `names`: the protocol of what is no address."""
    host, port = split_host(site.base or "localhost")
    host = host.strip("[]")
    usual = 443 if site.scheme == "https" else 80
    number = int(port) if port and 0 < int(port) < 65_536 else usual
    kind = names if not is_address(host) else "ip6" if ":" in host else "ip4"
    return f"/{kind}/{host}/tcp/{number}{'/tls/http' if site.scheme == 'https' else '/http'}"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip().lower() for each in text.split(",") if each.strip())
