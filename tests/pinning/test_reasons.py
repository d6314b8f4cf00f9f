"""What people are told, and which of a pin's origins are gateways."""

import pytest

from content.block import Block
from content.cid import RAW
from pinning.pin import Pin, Status, Wish
from pinning.reasons import OFFLINE, explain, gateways_of, given_up, is_final, waiting
from runtime.errors import BadRequest, NotFound, QuotaExceeded, StoreFull, TooManyRequests, Unreachable

CID = Block.sealed(RAW, b"content").cid


def pin(*origins: str) -> Pin:
    return Pin("r", "a", 1, Status.PINNING, Wish(CID, origins=origins))


@pytest.mark.parametrize(
    ("origin", "gateway"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com:8443/ipfs/bafy/a", "https://example.com:8443"),
        ("https://example.com/a/file.bin", None),
        ("http://example.com/", "http://example.com"),
        ("/dns4/example.com/tcp/443/tls/http/p2p/12D3", "https://example.com:443"),
        ("/ip6/2001:db8::1/tcp/8080/http", "http://[2001:db8::1]:8080"),
        ("/ip4/1.2.3.4/tcp/4001/p2p/12D3", None),
        ("/ip4/1.2.3.4/udp/4001/quic-v1/p2p/12D3", None),
        ("https://user:secret@example.com", None),
        ("ar://transaction", None),
        ("https://example.com:22", None),
        ("https://exa mple.com", None),
        ("", None),
        ("https://", None),
    ],
)
def test_which_origins_are_gateways(origin: str, gateway: str | None) -> None:
    assert gateways_of((origin,)) == (() if gateway is None else (gateway,))


def test_a_reason_names_the_block_and_what_to_do() -> None:
    absent = NotFound("2 of 2 gateways that were asked answered 404", where=CID.text())
    said = explain(absent, pin("/ip4/1.2.3.4/tcp/4001/p2p/x"))
    assert said == (
        f"no provider has {CID}: 2 of 2 gateways that were asked answered 404; 1 of its origins offers data"
        " by bitswap only, as kubo does, which this node does not speak: upload a CAR instead"
        " (ipfs dag export)"
    )
    assert "name a trustless gateway" in explain(absent, pin())
    other = Block.sealed(RAW, b"other").cid
    below = explain(Unreachable("https://x.example: timed out", where=other.text()), pin())
    assert below.startswith(f"the block {other} of {CID} could not be fetched: https://x.example: timed out")
    root = explain(Unreachable("https://x.example: timed out", where=CID.text()), pin())
    assert root.startswith(f"{CID} could not be fetched: ")


def test_what_origins_said_comes_first() -> None:
    said = [("https://f.example/a", "it answered 404"), ("https://g.example", "it answered 503")]
    told = explain(NotFound("no other gateway is known", where=CID.text()), pin("https://f.example/a"), said)
    assert told == (
        f"{CID} could not be fetched: https://f.example/a: it answered 404; https://g.example: it answered"
        " 503; no other gateway is known; upload a CAR of it, or name another origin that has it"
    )
    assert explain(QuotaExceeded("there is no room"), pin(), said) == "there is no room"


def test_tries_and_waits_are_told() -> None:
    assert waiting("why", 2, 8, 1_700_000_000.9) == "why; try 2 of 8, the next at 2023-11-14T22:13:20Z"
    assert given_up("why", 1) == "why"
    assert given_up("x" * 5000, 8).endswith("…; given up after 8 tries")
    assert given_up("why", 8) == "why; given up after 8 tries"
    assert len(given_up("x" * 5000, 1)) == 1500


def test_what_another_try_cannot_mend_is_final() -> None:
    assert all(map(is_final, (BadRequest("x"), QuotaExceeded("x"))))
    assert not any(map(is_final, (NotFound("x"), Unreachable("x"), StoreFull("x"), TooManyRequests("x"))))


def test_an_offline_node_gives_its_advice_once() -> None:
    assert explain(NotFound(OFFLINE, where=CID.text()), pin()) == f"{CID} is not here: {OFFLINE}"
