"""Queries and bodies of the Pinning Service API, read strictly: every refusal names its field."""

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.cid import DAG_CBOR, DAG_PB, LIBP2P_KEY, RAW, Cid
from content.multihash import wrap
from pinning import api_query
from pinning.pin import Filter, Match, Status
from runtime.errors import BadRequest
from tests.pinning.service import V0, cid_of

NOW_S = 1_700_000_000.0
A, B = cid_of("a"), cid_of("b")


def body(**members: object) -> bytes:
    return json.dumps({"cid": A.text(), **members}).encode()


def test_nothing_asks_for_ten_pinned_ones() -> None:
    for query in ("", "foo=bar", "match=exact", "&"):
        asked = api_query.listing(query)
        assert (asked.wanted, asked.limit) == (Filter(statuses=frozenset((Status.PINNED,))), 10)


def test_every_filter_is_read() -> None:
    query = urlencode(
        {
            "cid": f"{A},{V0}",
            "name": "Été & co+",
            "match": "ipartial",
            "status": "queued,failed",
            "before": "2023-01-01T00:00:00.000000002Z",
            "after": "2023-01-01T01:00:00.000000001+01:00",
            "limit": "1000",
            "meta": json.dumps({"app": "wiki", "é": ""}),
        }
    )
    at_ns = 1_672_531_200_000_000_000
    assert api_query.listing(query) == api_query.Listing(
        Filter(
            cids=(A, V0),
            name="Été & co+",
            match=Match.IPARTIAL,
            statuses=frozenset((Status.QUEUED, Status.FAILED)),
            before_ns=at_ns + 2,
            after_ns=at_ns + 1,
            meta={"app": "wiki", "é": ""},
        ),
        1000,
    )


def test_a_filter_alone_asks_for_every_status() -> None:
    for query in (
        f"cid={A}",
        "name=",
        "before=2023-01-01T00:00:00Z",
        "after=2023-01-01T00:00:00Z",
        "meta={}",
    ):
        assert api_query.listing(query).wanted.statuses == frozenset()


def test_a_plus_is_a_space_as_forms_write_it() -> None:
    assert api_query.listing("name=a+b%2Bc").wanted.name == "a b+c"


@pytest.mark.parametrize(
    ("query", "where", "said"),
    [
        ("limit=0", "limit", "from 1 to 1000"),
        ("limit=1001", "limit", "from 1 to 1000"),
        ("limit=", "limit", "whole number"),
        ("limit=-1", "limit", "whole number"),
        ("limit=1.0", "limit", "whole number"),
        ("limit=٣", "limit", "UTF-8|whole number"),
        ("limit=" + "9" * 5000, "limit", "whole number"),
        ("limit=5&limit=6", "limit", "twice"),
        ("status=", "status", "no status"),
        ("status=Pinned", "status", "no status"),
        ("status=pinned,", "status", "no status"),
        ("status=pinned,pinned", "status", "twice"),
        ("status=queued,pinning,pinned,failed,queued", "status", "at most 4"),
        ("match=regex", "match", "no way to match"),
        ("match=", "match", "no way to match"),
        ("cid=", "cid", "CID"),
        ("cid=nonsense", "cid", "CID"),
        (f"cid={A},{A}", "cid", "twice"),
        (f"cid={','.join(cid_of(str(i)).text() for i in range(11))}", "cid", "at most 10"),
        (f"cid={A}&cid={B}", "cid", "twice"),
        ("name=" + "x" * 256, "name", "at most 255"),
        ("name=%FF", "name", "UTF-8"),
        ("name=%4", "name", "hexadecimal"),
        ("before=yesterday", "before", "RFC 3339"),
        ("before=2023-01-01T00:00:00+02:00", "before", "RFC 3339"),
        ("after=", "after", "RFC 3339"),
        ("meta=", "meta", "JSON"),
        ("meta=[]", "meta", "object"),
        ('meta={"a":1}', "meta['a']", "string"),
        ('meta={"a":"1","a":"2"}', "meta", "twice"),
        ("meta=" + "[" * 4000, "meta", "nested|JSON"),
        ("&".join(["a=b"] * 65), "query", "more than 64"),
        ("%zz=1", "query", "hexadecimal"),
    ],
)
def test_what_is_wrong_in_a_query_is_refused_by_name(query: str, where: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        api_query.listing(query)
    assert refused.value.where == where
    assert re.search(said, refused.value.message)


def test_names_at_their_longest_are_taken() -> None:
    assert api_query.wish(body(name="é" * 255), NOW_S).name == "é" * 255
    assert api_query.listing("name=" + "%C3%A9" * 255).wanted.name == "é" * 255


def test_a_password_is_not_repeated_in_a_refusal() -> None:
    for address in (
        "https://ann:pw1@a.example/f",
        "ftp://ann:pw1@a.example",
        "ann:pw1@a.example",
        "ar://ann:pw1@x",
    ):
        with pytest.raises(BadRequest) as refused:
            api_query.wish(body(origins=[address]), NOW_S)
        assert "pw1" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    "address",
    [
        *("/ip4/1.2.3.4/tcp/22/http", "/dns4/a.example/udp/4001/quic-v1/webtransport/certhash/uEi/p2p/12D3"),
        *("/unix/a@b/c", "https://a.example:8443", "https://a.example/ipfs/bafy/x@y", "ar://abc/d?x=y"),
        *(
            "https://a.example/f?X-Amz-Signature=0123456789abcdef0123",
            "http://[2001:db8::1]/f",
            "http://10.0.0.1/f",
        ),
        "https://proxy.example/https://ann:pw@b.example/f",
    ],
)
def test_any_multiaddr_and_any_url_that_could_be_fetched_is_an_origin(address: str) -> None:
    assert api_query.wish(body(origins=[address]), NOW_S).origins == (address,)


def test_a_pin_with_everything() -> None:
    origins = ("/ip6/2001:db8::1/udp/4001/quic-v1/p2p/12D3", "https://a.example/x?y=z", "ar://abc/d")
    until = "2023-11-15T00:00:00Z"
    wish = api_query.wish(
        body(name="n", origins=list(origins), meta={"a": "b", "pinned_until": until}, unknown=[1]), NOW_S
    )
    assert (wish.cid, wish.name, wish.origins) == (A, "n", origins)
    assert (wish.meta, wish.expires_s) == ({"a": "b", "pinned_until": until}, 1_700_006_400.0)
    assert api_query.wish(body(), NOW_S).expires_s is None


@pytest.mark.parametrize("codec", [RAW, DAG_PB, DAG_CBOR, 0x0129, 0x51, 0x0200])
def test_any_verifiable_cid_of_a_known_codec_can_be_pinned(codec: int) -> None:
    for multihash in (A.multihash, wrap(0x1E, bytes(32)), wrap(0, b"inline"), wrap(0xB220, bytes(32))):
        cid = Cid.v1(codec, multihash)
        assert api_query.wish(json.dumps({"cid": cid.text()}).encode(), NOW_S).cid == cid


@pytest.mark.parametrize(
    ("sent", "where", "said"),
    [
        (b"", "body", "JSON"),
        (b"\xff", "body, byte 0", "UTF-8"),
        (b"[]", "body", "object"),
        (b"null", "body", "object"),
        (b"[" * 100_000, "body", "nested"),
        (b'{"cid":"' + A.text().encode() + b'"} x', "body", "JSON"),
        (b'{"cid":"a","cid":"b"}', "body", "twice"),
        (b"9" * 100_000, "body", "JSON"),
        (b"{}", "cid", "names the CID"),
        (b'{"cid":null}', "cid", "string"),
        (b'{"cid":5}', "cid", "string"),
        (b'{"cid":""}', "cid", "CID"),
        (b'{"cid":"QmNonsense"}', "cid", "CID"),
        (json.dumps({"cid": f" {A}"}).encode(), "cid", "CID"),
        (body(name=None), "name", "string"),
        (body(name=["x"]), "name", "string"),
        (body(name="x" * 256), "name", "at most 255"),
        (body(name="\ud800"), "name", "surrogate"),
        (body(origins="x"), "origins", "array"),
        (body(origins=[5]), "origins", "string"),
        (body(origins=[""]), "origins", "multiaddr"),
        (body(origins=["example.com"]), "origins", "multiaddr"),
        (body(origins=["/ip4"]), "origins", "multiaddr"),
        (body(origins=["//a/b"]), "origins", "multiaddr"),
        (body(origins=["file:///etc/passwd"]), "origins", "multiaddr"),
        (body(origins=["https://a\r\nb"]), "origins", "multiaddr"),
        (body(origins=["https://ann:pw@a.example/f"]), "origins", "user info"),
        (body(origins=["http://ann@a.example"]), "origins", "user info"),
        (body(origins=["ar://ann:pw@abc"]), "origins", "user info"),
        (body(origins=["ftp://ann:pw@a.example/f"]), "origins", "multiaddr"),
        (body(origins=["/a/b", "http://a.example:22/f"]), "origins", "port 22"),
        (body(origins=["http:///f"]), "origins", "host"),
        (body(origins=["https://a.example:x/f"]), "origins", "URL"),
        (body(origins=["https://a.example/é"]), "origins", "no address has"),
        (body(origins=["https://a%41.example/f"]), "origins", "host"),
        (body(origins=["ar://a\\b"]), "origins", "no address has"),
        (body(origins=["/a/b", "/a/b"]), "origins", "twice"),
        (body(origins=["/a/" + "b" * 2048]), "origins", "2048"),
        (body(origins=[f"/a/{index}" for index in range(21)]), "origins", "at most 20"),
        (body(meta=[]), "meta", "object"),
        (body(meta=None), "meta", "object"),
        (body(meta={"a": 1}), "meta['a']", "string"),
        (body(meta={"a": {}}), "meta['a']", "string"),
        (body(meta={str(index): "" for index in range(1001)}), "meta", "at most 1000"),
        (body(meta={"a": "x" * 32_768}), "meta", "at most 32768"),
        (body(meta={"pinned_until": "soon"}), "meta[pinned_until]", "RFC 3339"),
        (body(meta={"pinned_until": "2023-11-14T00:00:00Z"}), "meta[pinned_until]", "not in the future"),
    ],
)
def test_what_is_wrong_in_a_pin_is_refused_by_name(sent: bytes, where: str, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        api_query.wish(sent, NOW_S)
    assert refused.value.where == where
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("cid", "said"),
    [
        (Cid.v1(LIBP2P_KEY, A.multihash), "libp2p-key cannot be followed"),
        (Cid.v1(0x85, A.multihash), "0x85 cannot be followed"),
        (Cid.v1(RAW, wrap(0x12, bytes(8))), "proves nothing"),
        (Cid.v1(RAW, wrap(0xD5, bytes(16))), "proves nothing"),
        (Cid.v1(RAW, wrap(0x1052, bytes(32))), "0x1052 is not known"),
    ],
)
def test_what_could_not_be_verified_or_followed_is_not_pinned(cid: Cid, said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        api_query.wish(json.dumps({"cid": cid.text()}).encode(), NOW_S)
    assert refused.value.where == "cid"
    assert said in refused.value.message


@given(
    st.text(st.characters(max_codepoint=0x2FF), max_size=60)
    | st.from_regex(r"(cid|name|limit|meta|match)=.*")
)
def test_no_query_does_anything_but_be_read_or_refused(query: str) -> None:
    try:
        asked = api_query.listing(query)
    except BadRequest as error:
        refused: BadRequest = error
    else:
        assert 1 <= asked.limit <= 1000
        return
    assert refused.where


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cid", "meta"]), inner),
        max_leaves=8,
    )
    | st.dictionaries(st.sampled_from(["cid", "name", "origins", "meta"]), st.text() | st.just(A.text())),
    st.binary(max_size=3),
)
def test_no_body_does_anything_but_be_read_or_refused(value: object, more: bytes) -> None:
    for sent in (json.dumps(value).encode(), json.dumps(value).encode() + more, more):
        try:
            wish = api_query.wish(sent, NOW_S)
        except BadRequest as error:
            refused: BadRequest = error
        else:
            assert wish.cid == A
            continue
        assert refused.where


def test_an_empty_name_is_a_filter_and_not_none() -> None:
    assert api_query.listing("name=").wanted.name == ""
    assert api_query.listing("limit=1").wanted.name is None
