"""Piece commitments: published values, and bytes at any split."""

import hashlib
import random

import pytest

from content import multihash
from content.cid import RAW, Cid
from content.commp import PieceHasher, commitment_of, piece_cid
from runtime.errors import BadRequest

# (bytes, CID of the bytes, size of the piece, its CID), as other implementations of FRC-0069 publish them
VECTORS = [
    (65, "bafkreiby3whddkpaz2a5u5xd72xvybynvpizu4bwcjomobkmuzrstv666m", 128,
     "baga6ea4seaqcdb7sudl53yirirwpggyqu26jblb3bswdr4z4oztihiwblt7lapy"),
    (127, "bafkreibt3d2yf6fzlwg3glhsrczx5ej3ppfhdaahj5x7meahpchluqkceq", 128,
     "baga6ea4seaqi5sarmoaw6knhezceliqmebrzptkrsbtcstua3uuyau4yv53syjy"),
    (128, "bafkreie5j3icn3vszabtlazudgscthl7q7q62wocyhs7uflhlw37jrxs74", 256,
     "baga6ea4seaqhbljrbjprxprroxwwdum46x6ng7igxd2ydzorlf76wad6djzduay"),
    (253, "bafkreifoxfbgftwf4t6s3j54cravhscxzgof4u6kfcytfguq66h4rwafku", 256,
     "baga6ea4seaqi22qt3pyubpsehmn5vgtf7x7pg7x3fbc7p3uqfjeuqxoxofuksma"),
    (509, "bafkreibtk7i5c3egverov5ufjl6tqgcvbef3aba564mmy25z5qcwhg4iee", 1024,
     "baga6ea4seaqjug3bir23iwmvjuhpts5xtasc334cumywukgturhrwihanyepucy"),
    (1015, "bafkreiflp6w7xmfwmadkrjej2xygua5d2bx74rr3glywb44ekmap4g3rjy", 1024,
     "baga6ea4seaqm3u4yllogiaghpbfpvigpc576kaumxyikdnyexvwgrgygq3h36hq"),
    (1880, "bafkreibsxv5kw7tfa3ssuqb7qmpbzzcfxgcilhub26lqxhxxoty2s3sjsy", 2048,
     "baga6ea4seaqhjj7i52uz7ipekhrwketrod5jz4pdudmtog5aw25ixr6666rh4bq"),
    (48890, "bafkreigsyjx5dempvalzijht6ieh6dwl5lysyg2m6gtvndinhe5vjec544", 65536,
     "baga6ea4seaqb6zn6xia4lwkatvweaexirjspa2tmovi2pzo27ucnzufdbmlfoii"),
]  # fmt: skip


def derived(size: int) -> bytes:
    """The bytes that the published values are of: a seed, and again and again the sha2-512 of all before."""
    found = b"hello world"
    while len(found) < size:
        found += hashlib.sha512(found).digest()
    return found[:size]


def hashed(data: bytes) -> PieceHasher:
    hasher = PieceHasher()
    hasher.update(data)
    return hasher


@pytest.mark.parametrize(("size", "payload", "piece_bytes", "piece"), VECTORS)
def test_published_commitments(size: int, payload: str, piece_bytes: int, piece: str) -> None:
    data = derived(size)
    assert Cid.v1(RAW, multihash.of(multihash.SHA2_256, data)).text() == payload
    hasher = hashed(data)
    assert piece_cid(hasher.roots()[0]).text() == piece
    assert hasher.matches(commitment_of(Cid.parse(piece)))
    assert not hashed(data + b"\1").matches(commitment_of(Cid.parse(piece)))
    # zeros behind it up to the end of the piece change nothing
    assert hashed(data.ljust(piece_bytes // 128 * 127, b"\0")).roots()[0] == hasher.roots()[0]


def test_zeros_have_the_published_commitment() -> None:
    zero = bytes.fromhex("3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333")
    assert hashed(bytes(127)).roots()[0] == zero
    assert hashed(b"").roots()[0] == zero
    assert hashed(bytes(127)).roots()[1] == hashed(bytes(254)).roots()[0]


def test_a_piece_cid_of_version_2_holds_the_commitment_behind_padding_and_height() -> None:
    raw = "015591202586bdb70313ae7192454f8e556bf57b22b63b61a6313924334ed80f257e47291a377d351b3e"
    assert commitment_of(Cid.from_bytes(bytes.fromhex(raw))).hex() == raw[-64:]


def test_a_piece_stored_as_a_larger_one_still_matches() -> None:
    data = derived(300)
    larger = hashed(data.ljust(127 * 64, b"\0"))
    assert hashed(data).matches(larger.roots()[0])
    assert hashed(data).roots()[4] == larger.roots()[0]


def test_any_split_gives_the_same() -> None:
    data, chance = derived(10_000), random.Random(1)
    hasher, at = PieceHasher(), 0
    while at < len(data):
        step = chance.choice([1, 126, 127, 128, 1000])
        hasher.update(data[at : at + step])
        at += step
    assert hasher.roots() == hashed(data).roots()
    assert hasher.size_bytes == 10_000


@pytest.mark.parametrize("quads", range(1, 18))
def test_the_tree_is_the_one_of_the_definition(quads: int) -> None:
    data = derived(quads * 127)
    leaves: list[bytes] = []
    for start in range(0, len(data), 127):
        bits = "".join(f"{byte:08b}"[::-1] for byte in data[start : start + 127])
        for at in range(0, 1016, 254):
            padded = bits[at : at + 254] + "00"
            leaves.append(bytes(int(padded[i : i + 8][::-1], 2) for i in range(0, 256, 8)))
    while len(leaves) & (len(leaves) - 1):
        leaves.append(bytes(32))
    while len(leaves) > 1:
        digests = [hashlib.sha256(a + b).digest() for a, b in zip(leaves[::2], leaves[1::2], strict=True)]
        leaves = [each[:31] + bytes([each[31] & 0x3F]) for each in digests]
    assert hashed(data).roots()[0] == leaves[0]


def test_what_is_no_piece_cid_is_refused() -> None:
    for text in (VECTORS[0][1], "QmRP8TCp9bthhzLACAao6mh8cfLypqXncdNbzuPtuqFYP7", "bafkqaaa"):
        with pytest.raises(BadRequest):
            commitment_of(Cid.parse(text))
