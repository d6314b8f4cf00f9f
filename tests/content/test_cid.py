"""CIDs, multihashes, varints and blocks, beside `multiformats`, the general library."""

import hashlib
import random

import blake3
import multiformats
import pytest
from hypothesis import given
from hypothesis import strategies as st

from content import multibase, multihash, varint
from content.block import MAX_BLOCK_BYTES, Block
from content.cid import DAG_CBOR, DAG_PB, RAW, Cid, read
from runtime.errors import BadRequest, TooLarge, Unverified

V0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
V1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def test_known_names_are_read_and_written() -> None:
    old, new = Cid.parse(V0), Cid.parse(V1)
    assert (old.version, old.codec, old.text()) == (0, DAG_PB, V0)
    assert (new.version, new.codec, new.text()) == (1, DAG_PB, V1)
    assert old.as_v1().version == 1
    assert old.as_v1().multihash == old.multihash
    assert old != old.as_v1()
    assert Cid.parse("bafkqaaa").is_identity
    assert Cid.parse("bafkqaaa").digest == b""


@given(
    st.binary(max_size=64), st.sampled_from([RAW, DAG_PB, DAG_CBOR]), st.sampled_from("bBcCzkKfFvtmuM07hZ")
)
def test_every_base_is_read_as_the_general_library_reads_it(data: bytes, codec: int, base: str) -> None:
    cid = Block.sealed(codec, data).cid
    text = cid.text(base)
    assert Cid.parse(text) == cid
    assert Cid.from_bytes(cid.raw) == cid
    if base in "bzkf":
        assert bytes(multiformats.CID.decode(text)) == cid.raw


@pytest.mark.parametrize(
    "text",
    ["", "Q", "Qm", V0[:-1], V0 + "a", "z" + V0, V1[:-1], V1 + "a", "b", "bafy", "x" + V1[1:],
    "QmInvalidCID", V1.upper()[:10],
     "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zz", "b" + "a" * 600, "f00", "f0100", "f0255"],
)  # fmt: skip
def test_what_is_no_cid_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        Cid.parse(text)


@given(st.integers(0, (1 << 63) - 1), st.binary(max_size=5))
def test_varints_round_trip_and_tell_where_they_end(number: int, rest: bytes) -> None:
    raw = varint.encode(number)
    assert varint.decode(raw + rest) == (number, len(raw))
    for cut in range(len(raw)):
        with pytest.raises(BadRequest):
            varint.decode(raw[:cut])


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\x80\x00", b"\xff\x00", b"\xff" * 9, b"\x80" * 9 + b"\x01", b"\x81\x80\x00"]
)
def test_varint_bombs_and_longer_forms_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        varint.decode(raw)


@pytest.mark.parametrize("size", [0, 1, 1024, 16_384, 262_145])
def test_hashes_are_those_of_other_libraries(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert multihash.of(multihash.BLAKE3, data)[2:] == blake3.blake3(data).digest()
    assert multihash.of(multihash.SHA2_512, data)[2:] == hashlib.sha512(data).digest()
    assert multihash.of(multihash.BLAKE2B_256, data).endswith(hashlib.blake2b(data, digest_size=32).digest())
    for code in (
        multihash.SHA2_256,
        multihash.SHA2_512,
        multihash.BLAKE3,
        multihash.BLAKE2B_256,
        multihash.IDENTITY,
    ):
        if code != multihash.IDENTITY or size <= 128:
            name = multihash.of(code, data)
            assert multihash.verify(name, data)
            assert not multihash.verify(name, data + b"x")
    assert multihash.sha2_256(data[:3], data[3:]) == multihash.of(multihash.SHA2_256, data)


def test_a_digest_too_short_to_prove_anything_is_refused() -> None:
    short = multihash.wrap(multihash.SHA2_256, hashlib.sha256(b"x").digest()[:8])
    with pytest.raises(BadRequest):
        multihash.verify(short, b"x")
    cut = multihash.wrap(multihash.SHA2_256, hashlib.sha256(b"x").digest()[:20])
    assert multihash.verify(cut, b"x")
    with pytest.raises(BadRequest):
        multihash.verify(multihash.wrap(0x7777, bytes(32)), b"x")


def test_a_block_exists_only_when_its_bytes_match() -> None:
    block = Block.sealed(RAW, b"bytes")
    assert Block.verified(block.cid, b"bytes") == block
    with pytest.raises(Unverified):
        Block.verified(block.cid, b"other")
    with pytest.raises(TooLarge):
        Block.verified(block.cid, bytes(MAX_BLOCK_BYTES + 1))
    with pytest.raises(TooLarge):
        Block.sealed(RAW, bytes(MAX_BLOCK_BYTES + 1))
    unknown = Cid.v1(RAW, multihash.wrap(0x1B, bytes(32)))
    with pytest.raises(BadRequest, match="0x1b is not known") as caught:
        Block.verified(unknown, b"bytes")
    assert caught.value.where == unknown.text()


@given(st.binary(max_size=80))
def test_bytes_that_are_read_as_a_cid_are_written_the_same(raw: bytes) -> None:
    try:
        cid, end = read(raw, 0)
    except BadRequest:
        return
    assert cid.raw == raw[:end]
    assert Cid.from_bytes(cid.raw) == cid


@given(st.binary(max_size=40), st.sampled_from(multibase.PREFIXES))
def test_multibase_writes_what_it_reads(data: bytes, base: str) -> None:
    if base == "p" and len(data) % 2:
        with pytest.raises(BadRequest, match="odd number"):
            multibase.encode(base, data)
        return
    assert multibase.decode(multibase.encode(base, data)) == data


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("RBB8", b"AB"), ("R%69 VD92EX0", b"Hello!!"), ("RUJCLQE7W581", b"base-45"), ("RQED8WEX0", b"ietf!"),
        ("\U0001f680\U0001f3c3\u270b\U0001f308\U0001f605\U0001f337\U0001f924\U0001f63b\U0001f31f\U0001f605"
         "\U0001f44f", b"yes mani !"),
        ("pro-lusab-babad", b"\x7f\0\0\1"), ("pro-zuzuz", b"\xff\xff"), ("pro-", b""),
    ],
)  # fmt: skip
def test_base45_emoji_and_proquint_are_read_as_their_documents_have_it(text: str, data: bytes) -> None:
    assert multibase.encode(text[0], data) == text
    assert multibase.decode(text) == data


@pytest.mark.parametrize(
    "text",
    [
        "RA", "RAAAA", "R:::", "RGGW0", "R::", "Raa", "R\u0660\u0660", "\U0001f680a", "\0abc", "1abc", "/a",
        "pbabab", "b_a", "b a", "b+1", "9-1", "9 1", "91_0", "k\uff11", "f0", "z0", "zI", "mA", "mAB=", "b7",
        "p", "plusab", "pro", "pro-lusa", "pro-lusab-", "pro--lusab", "pro-lusab_babad", "pro-Lusab",
        "pro-luseb", "pro-lusabbabad", "PRO-lusab",
    ],
)  # fmt: skip
def test_texts_that_are_not_the_one_form_of_their_base_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        multibase.decode(text)


def test_a_cid_is_read_in_every_base_of_the_table() -> None:
    cid = Cid.parse(V1)
    assert len(multibase.PREFIXES) == 25
    for base in multibase.PREFIXES:
        assert Cid.parse(cid.text(base)) == cid
