"""Delegates: the node's address as a client reached it, or as the operator says, with its peer id."""

import pytest

from gateway.hosts import Hosts
from net.fields import Fields
from net.http1 import Request
from node.delegates import Delegates

HOSTS = Hosts(("localhost",), ("127.0.0.0/8",), lambda _: False)


def asked(host: str, public_url: str | None = None, *, secure: bool = False, **fields: str) -> str:
    pairs = [("host", host), *((name.replace("_", "-"), text) for name, text in fields.items())]
    request = Request(
        *("GET", "/", "/", "", (1, 1), Fields(pairs), True, None, False, False),
        peer="127.0.0.1" if fields else "192.0.2.9",
        secure=secure,
    )
    (delegate,) = Delegates(HOSTS, public_url, "12D3Id")(request)
    return delegate


@pytest.mark.parametrize(
    ("host", "secure", "delegate"),
    [
        ("edge.example", False, "/dns4/edge.example/tcp/80/http/p2p/12D3Id"),
        ("edge.example.:8080", False, "/dns4/edge.example/tcp/8080/http/p2p/12D3Id"),
        ("edge.example", True, "/dns4/edge.example/tcp/443/tls/http/p2p/12D3Id"),
        ("127.0.0.1:8080", False, "/ip4/127.0.0.1/tcp/8080/http/p2p/12D3Id"),
        ("[2001:db8::1]:444", True, "/ip6/2001:db8::1/tcp/444/tls/http/p2p/12D3Id"),
        ("[::1]", False, "/ip6/::1/tcp/80/http/p2p/12D3Id"),
        ("edge.example:99999", False, "/dns4/edge.example/tcp/80/http/p2p/12D3Id"),
        ("edge.example:0", True, "/dns4/edge.example/tcp/443/tls/http/p2p/12D3Id"),
        ("", False, "/dns4/localhost/tcp/80/http/p2p/12D3Id"),
    ],
)
def test_the_host_that_was_asked(host: str, secure: bool, delegate: str) -> None:
    assert asked(host, secure=secure) == delegate


def test_a_trusted_proxy_says_what_was_asked() -> None:
    told = asked("inside:81", x_forwarded_host="edge.example", x_forwarded_proto="https")
    assert told == "/dns4/edge.example/tcp/443/tls/http/p2p/12D3Id"


@pytest.mark.parametrize(
    ("url", "delegate"),
    [
        ("https://edge.example", "/dns4/edge.example/tcp/443/tls/http/p2p/12D3Id"),
        ("http://192.0.2.1:81/", "/ip4/192.0.2.1/tcp/81/http/p2p/12D3Id"),
        ("https://[2001:db8::1]:444", "/ip6/2001:db8::1/tcp/444/tls/http/p2p/12D3Id"),
    ],
)
def test_what_the_operator_says_stands_above_the_host(url: str, delegate: str) -> None:
    assert asked("elsewhere.example:99", url) == delegate
