"""What the Host of a request means: a path gateway, a CID's own origin, a DNSLink website. Pure.

Source: the subdomain gateway and DNSLink gateway specifications. X-Forwarded-Host and X-Forwarded-Proto
count only when the connection comes from a trusted proxy.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import ip_address, ip_network
from typing import Final

from content import cid as codecs
from content import ipns
from content.cid import Cid
from gateway.settings import UNIX
from net.http1 import Request
from runtime.errors import BadRequest

LABEL_MAX: Final = 63  # RFC 1035 §2.3.4
# A name or address with a port, and nothing that a page or a field would take for more
_HOST: Final = re.compile(r"(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
# What can be asked of the DNS (RFC 1035 §2.3.1, with the underscores that are in use); other scripts as xn--
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})+\.?", re.ASCII)
TOO_LONG: Final = "CID incompatible with DNS label length limit of 63"


class SiteKind(Enum):
    """How content is addressed under a host."""

    PATH = auto()
    SUBDOMAINS = auto()  # a path gateway that sends browsers to subdomains
    SUBDOMAIN = auto()
    DNSLINK = auto()


@dataclass(frozen=True, slots=True)
class Site:
    """A host, understood. `base`: the gateway's own host with its port, as links to it are written."""

    kind: SiteKind
    scheme: str
    base: str
    namespace: str = ""
    root: str = ""

    @property
    def is_isolated(self) -> bool:
        """Whether the content has an origin of its own."""
        return self.kind in (SiteKind.SUBDOMAIN, SiteKind.DNSLINK)


class Hosts:
    """Understands hosts by the operator's settings."""

    def __init__(
        self,
        subdomain_hosts: tuple[str, ...],
        trusted_proxies: tuple[str, ...],
        has_dnslink: Callable[[str], bool],
        may_ask: Callable[[str], bool] = lambda _: False,
        *,
        asks_dns: bool = False,
    ) -> None:
        """`has_dnslink(name)`: whether a name is known to be a DNSLink website; `may_ask(name)`: whether
        the DNS could still say so; `asks_dns`: whether it is ever asked what a Host is.
        """
        self._may_ask = may_ask
        self._asks_dns = asks_dns
        self._subdomain_hosts = subdomain_hosts
        self._trusted = tuple(ip_network(text) for text in trusted_proxies if text != UNIX)
        self._trusts_unix = UNIX in trusted_proxies
        self._has_dnslink = has_dnslink

    def site(self, request: Request) -> Site:
        """What the host of `request` means. Raises BadRequest for a subdomain that names nothing."""
        host, scheme = request.host, "https" if request.secure else "http"
        if self._is_trusted(request.peer):
            told = (request.fields.get("x-forwarded-host") or "").split(",")[0].strip().lower()
            if told and not _HOST.fullmatch(told):
                raise BadRequest("X-Forwarded-Host is not a host name", where=told[:80])
            host = told or host  # which an HTTP/1.0 client, as health checks are, need not send
            forwarded = (request.fields.get("x-forwarded-proto") or "").split(",")[0].strip().lower()
            scheme = forwarded if forwarded in ("http", "https") else scheme
        return self.of(host, scheme)

    def of(self, host: str, scheme: str) -> Site:
        """What `host` means, with or without a port."""
        name, port = split_host(host)
        base = f"{name}:{port}" if port else name
        if name in self._subdomain_hosts:
            return Site(SiteKind.SUBDOMAINS, scheme, base)
        for known in self._subdomain_hosts:
            for namespace in ("ipfs", "ipns"):
                label = name.removesuffix(f".{namespace}.{known}")
                if label != name and label:
                    base = f"{known}:{port}" if port else known
                    return Site(SiteKind.SUBDOMAIN, scheme, base, namespace, label)
        if not is_address(name) and self._has_dnslink(name):
            return Site(SiteKind.DNSLINK, scheme, base, "ipns", name)
        return Site(SiteKind.PATH, scheme, base)

    def is_plain(self, host: str) -> bool:
        """Whether `host` is a path gateway and will be nothing else."""
        return self.of(host, "http").kind is SiteKind.PATH and not (
            self._asks_dns and _is_domain(split_host(host)[0])
        )

    def is_unknown(self, site: Site) -> bool:
        """Whether the DNS has to be asked what a host is."""
        name = split_host(site.base)[0]
        return site.kind is SiteKind.PATH and _is_domain(name) and self._may_ask(name)

    def is_ours(self, host: str) -> bool:
        """Whether a proxy request for `host` is for content here; nobody else is ever asked."""
        return is_address(split_host(host)[0]) or self.of(host, "http").kind is not SiteKind.PATH

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:
            return peer == UNIX and self._trusts_unix
        # A listener on [::] sees IPv4 clients so
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._trusted if network.version == address.version)


def split_host(host: str) -> tuple[str, str]:
    """(name without the dot that ends an absolute one, port or "") of a Host field; IPv6 in its brackets."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    return (name.removesuffix(".") or name), port


def label_of(namespace: str, root_text: str) -> str:
    """The DNS label of a content root: base32 CIDv1, base36 for keys, a DNSLink name inlined.

    Raises BadRequest when it does not fit.
    """
    if namespace == "ipfs":
        label = Cid.parse(root_text).text("b")
        if len(label) > LABEL_MAX:
            label = Cid.parse(root_text).text("k")
    else:
        try:
            label = ipns.name_text(ipns.parse_name(root_text))
        except BadRequest:
            label = root_text.replace("-", "--").replace(".", "-")
    if len(label) > LABEL_MAX:
        raise BadRequest(TOO_LONG, where=root_text[:160])
    return label


def root_of(namespace: str, label: str) -> tuple[str, str | None]:
    """(content root that a label stands for, the label it should have had or None).

    Raises BadRequest.
    """
    if namespace == "ipfs":
        canonical = label_of(namespace, label)
        return Cid.parse(label).as_v1().text(), canonical if canonical != label else None
    try:
        name = Cid.parse(label)
    except BadRequest:
        if "." in label:
            return label, None
        return label.replace("--", "\0").replace("-", ".").replace("\0", "-"), None
    canonical = label_of(namespace, label)
    if name.codec != codecs.LIBP2P_KEY or canonical != label:
        return canonical, canonical
    return label, None


def is_address(name: str) -> bool:
    """Whether a host is written as an IP address."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_dnslink_name(text: str) -> bool:
    """Whether `/ipns/<text>` may be a DNSLink name."""
    return _DOMAIN.fullmatch(text) is not None


def _is_domain(name: str) -> bool:
    return "." in name and not is_address(name)
