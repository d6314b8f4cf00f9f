"""CAR files: read at any split, verified, bounded; written so that others read them."""

import random
import re

import pytest

from content import car, dag_cbor, varint
from content.block import MAX_BLOCK_BYTES, Block
from content.car import CarReader
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_value import Value
from runtime.errors import BadRequest, EdgeError, TooLarge, Unverified

BLOCKS = [Block.sealed(RAW, random.Random(size).randbytes(size)) for size in (0, 1, 100, 1000, 70_000)]
BLOCKS.append(Block.sealed(DAG_CBOR, dag_cbor.encode({"x": BLOCKS[1].cid})))
BLOCKS.append(Block.sealed(0x70, b"", version=0))
ROOTS = (BLOCKS[0].cid, BLOCKS[6].cid)


def written(blocks: list[Block]) -> bytes:
    return car.header(ROOTS) + b"".join(car.frame(b.cid, len(b.data)) + b.data for b in blocks)


def headed(value: Value) -> bytes:
    """A file that begins with `value` where a header should be."""
    body = dag_cbor.encode(value)
    return varint.encode(len(body)) + body


CAR = written(BLOCKS)
V2 = (
    bytes.fromhex("0aa16776657273696f6e02")
    + bytes(16)
    + (51 + 9).to_bytes(8, "little")
    + len(CAR).to_bytes(8, "little")
)
V2 += bytes(8) + b"\xee" * 9 + CAR + b"an index that nobody believes"


def taken(raw: bytes, step: int) -> tuple[CarReader, list[Block]]:
    reader, found = CarReader(), []
    for at in range(0, len(raw), step):
        found += list(reader.feed(raw[at : at + step]))
    reader.end()
    return reader, found


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
@pytest.mark.parametrize("raw", [CAR, V2], ids=["v1", "v2"])
def test_blocks_come_out_however_the_file_is_cut(raw: bytes, step: int) -> None:
    reader, found = taken(raw, step)
    assert reader.roots == ROOTS
    assert found == BLOCKS


@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_file_that_ends_early_is_never_whole(step: int) -> None:
    for cut in [*range(1, 80), *range(len(CAR) - 50, len(CAR))]:
        if cut in (len(car.header(ROOTS)), *_ends()):
            continue
        with pytest.raises(EdgeError):
            taken(CAR[:cut], step)
    with pytest.raises(EdgeError):
        taken(V2[: 60 + len(CAR) - 1], step)


def _ends() -> set[int]:
    at, ends = len(car.header(ROOTS)), set()
    for block in BLOCKS:
        at += len(car.frame(block.cid, len(block.data))) + len(block.data)
        ends.add(at)
    return ends


def test_a_flipped_bit_anywhere_is_noticed_or_changes_a_name() -> None:
    chance = random.Random(3)
    names = {block.cid for block in BLOCKS}
    for _ in range(400):
        raw = bytearray(CAR)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        try:
            _, found = taken(bytes(raw), 1000)
        except EdgeError:
            continue
        assert {block.cid for block in found} != names or found == BLOCKS


def test_a_block_that_is_not_what_it_is_called_is_refused() -> None:
    raw = car.header(ROOTS) + car.frame(BLOCKS[2].cid, 100) + bytes(100)
    with pytest.raises(Unverified):
        taken(raw, 50)


@pytest.mark.parametrize(
    "raw",
    [
        varint.encode(1 << 40),
        varint.encode((1 << 20) + 1),
        car.header(ROOTS) + varint.encode(MAX_BLOCK_BYTES + 1000),
        car.header(ROOTS) + varint.encode(1 << 62),
    ],
)
def test_a_length_is_bounded_before_it_is_believed(raw: bytes) -> None:
    with pytest.raises(TooLarge):
        list(CarReader().feed(raw))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00", b"\x80" * 20, b"\x81\x00", varint.encode(1) + b"\xf6", varint.encode(3) + b"\xa1\x61\x61",
        headed({"roots": [1], "version": 1}), headed({"roots": [], "version": 3}),
        headed({"roots": [], "version": True}), headed({"roots": [], "version": 1.0}),
        headed({"more": 0, "roots": [], "version": 1}), headed({"version": 1}), headed([]),
        car.header(ROOTS) + b"\x00", car.header(ROOTS) + b"\x03\x01\x55\x12",
        V2[:11] + bytes(40), V2[:27] + (1).to_bytes(8, "little") + V2[35:],
    ],
)  # fmt: skip
def test_headers_that_lie_are_refused(raw: bytes) -> None:
    reader = CarReader()
    with pytest.raises(BadRequest):
        list(reader.feed(raw))
        reader.end()


def test_nothing_is_no_car() -> None:
    with pytest.raises(BadRequest):
        CarReader().end()
    reader, found = taken(car.header((Cid.parse("bafkqaaa"),)), 3)
    assert (reader.roots, found) == ((Cid.parse("bafkqaaa"),), [])


def test_zeros_may_follow_a_car_in_a_piece_and_nothing_else() -> None:
    whole = CAR + bytes(1000)
    for split in (1, 7, len(CAR), len(CAR) + 1, len(whole)):
        reader = CarReader(padded=True)
        found = [each for at in range(0, len(whole), split) for each in reader.feed(whole[at : at + split])]
        reader.end()
        assert len(found) == len(BLOCKS)
    for tail in (bytes(10) + b"x", b"\0" + CAR):
        reader = CarReader(padded=True)
        with pytest.raises(BadRequest, match="zeros"):
            for at in range(0, len(CAR) + len(tail), 5):
                list(reader.feed((CAR + tail)[at : at + 5]))
    with pytest.raises(BadRequest, match="empty"):
        list(CarReader().feed(whole))


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (b"no car at all", "'no car a'$"),
        (b"PK\x03\x04" + bytes(100), "504b0304.*a ZIP archive"),
        (b"\x1f\x8b\x08" + bytes(100), "1f8b08.*gzip"),
        (b"<html>", "'<html>'.*HTML"),
        (b'{"cid":1}', "JSON"),
        (b"\x89PNG\r\n\x1a\n", "89504e47"),
    ],
)
def test_what_is_something_else_is_told_from_its_first_bytes(found: bytes, told: str) -> None:
    reader = CarReader()
    with pytest.raises(BadRequest, match="not a CAR") as refused:
        list(reader.feed(found))
        reader.end()
    assert re.search(told, refused.value.message)


def test_a_header_that_is_no_dag_cbor_is_called_a_header() -> None:
    with pytest.raises(BadRequest, match="not a sound CAR: its header cannot be read"):
        list(CarReader().feed(b"\x04\xa2xxx"))
