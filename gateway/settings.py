"""What an operator may set about the IPFS gateway. Values are checked when made."""

from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

UNIX: Final = "unix"  # how a client is called that came over a unix socket


def _doc(text: str) -> dict[str, Any]:
    return {"doc": text}


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Section `[gateway]`."""

    subdomain_hosts: tuple[str, ...] = field(
        default=("localhost",),
        metadata=_doc("hosts under which each CID has an origin of its own: <cid>.ipfs.<host>"),
    )
    dnslink_file: Path | None = field(
        default=None,
        metadata=_doc('JSON {"domains": {host: "/ipfs/…"}} of domains served without asking the DNS'),
    )
    dnslink_dns: bool = field(
        default=True, metadata=_doc("ask the DNS for /ipns/<domain> when a domain is not in the file")
    )
    dnslink_hosts: bool = field(
        default=False,
        metadata=_doc("ask the DNS whether an unknown Host is a DNSLink website; slower for such hosts"),
    )
    trusted_proxies: tuple[str, ...] = field(
        default=("127.0.0.0/8", "::1/128", "unix"),
        metadata=_doc(
            "networks (unix: any unix socket) whose X-Forwarded-Host and X-Forwarded-Proto are believed"
        ),
    )
    denylists: tuple[Path, ...] = field(
        default=(), metadata=_doc("files in the compact denylist format; what they name is answered 410")
    )
    max_misses: int = field(
        default=256,
        metadata={"doc": "requests a worker may hold that wait for other nodes; more get 429", "min": 1},
    )

    def __post_init__(self) -> None:
        for text in self.trusted_proxies:
            try:
                if text != UNIX:
                    ip_network(text)
            except ValueError:
                raise ValueError(f"trusted_proxies holds {text!r}, neither a network nor unix") from None
        for host in self.subdomain_hosts:
            if not host or host != host.lower() or "/" in host or ":" in host:
                raise ValueError(
                    f"subdomain_hosts holds {host!r}; a lower-case name without a port is wanted"
                )
