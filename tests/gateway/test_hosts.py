"""Hosts, understood: ports, dots, addresses, and whose X-Forwarded-Host is believed."""

import pytest

from gateway.hosts import Hosts, SiteKind, split_host
from gateway.settings import GatewaySettings
from net.fields import Fields
from net.http1 import Request
from runtime.errors import BadRequest


def request(peer: str, forwarded: str = "example.com") -> Request:
    fields = Fields([("host", "internal"), ("x-forwarded-host", forwarded)])
    return Request("GET", "/", "/", "", (1, 1), fields, True, None, False, False, peer=peer)


def hosts(*trusted: str, asks_dns: bool = False, known: str = "site.example") -> Hosts:
    return Hosts(("example.com",), trusted, known.__eq__, lambda _: asks_dns, asks_dns=asks_dns)


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        ("a.example", "a.example", ""),
        ("a.example:80", "a.example", "80"),
        ("a.example.", "a.example", ""),
        ("a.example.:80", "a.example", "80"),
        ("[::1]", "[::1]", ""),
        ("[::1]:80", "[::1]", "80"),
        ("", "", ""),
        (".", ".", ""),
    ],
)
def test_a_host_is_a_name_and_a_port(host: str, name: str, port: str) -> None:
    assert split_host(host) == (name, port)


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.0/8", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8", "::1", False),
        ("::1/128", "::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("127.0.0.0/8", "unix", False),
        ("unix", "unix", True),
        ("unix", "127.0.0.1", False),
        ("0.0.0.0/0", "", False),
    ],
)
def test_only_trusted_proxies_say_whom_a_request_is_for(trusted: str, peer: str, believed: bool) -> None:
    site = hosts(trusted).site(request(peer))
    assert (site.kind is SiteKind.SUBDOMAINS) is believed


def test_a_forwarded_host_that_is_none_is_refused() -> None:
    for text in ("a b", 'x"y', "a/b", "a:port", "a" * 300, "<script>", "a@b"):
        with pytest.raises(BadRequest, match="not a host name"):
            hosts("unix").site(request("unix", text))


def test_a_host_that_the_dns_may_make_a_website_is_never_remembered_as_plain() -> None:
    """What is memoised for a header block stays so, and DNS answers come and go."""
    assert hosts().is_plain("other.example")
    assert not hosts().is_plain("site.example")
    assert not hosts(asks_dns=True).is_plain("other.example")
    assert hosts(asks_dns=True).is_plain("127.0.0.1:8080")
    assert hosts(asks_dns=True).is_plain("[::1]:8080")


def test_settings_name_networks_or_unix() -> None:
    GatewaySettings(trusted_proxies=("10.0.0.0/8", "unix"))
    with pytest.raises(ValueError, match="neither a network nor unix"):
        GatewaySettings(trusted_proxies=("proxy.example",))
