"""What of an address may be kept: everything that leads to the content, nothing that opens a door."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockstore.origin import ADDRESS_BYTES_MAX, OriginKind
from blockstore.origin_address import clean, is_secret_query, named, shown
from runtime.errors import BadRequest

CID = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
HTTP = OriginKind.HTTP


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://example.org/a/b.txt", "https://example.org/a/b.txt"),
        ("HTTPS://Example.ORG:8443/A%20b", "https://example.org:8443/A%20b"),
        ("https://example.org", "https://example.org"),
        ("https://[2001:db8::1]:444/x", "https://[2001:db8::1]:444/x"),
        ("https://example.org/a?page=2&lang=en", "https://example.org/a?page=2&lang=en"),
        (f"https://example.org/api?arg={CID}", f"https://example.org/api?arg={CID}"),
        ("https://example.org/a?filename=my-holiday-photos-2024.jpg", None),
        ("https://example.org/a?author=ann&design=x&monkey=1", None),
        ("https://example.org/a#part", "https://example.org/a"),
        ("ar://aBcD_-3fGh1jKlMnOpQrStUvWxYz0123456789ABCDE/x", None),
    ],
)
def test_what_is_no_secret_is_kept(address: str, kept: str | None) -> None:
    kind = OriginKind.ARWEAVE if address.startswith("ar:") else HTTP
    assert clean(kind, address) == (kept or address, False)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        (f"https://ann:{SECRET}@example.org/a", "https://example.org/a"),
        (f"https://{SECRET}@example.org/a", "https://example.org/a"),
        (f"https://ann@evil@{SECRET}@example.org/a", "https://example.org/a"),
        (
            f"https://proxy.example/https://ann:{SECRET}@example.org/a",
            "https://proxy.example/https://example.org/a",
        ),
        (
            f"https://proxy.example/https:/ann:{SECRET}@example.org/a",
            "https://proxy.example/https:/example.org/a",
        ),
        (
            f"https://p.example/https://a@//ann:{SECRET}@example.org/x",
            "https://p.example/https:////example.org/x",
        ),
        (f"https://example.org/a;jsessionid={SECRET}/b", "https://example.org/a/b"),
        (f"https://example.org/a%3Ftoken={SECRET}", "https://example.org/a"),
        (f"https://example.org/a%253Ftoken={SECRET}", "https://example.org/a"),
        (
            f"/dns4/example.org/tcp/443/tls/http/http-path/a%3Ftoken={SECRET}",
            "/dns4/example.org/tcp/443/tls/http/http-path/a",
        ),
    ],
)
def test_user_info_and_secrets_in_paths_are_cut_and_the_cut_is_told(address: str, kept: str) -> None:
    kind = OriginKind.PEER if address.startswith("/") else HTTP
    assert clean(kind, address) == (kept, True)


@pytest.mark.parametrize(
    "query",
    [
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={SECRET}",
        "X-Amz-Expires=60",
        f"AWSAccessKeyId=AKIA&Signature={SECRET}&Expires=1",
        f"GoogleAccessId=a@b&Signature={SECRET}",
        f"X-Goog-Credential={SECRET}",
        f"sv=2022&sr=b&sig={SECRET}",
        f"Policy={SECRET}&Key-Pair-Id=K2",
        *(
            f"{name}=abc"
            for name in ("token", "access_token", "accessToken", "id-token", "apikey", "api_key", "key")
        ),
        *(
            f"{name}=abc"
            for name in ("Key", "password", "passwd", "pwd", "auth", "secret", "client_secret", "sig")
        ),
        *(f"{name}=abc" for name in ("PHPSESSID_session", "jwt", "hmac", "AUTH", "sas", "pass", "x-ms-key")),
        f"t%6Fken={SECRET}",
        f"t%256Fken={SECRET}",
        f"a=1;token={SECRET}",
        f"a=1&b=2&c={SECRET}",
        SECRET,
        "id=550e8400-e29b-41d4-a716-446655440000",
        "v=d41d8cd98f00b204e9800998ecf8427e",
        f"url={quote('https://ann:pw@example.org/', safe='')}",
        "a=" + "%25" * 3 + "2525252541",
    ],
)
def test_a_query_that_may_hold_a_credential_goes_whole(query: str) -> None:
    assert is_secret_query(query)
    assert clean(HTTP, f"https://example.org/a?{query}") == ("https://example.org/a", True)


@pytest.mark.parametrize(
    "address",
    [
        *("", "example.org/a", "https:/example.org", "https:///a", "https://", "https:ann:pw@example.org"),
        *(
            "https://ann:pw@",
            "https://exa mple.org/",
            "https://example.org/\n",
            "https:\\\\ann:pw@example.org",
        ),
        *(
            "https://example.org\\@evil.example/",
            "https://ann%3Apw%40example.org/",
            "https://[::1/",
            "https://ö.example/",
        ),
        "https://example.org/" + "a" * ADDRESS_BYTES_MAX,
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(BadRequest) as refused:
        clean(HTTP, address)
    assert "pw" not in str(refused.value.as_json())


def test_a_path_of_this_machine_is_kept_as_it_is() -> None:
    for path in ("/srv/a b", "/srv/ä", "/srv/\udcff", "/srv/token=abc"):
        assert clean(OriginKind.LOCAL, path) == (path, False)


def test_an_upload_is_named_by_its_request_line() -> None:
    assert clean(OriginKind.UPLOAD, "POST /blake3/") == ("POST /blake3/", False)
    assert clean(OriginKind.UPLOAD, "POST /car?name=x") == ("POST /car", True)


@pytest.mark.parametrize(
    ("address", "kind", "kept"),
    [
        ("https://gw.example", OriginKind.GATEWAY, "https://gw.example"),
        ("https://gw.example/", OriginKind.GATEWAY, "https://gw.example"),
        (f"https://gw.example/ipfs/{CID}?format=raw", OriginKind.GATEWAY, "https://gw.example"),
        ("https://files.example/a.iso", OriginKind.HTTP, "https://files.example/a.iso"),
        ("https://sp.example/piece/baga6ea4", OriginKind.FILECOIN, "https://sp.example/piece/baga6ea4"),
        ("ar://TX/path", OriginKind.ARWEAVE, "ar://TX/path"),
        ("/dns4/n.example/tcp/443/tls/http", OriginKind.PEER, "/dns4/n.example/tcp/443/tls/http"),
    ],
)
def test_the_kind_follows_from_the_form(address: str, kind: OriginKind, kept: str) -> None:
    origin = named(address, "ann", 7.0)
    assert (origin.kind, origin.address, origin.account, origin.added_s) == (kind, kept, "ann", 7.0)


@pytest.mark.parametrize(
    "address", ["ftp://example.org/a", "example.org", "file:///etc/passwd", "data:,x", "//h/a@b:/\\"]
)
def test_other_schemes_are_no_origins(address: str) -> None:
    with pytest.raises(BadRequest):
        named(address)


@given(st.text(max_size=60), st.sampled_from(OriginKind))
def test_cleaning_never_breaks_and_twice_is_once(text: str, kind: OriginKind) -> None:
    for address in (text, f"https://{text}", f"https://h/{text}", f"https://h/?{text}"):
        try:
            kept, _ = clean(kind, address)
        except (BadRequest, UnicodeEncodeError):
            continue
        assert clean(kind, kept)[0] == kept


def test_what_is_shown_of_addresses_holds_no_secret_and_each_once() -> None:
    given_ = (
        "/dns4/n.example/tcp/4001/p2p/12D3KooW",
        f"https://ann:{SECRET}@example.org/a",
        f"https://example.org/a?X-Amz-Signature={SECRET}",
        "https://example.org/a?page=2",
        f"ftp://ann:{SECRET}@example.org/\\a",
        "https://example.org/plain",
    )
    assert shown(given_) == (
        "/dns4/n.example/tcp/4001/p2p/12D3KooW",
        "https://example.org/a",
        "https://example.org/a?page=2",
        "https://example.org/plain",
    )


@given(st.text(max_size=60), st.sampled_from(["", "https://", "https://h/", "/dns4/h/", "ar://"]))
def test_what_is_shown_unseen_has_nothing_that_would_be_cut(text: str, before: str) -> None:
    address = before + text
    try:
        kept, cut = clean(HTTP, address)
    except (BadRequest, UnicodeEncodeError):
        return
    assert shown([address]) in ((kept,), (address,))
    assert shown([address]) == (kept,) or not cut
    assert shown(shown([address])) == shown([address])
