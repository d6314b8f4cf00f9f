"""DNSLink records: which of the TXT records of a domain is its content path."""

import pytest

from net.dnslink import path_in


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
