"""Names built to waste or to deceive: varint bombs, digests that prove nothing, names that hold files."""

import tracemalloc

import pytest

from content import dag_pb, multibase, multihash, varint
from content.block import Block
from content.cid import MAX_BYTES, RAW, Cid, read
from runtime.errors import BadRequest, Unverified

DIGEST = bytes(range(32))


@pytest.mark.parametrize("raw", [b"\x80" * 1_000_000, b"\xff" * 1_000_000 + b"\x01", b"\x81" * 9 + b"\x00"])
def test_a_varint_bomb_costs_nine_bytes(raw: bytes) -> None:
    name = b"\x01\x55" + raw
    tracemalloc.start()
    with pytest.raises(BadRequest, match="longer than 9 bytes"):
        varint.decode(raw)
    with pytest.raises(BadRequest, match="longer than 9 bytes"):
        read(name, 0)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


@pytest.mark.parametrize("length", [0, 1, 19])
@pytest.mark.parametrize(
    "code", [multihash.SHA2_256, multihash.BLAKE3, multihash.BLAKE2B_256, multihash.SHA1]
)
def test_a_digest_cut_too_short_to_prove_anything_is_refused(code: int, length: int) -> None:
    digest = multihash.split(multihash.of(code, b"content"))[1][:length]
    short = Cid.v1(RAW, multihash.wrap(code, digest))
    with pytest.raises((BadRequest, Unverified)) as caught:
        Block.verified(short, b"content")
    assert caught.value.where == short.text()


def test_a_multihash_whose_length_lies_is_refused() -> None:
    for said, given in ((32, 31), (127, 32), (129, 129), (1 << 62, 32)):
        raw = b"\x01\x55\x12" + varint.encode(said) + bytes(given)
        with pytest.raises(BadRequest):
            Cid.from_bytes(raw)
    with pytest.raises(BadRequest, match="bytes follow"):
        Cid.from_bytes(b"\x01\x55\x12\x20" + DIGEST + b"\0")


def test_an_identity_name_holds_a_little_and_never_a_file() -> None:
    most = Cid.v1(RAW, multihash.wrap(multihash.IDENTITY, bytes(multihash.MAX_DIGEST_BYTES)))
    assert Cid.from_bytes(most.raw) == most
    assert len(most.raw) <= MAX_BYTES
    huge = b"\x01\x55" + multihash.wrap(multihash.IDENTITY, bytes(1 << 20))
    with pytest.raises(BadRequest, match="longer than 128"):
        Cid.from_bytes(huge)
    with pytest.raises(BadRequest):
        Cid.parse("f" + huge[:400].hex())


@pytest.mark.parametrize("prefix", ["b", "z", "k", "9", "0", "R", "\U0001f680"])
def test_a_text_without_end_is_refused_before_it_is_read(prefix: str) -> None:
    text = prefix + "a" * 1_000_000
    with pytest.raises(BadRequest, match="too long") as caught:
        multibase.decode(text)
    assert len(caught.value.where) <= 80


def test_a_link_to_a_huge_identity_name_is_refused_with_its_place() -> None:
    body = b"\x0a" + varint.encode(3 + 2 + 200) + b"\x01\x55\x00" + varint.encode(200) + bytes(200)
    block = b"\x12" + varint.encode(len(body)) + body
    with pytest.raises(BadRequest) as caught:
        dag_pb.decode(block)
    assert caught.value.where.startswith("byte ")
