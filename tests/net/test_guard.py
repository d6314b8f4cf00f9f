"""Which addresses and URLs a node dials."""

import pytest

from net.guard import Guard, checked_url
from runtime.errors import Forbidden, UsageError

REFUSED = """
127.0.0.1 127.255.255.255 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.2.1 198.51.100.7 203.0.113.9 198.18.0.1 192.88.99.1
::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1
64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::1 2002:7f00:1:: 2002:a00:1:: 2001:0:4136:e378:8000:63bf:3fff:fdd2
2001:db8::1 100::1 fec0::1 fe80::1%eth0 localhost 127.1 0x7f000001 2130706433
""".split()  # noqa: SIM905  # a list of forty strings is read less well


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Forbidden):
        Guard().check(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"]
)
def test_public_addresses_pass(address: str) -> None:
    Guard().check(address)


def test_the_operator_may_allow_networks_and_only_those() -> None:
    guard = Guard(("127.0.0.0/8", "fd00::/8"))
    guard.check("127.0.0.1")
    guard.check("::ffff:127.0.0.1")
    guard.check("fd12::1")
    for address in ("10.0.0.1", "::1", "fe80::1"):
        with pytest.raises(Forbidden):
            guard.check(address)
    with pytest.raises(UsageError):
        Guard(("not a network",))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "http:///x", "//a.example/x",
        "a.example", "http://user:pass@a.example/", "http://user@a.example/",
        "http://a.example:22/", "http://a.example:0/",
        "http://a.example:99999/", "http://a.example/ x", "http://a.example/\r\nHost: b", "http://ä.example/",
        "http://a.example/" + "x" * 5000, "http://[::1", "",
    ],
)  # fmt: skip
def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(Forbidden):
        checked_url(url)


def test_urls_that_are() -> None:
    for url in ("http://a.example/x?y=z", "https://a.example:8443/", "http://[2606:4700::1]:8080/"):
        assert checked_url(url).hostname


def test_a_refusal_names_the_setting_that_holds_for_it() -> None:
    with pytest.raises(Forbidden) as refused:
        Guard((), "origins.allow_nets_for_accounts").check("10.1.2.3")
    assert refused.value.hint == "origins.allow_nets_for_accounts may allow it"
    with pytest.raises(UsageError) as wrong:
        Guard(("nonsense",), "origins.allow_nets_for_accounts")
    assert wrong.value.where == "origins.allow_nets_for_accounts"
