"""Peer records of delegated routing, and what a client filters of them. Pure.

Sources: the delegated routing v1 HTTP API (schema `peer`), IPIP-484 (filters).
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.hosts import Site

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


def multiaddr(site: Site) -> str:
    """Where this node is reached, as the client reached it."""
    parts = urlsplit(f"{site.scheme}://{site.base or 'localhost'}")
    host = parts.hostname or "localhost"
    port = parts.port or (443 if site.scheme == "https" else 80)
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    return f"/{kind}/{host}/tcp/{port}{'/tls/http' if site.scheme == 'https' else '/http'}"


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip().lower() for each in text.split(",") if each.strip())
