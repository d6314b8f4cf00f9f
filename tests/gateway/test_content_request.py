"""What the path and query of a request mean."""

import pytest

from gateway.content_request import encoded, parse_query, split_path
from gateway.hosts import is_dnslink_name
from runtime.errors import BadRequest


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        ("", ()),
        ("/", ()),
        ("/a//b/", ("a", "b")),
        ("/a/./b/../c", ("a", "c")),
        ("/../../a", ("a",)),
        ("/a/%2e%2E/b/%2e/c", ("b", "c")),
        ("/a/.%2e/b", ("b",)),
        ("/a%2Fb/c%20d/%C3%A9", ("a/b", "c d", "é")),
        ("/%ff/...", ("\udcff", "...")),
        ("/100%/%zz", ("100%", "%zz")),
    ],
)
def test_a_path_means_its_segments_and_is_written_again_the_same(raw: str, segments: tuple[str, ...]) -> None:
    assert split_path(raw) == segments
    assert split_path("/" + "/".join(map(encoded, segments))) == segments


def test_a_path_with_a_nul_byte_is_refused() -> None:
    with pytest.raises(BadRequest, match="NUL"):
        split_path("/a/%00")


def test_the_first_of_equal_parameters_counts_and_their_number_is_bounded() -> None:
    assert parse_query("a=1&a=2&b&c=%26+x") == {"a": "1", "b": "", "c": "&+x"}
    with pytest.raises(BadRequest):
        parse_query("&".join(["a"] * 65))


@pytest.mark.parametrize("text", ["a.b", "en.wikipedia-on-ipfs.org", "_dnslink.A.example.", "xn--4ca.x"])
def test_a_domain_may_be_an_ipns_name(text: str) -> None:
    assert is_dnslink_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a",
        "a..b",
        ".a.b",
        "€.x",
        "a\r\nX: y.z",
        "a b.c",
        "a.b\n",
        "a" * 64 + ".b",
        "a." * 127 + "aa",
    ],
)
def test_what_no_dns_could_hold_is_no_ipns_name(text: str) -> None:
    assert not is_dnslink_name(text)
