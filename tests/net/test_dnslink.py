"""DNSLink records: which of the TXT records of a domain is its content path, asked of a real DNS server."""

import asyncio

import pytest

from net import dnslink
from net.dnslink import lookup, path_in
from runtime.errors import SourceTimeout, Unreachable
from tests.net.dns_server import Answer, dns_server

A_YEAR_S = 365 * 86_400


def test_the_first_path_in_the_order_of_their_texts_counts() -> None:
    texts = ["v=spf1", "dnslink=/ipns/b.example", "dnslink=/ipfs/bafkqaaa/a b"]
    assert path_in(texts) == path_in(texts[::-1]) == "/ipfs/bafkqaaa/a b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dnslink=",
        "/ipfs/bafkqaaa",
        "dnslink=https://a",
        "dnslink=/ipfs/a\r\nx: y",
        "dnslink=/ipfs/" + "a" * 1024,
    ],
)
def test_what_is_no_path_is_passed_over(text: str) -> None:
    assert path_in([text]) is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("dnslink=/ipfs/bafkqaaa", ttl_s=120), ("/ipfs/bafkqaaa", 120.0)),
        (Answer("v=spf1", "dnslink=/ipns/b.example", ttl_s=60), ("/ipns/b.example", 60.0)),
        (
            Answer(("dnslink=/ipfs/", "bafkqaaa"), ttl_s=60),
            ("/ipfs/bafkqaaa", 60.0),
        ),  # one text in two strings
        (Answer("dnslink=/ipfs/bafkqaaa", ttl_s=0), ("/ipfs/bafkqaaa", 5.0)),
        (Answer("dnslink=/ipfs/bafkqaaa", ttl_s=A_YEAR_S), ("/ipfs/bafkqaaa", 86_400.0)),
        (Answer("v=spf1", ttl_s=60), (None, 60.0)),
        (Answer(), (None, 60.0)),  # a name without TXT records
        (Answer(rcode="NXDOMAIN"), (None, 60.0)),
    ],
)
def test_a_dns_is_asked_and_says_how_long_it_holds(answer: Answer, told: tuple[str | None, float]) -> None:
    async def test() -> None:
        async with dns_server({"_dnslink.site.example.": answer}) as server:
            assert await lookup("site.example", server.resolver()) == told
            assert server.asked == ["_dnslink.site.example."]

    asyncio.run(test())


def test_a_dns_that_fails_is_told_from_a_domain_that_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnslink, "_TIMEOUT_S", 0.5)

    async def test() -> None:
        fails, silent = Answer(rcode="SERVFAIL"), Answer(is_silent=True)
        async with dns_server({"_dnslink.a.example.": fails, "_dnslink.b.example.": silent}) as server:
            with pytest.raises((Unreachable, SourceTimeout)):
                await lookup("a.example", server.resolver())
            with pytest.raises(SourceTimeout):
                await lookup("b.example", server.resolver())

    asyncio.run(test())
