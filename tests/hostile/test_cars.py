"""CAR files that lie: lengths, headers, offsets, roots that are not there, a million nothings."""

import tracemalloc

import pytest

from content import car, dag_cbor, varint
from content.block import MAX_BLOCK_BYTES, Block
from content.car import CarReader
from content.cid import RAW, Cid
from runtime.errors import BadRequest, EdgeError, TooLarge, Unverified

BLOCK = Block.sealed(RAW, b"a block")
FRAMED = car.frame(BLOCK.cid, len(BLOCK.data)) + BLOCK.data
EMPTY = Block.sealed(RAW, b"")
PRAGMA = bytes.fromhex("0aa16776657273696f6e02")


def v2(offset: int, size: int, body: bytes) -> bytes:
    """A CARv2 with this data offset and size in its header."""
    numbers = offset.to_bytes(8, "little") + size.to_bytes(8, "little") + bytes(8)
    return PRAGMA + bytes(16) + numbers + body


def taken(*pieces: bytes) -> tuple[CarReader, list[Block]]:
    """The blocks of a CAR that comes in these pieces and ends."""
    reader, blocks = CarReader(), []
    for piece in pieces:
        blocks += list(reader.feed(piece))
    reader.end()
    return reader, blocks


@pytest.mark.parametrize("length", [(1 << 20) + 1, 1 << 32, (1 << 63) - 1])
def test_a_header_of_gigabytes_is_refused_at_its_length(length: int) -> None:
    reader = CarReader()
    with pytest.raises(TooLarge, match=f"a header of {length} bytes") as caught:
        list(reader.feed(varint.encode(length) + bytes(100)))
    assert caught.value.where == "byte 0"
    assert reader.held_bytes < 200


@pytest.mark.parametrize("length", [MAX_BLOCK_BYTES + 1000, 1 << 32, (1 << 63) - 1])
def test_a_block_of_gigabytes_is_refused_at_its_length(length: int) -> None:
    reader = CarReader()
    header = car.header((BLOCK.cid,))
    with pytest.raises(TooLarge, match=f"a block of {length} bytes") as caught:
        list(reader.feed(header + FRAMED + varint.encode(length) + BLOCK.cid.raw))
    assert caught.value.where == f"byte {len(header) + len(FRAMED)}"


def test_a_block_one_byte_above_two_mebibytes_is_refused_by_name() -> None:
    large = bytes(MAX_BLOCK_BYTES + 1)
    cid = Cid.v1(RAW, Block.sealed(RAW, large[:-1]).cid.multihash)
    with pytest.raises(TooLarge) as caught:
        taken(car.header((cid,)) + car.frame(cid, len(large)) + large)
    assert caught.value.where == cid.text()
    most = Block.sealed(RAW, large[:-1])
    assert taken(car.header((most.cid,)) + car.frame(most.cid, len(most.data)) + most.data)[1] == [most]


def test_sections_of_nothing_are_refused_and_blocks_of_nothing_are_read() -> None:
    with pytest.raises(BadRequest, match="a section is empty"):
        taken(car.header((BLOCK.cid,)) + b"\0" * 1000)
    count = 100_000
    frame = car.frame(EMPTY.cid, 0)
    reader = CarReader()
    list(reader.feed(car.header((EMPTY.cid,))))
    pieces = [frame * 1000] * (count // 1000)
    tracemalloc.start()
    found = sum(1 for piece in pieces for _ in reader.feed(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.end()
    assert found == count
    assert peak < 1 << 20, "a block is handed on before the next is read"


def test_a_root_that_is_not_in_the_file_is_the_importers_matter() -> None:
    missing = Block.sealed(RAW, b"elsewhere").cid
    reader, blocks = taken(car.header((missing, BLOCK.cid)) + FRAMED)
    assert reader.roots == (missing, BLOCK.cid)
    assert blocks == [BLOCK]


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (0, 100), (50, 100), (51, 0), (1 << 63, 100), (51, 1 << 63), ((1 << 64) - 1, (1 << 64) - 1), (10, 10),
    ],
)  # fmt: skip
def test_offsets_outside_the_file_are_refused(offset: int, size: int) -> None:
    body = car.header((BLOCK.cid,)) + FRAMED
    with pytest.raises(BadRequest, match="where its data lies"):
        taken(v2(offset, size, body))


@pytest.mark.parametrize(("offset", "size"), [(1 << 62, 100), (51, 1 << 62), (60, 10)])
def test_a_car_2_that_ends_before_what_it_announces_is_cut_short(offset: int, size: int) -> None:
    with pytest.raises(EdgeError):
        taken(v2(offset, size, car.header((BLOCK.cid,)) + FRAMED))


def test_an_offset_far_away_holds_nothing_back() -> None:
    reader = CarReader()
    for piece in (v2(1 << 40, 100, b""), *[bytes(1 << 20)] * 20):
        assert list(reader.feed(piece)) == []
        assert reader.held_bytes == 0


def test_what_follows_a_car_1_is_refused_and_what_follows_the_data_of_a_car_2_passed_over() -> None:
    whole = car.header((BLOCK.cid,)) + FRAMED
    for garbage in (b"\xff" * 20, b"garbage", FRAMED[:-1]):
        with pytest.raises(EdgeError):
            taken(whole, garbage)
        assert taken(v2(51, len(whole), whole), garbage)[1] == [BLOCK]


def test_bytes_that_are_not_the_names_are_refused_by_name() -> None:
    lying = car.frame(BLOCK.cid, 7) + b"A block"
    with pytest.raises(Unverified) as caught:
        taken(car.header((BLOCK.cid,)) + FRAMED + lying)
    assert caught.value.where == BLOCK.cid.text()


def test_a_header_of_many_roots_is_bounded() -> None:
    body = dag_cbor.encode({"roots": [BLOCK.cid] * 50_000, "version": 1})
    with pytest.raises(TooLarge, match="header"):
        taken(varint.encode(len(body)) + body)
