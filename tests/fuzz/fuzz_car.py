"""Fuzz target `car`: CAR files of both versions, fed at any split.

The first two bytes choose where the rest is cut. Invariants
 1. Only BadRequest, TooLarge and Unverified are raised.
 2. However the file is cut, the same blocks come out before the same refusal.
 3. Every block matches its name (checked with another hasher).
 4. A file that is accepted whole, written again, is the same bytes: nothing in it is passed over but the
    padding and the index of a CARv2, which lie where its header says.
 5. What the reader holds back is bounded by one section.
"""

import hashlib

from content import car, dag_cbor, varint
from content.block import MAX_BLOCK_BYTES, Block
from content.car import CarReader
from content.cid import MAX_BYTES as MAX_CID_BYTES
from content.cid import RAW, Cid
from runtime.errors import BadRequest, TooLarge, Unverified
from tests.fuzz import fixtures

TARGET = "car"
_PRAGMA = bytes.fromhex("0aa16776657273696f6e02")
_Outcome = tuple[list[Block], tuple[Cid, ...] | None, str]


def read(data: bytes, cuts: list[int]) -> _Outcome:
    """(blocks, roots, refusal or "") of a file that arrives in pieces ending at `cuts` and at its end."""
    reader, blocks, refusal = CarReader(), list[Block](), ""
    stops = sorted({*(cut for cut in cuts if 0 < cut < len(data)), len(data)})
    try:
        for start, stop in zip([0, *stops], stops, strict=False):
            for block in reader.feed(data[start:stop]):
                blocks.append(block)
            assert reader.held_bytes <= MAX_BLOCK_BYTES + MAX_CID_BYTES + 9 + stop - start
        reader.end()
    except (BadRequest, TooLarge, Unverified) as error:
        assert error.message
        assert error.where, f"a refusal without a place: {error.message}"
        refusal = f"{type(error).__name__} {error.message} {error.where}"
    return blocks, reader.roots, refusal


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if len(data) < 2:
        return
    first, second, data = data[0], data[1], data[2:]
    whole = read(data, [])
    cuts = [first, second * 7, len(data) - second % 9]
    if len(data) <= 160 and first % 4 == 0:
        cuts = list(range(len(data)))
    assert read(data, cuts) == whole, "cut, it means something else"
    blocks, roots, refusal = whole
    for block in blocks:
        if block.cid.multihash[:2] == b"\x12\x20":
            assert hashlib.sha256(block.data).digest() == block.cid.multihash[2:]
    if not refusal:
        assert roots is not None
        written = car.header(roots) + b"".join(car.frame(b.cid, len(b.data)) + b.data for b in blocks)
        if data.startswith(_PRAGMA):
            offset, size = (int.from_bytes(data[at : at + 8], "little") for at in (27, 35))
            assert written == data[offset : offset + size]
        else:
            assert written == data


def _seeds() -> list[bytes]:
    blocks = [Block.sealed(RAW, b"a" * size) for size in (0, 3, 200)]
    blocks.append(Block.sealed(0x71, dag_cbor.encode({"x": blocks[0].cid}), 0x1E))
    body = b"".join(car.frame(b.cid, len(b.data)) + b.data for b in blocks)
    empty = Cid.parse("bafkqaaa")
    one_, two = car.header((blocks[1].cid,)) + body, car.header((blocks[0].cid, empty)) + body
    named = car.header((empty,)) + car.frame(empty, 0) + body
    v2 = _PRAGMA + bytes(16) + (53).to_bytes(8, "little") + len(two).to_bytes(8, "little") + bytes(8)
    lying = dag_cbor.encode({"roots": [], "version": 1, "more": 0})
    files = [
        one_,
        two,
        named,
        car.header(()) + body,
        v2 + b"\0\0" + two + b"index",
        v2[:27] + (1 << 62).to_bytes(8, "little") + v2[35:] + two,
        varint.encode(1 << 32) + one_,
        one_ + varint.encode(MAX_BLOCK_BYTES * 2),
        one_ + b"\0",
        varint.encode(len(lying)) + lying + body,
        *fixtures.cars(),
    ]
    return [bytes((number, 3 * number)) + file for number, file in enumerate(files)]


SEEDS: list[bytes] = _seeds()
