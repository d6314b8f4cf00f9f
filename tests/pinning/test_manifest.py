"""Signed manifests: come back as they went, byte for byte; whatever was changed is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from blockstore.origin_address import shown
from content import multihash
from content.cid import RAW, Cid
from content.private_key import wrap
from pinning.manifest import LINE_BYTES_MAX, Reader, Writer, check, lines
from pinning.pin import Wish
from runtime.errors import BadRequest, EdgeError, Unverified

KEY = wrap(Ed25519PrivateKey.from_private_bytes(bytes(32)))
OTHER = wrap(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
MADE_MS = 1_700_000_000_123


def cid(seed: bytes) -> Cid:
    return Cid.v1(RAW, multihash.sha2_256(seed))


WISHES = [
    Wish(cid(b"1")),
    Wish(cid(b"2"), "a name\n", ("https://example.com/x", "/ip4/1.2.3.4/tcp/1"), {"/": "x", "app": ""}, 2e9),
    Wish(Cid.v0(multihash.sha2_256(b"3")), ""),
]


def manifest(wishes: list[Wish]) -> bytes:
    return b"".join(lines(wishes, KEY.public, KEY.sign, MADE_MS))


def read(data: bytes, step: int = 1 << 20) -> list[Wish]:
    reader = Reader()
    found = [wish for at in range(0, len(data), step) for wish in reader.feed(data[at : at + step])]
    reader.end()
    return found


def test_pins_come_back_as_they_went_however_they_are_cut() -> None:
    data = manifest(WISHES)
    for step in (1, 2, 7, 1 << 20):
        assert read(data, step) == WISHES
    signed = check([data])
    assert (signed.signer, signed.made_ms, signed.count) == (KEY.public, MADE_MS, 3)
    assert manifest(WISHES) == data, "the same pins are the same bytes"


def test_the_bytes_are_those_of_the_document() -> None:
    """docs/formats/manifest.md, frozen."""
    first, second, third, _ = manifest(WISHES[:2]).splitlines()
    assert first == (
        b'{"format":"fleek-pin-manifest","made_ms":1700000000123,"signer":{"/":{"bytes":'
        b'"CAESIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"}},"version":1}'
    )
    assert second == b'{"cid":{"/":"' + cid(b"1").text().encode() + b'"}}'
    assert third == (
        b'{"cid":{"/":"' + cid(b"2").text().encode() + b'"},"expires_ms":2000000000000,'
        b'"meta":[["/","x"],["app",""]],"name":"a name\\n",'
        b'"origins":["https://example.com/x","/ip4/1.2.3.4/tcp/1"]}'
    )


def without_the_last_pins(data: bytes) -> bytes:
    parts = data.split(b"\n")
    return b"\n".join(parts[:2] + parts[-2:]).replace(b'"count":3,', b'"count":1,')


def without(data: bytes, index: int) -> bytes:
    parts = data.splitlines(keepends=True)
    return b"".join(parts[:index] + parts[index + 1 :])


def with_line(data: bytes, line: bytes) -> bytes:
    parts = data.splitlines(keepends=True)
    return b"".join([*parts[:2], line + b"\n", *parts[2:]])


def test_an_empty_set_is_a_manifest() -> None:
    assert read(manifest([])) == []


@pytest.mark.parametrize("at", range(0, len(manifest(WISHES)), 3))
def test_no_byte_can_be_changed_or_left_out(at: int) -> None:
    data = manifest(WISHES)
    for spoiled in (
        data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
        data[:at] + data[at + 1 :],
        data[:at],
    ):
        with pytest.raises(EdgeError):
            check([spoiled])


@pytest.mark.parametrize(
    ("spoil", "error", "why"),
    [
        (lambda d: d + b"\n", Unverified, "follows"),
        (lambda d: d + b"{}\n", Unverified, "follows"),
        (lambda d: d + b" ", Unverified, "follows"),
        (lambda d: b"", BadRequest, "ends before"),
        (lambda d: d.replace(b'"count":3', b'"count":2'), Unverified, "has 3"),
        (lambda d: without(d, 1), Unverified, "has 2"),
        (lambda d: without(d, 4), Unverified, "ends before"),
        (lambda d: without(d, 0), BadRequest, "first line"),
        (lambda d: with_line(d, d.split(b"\n")[1]), Unverified, "has 4"),
        (lambda d: with_line(d, b'{"cid":"x"}'), Unverified, "not that of a pin"),
        (lambda d: with_line(d, b"nonsense"), Unverified, "dag-json"),
        (lambda d: with_line(d, b'"' + b"x" * LINE_BYTES_MAX + b'"'), Unverified, "a line of more"),
        (lambda d: d[:-9], Unverified, "ends before"),
        (lambda d: b"\0" * (LINE_BYTES_MAX + 1), BadRequest, "a line of more"),
        (lambda d: d.replace(b'{"cid"', b'{ "cid"', 1), Unverified, "one encoding"),
        (
            lambda d: b"\n".join(d.split(b"\n")[:2] + d.split(b"\n")[-2:]).replace(b":3,", b":1,"),
            Unverified,
            "signed",
        ),
        (lambda d: d.replace(b'"version":1', b'"version":2'), BadRequest, "newer"),
        (lambda d: d.replace(b"fleek-pin-manifest", b"fleek-pin-manifesto"), BadRequest, "first line"),
        (lambda d: d[:-1] + b"x" * LINE_BYTES_MAX, Unverified, "line"),
        (lambda d: b"\xff" * 10 + b"\n", BadRequest, "UTF-8"),
    ],
)
def test_what_is_no_manifest_is_told_why(
    spoil: Callable[[bytes], bytes], error: type[EdgeError], why: str
) -> None:
    with pytest.raises(error, match=why):
        check([spoil(manifest(WISHES))])


def test_another_key_does_not_sign_for_this_one() -> None:
    with pytest.raises(Unverified, match="signer"):
        check(lines(WISHES, KEY.public, OTHER.sign, MADE_MS))


def test_a_refusal_names_the_line() -> None:
    data = manifest(WISHES).replace(b'"name":""', b'"nom":""')
    with pytest.raises(Unverified) as refused:
        check([data])
    assert refused.value.where.startswith("line 4")


def test_a_wish_that_no_pin_could_have_is_refused_also_when_signed() -> None:
    writer = Writer(KEY.public, KEY.sign, MADE_MS)
    with pytest.raises(BadRequest, match="255"):
        writer.entry(Wish(cid(b"1"), "n" * 256))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.lists(
        st.builds(
            Wish,
            st.binary(max_size=4).map(cid),
            st.none() | TEXT,
            st.lists(TEXT, max_size=3).map(tuple),
            st.dictionaries(TEXT, TEXT, max_size=3),
            st.none() | st.integers(1, 1 << 40).map(lambda ms: ms / 1000),
        ),
        max_size=5,
    )
)
def test_any_pins_come_back(wishes: list[Wish]) -> None:
    assert read(manifest(wishes)) == [replace(each, origins=shown(each.origins)) for each in wishes]


def test_a_secret_of_an_origin_is_not_written() -> None:
    secret = "0123456789abcdef0123456789abcdef"
    origins = (f"https://me:{secret}@example.com/x", f"https://example.com/y?token={secret}")
    data = manifest([Wish(cid(b"1"), None, origins)])
    assert secret.encode() not in data
    assert [wish.origins for wish in read(data)] == [("https://example.com/x", "https://example.com/y")]
