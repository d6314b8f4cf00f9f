"""Addresses of blobs on other servers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import names
from runtime.errors import UsageError
from tools.edge.address import is_url, remote_blob

ROOT = bytes(range(32))
HEX = ROOT.hex()


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (f"http://localhost:8080/blake3/{HEX}", "http://localhost:8080"),
        (f"https://edge.example/blake3/{names.cid(ROOT)}", "https://edge.example"),
        (f"https://edge.example/a/b/blake3/{HEX.upper()}", "https://edge.example/a/b"),
        (f"http://[::1]:8080/blake3/{HEX}", "http://[::1]:8080"),
        (f"http://h/blake3/x/blake3/{HEX}", "http://h/blake3/x"),
        (f"http://h/blake3/{HEX}?format=bao-chunk&entity-bytes=0:1#top", "http://h"),
    ],
)
def test_any_address_that_ends_in_a_hash_is_understood(text: str, base: str) -> None:
    blob = remote_blob(text)
    assert (blob.base, blob.root) == (base, ROOT)
    assert blob.proof_url() == f"{base}/blake3/{HEX}?format=bao"


def test_slices_are_asked_for_with_an_inclusive_end() -> None:
    blob = remote_blob(f"http://h/blake3/{HEX}")
    assert blob.proof_url(16384).endswith("?format=bao&entity-bytes=16384:*")
    assert blob.proof_url(0, 100).endswith("?format=bao&entity-bytes=0:99")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://h/", "names no blob"),
        (f"http://h/ipfs/{HEX}", "names no blob"),
        ("http://h/blake3/", "not a BLAKE3 name"),
        ("http://h/blake3/abc", "not a BLAKE3 name"),
        (f"http://h/blake3/{HEX}/", "not a BLAKE3 name"),
        (f"ftp://h/blake3/{HEX}", "not http:// or https://"),
        (f"http:///blake3/{HEX}", "not http:// or https://"),
        (f"http://h:0/blake3/{HEX}", "not http:// or https://"),
        (f"http://h:99999/blake3/{HEX}", "malformed address"),
        (f"http://[::1/blake3/{HEX}", "malformed address"),
        (f"http://h/blake3/{HEX}\r\nX: y", "characters"),
        (f"http://h/a b/blake3/{HEX}", "characters"),
        (f"http://hö/blake3/{HEX}", "characters"),
        ("http://h/" + "a" * 9000, "characters"),
    ],
)
def test_other_addresses_are_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        remote_blob(text)
    assert complaint in caught.value.message
    assert len(caught.value.where) <= 200


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        remote_blob(f"http://me:hunter2@h/blake3/{HEX}")
    assert "hunter2" not in str(vars(caught.value))


def test_a_hash_is_no_address() -> None:
    assert not is_url(HEX)
    assert is_url(f"http://h/blake3/{HEX}")


@settings(deadline=None)  # other tests share the machine
@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused_as_usage(text: str) -> None:
    try:
        remote_blob(f"http://{text}")
    except UsageError:
        pass
