"""The stored segment, byte by byte."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockstore import segment as stored
from content.bao import _native


def sealed(size: int, storage_id: int = 70_000, number: int = 3, *, last: bool = True) -> bytes:
    data = random.Random(size).randbytes(size)
    _, nodes = _native.segment(data, number, False) if size else (b"", b"")
    return bytes(stored.sealed(bytearray(data), nodes, storage_id, number, last=last))


def test_the_layout_is_frozen() -> None:
    value = bytes(stored.sealed(bytearray(b"abc"), b"", 65_536, 0, last=True))
    assert value.hex() == "616263" + "03000000" + "0100" + "0100" + "014f93383ad58061" + "406653db2bc49f49"


def test_the_layout_of_one_whose_data_lies_apart_is_frozen() -> None:
    value = stored.sealed_apart(b"abc", b"", 65_536, 0, last=True)
    assert value.hex() == "03000000" + "0100" + "0300" + "014f93383ad58061" + "a35d4bd069cc558b"


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 100_000, 262_144])
def test_data_that_lies_apart_is_checked_like_any_other(size: int) -> None:
    data = random.Random(size).randbytes(size)
    _, nodes = _native.segment(data, 3, False)
    value = stored.sealed_apart(data, nodes, 70_000, 3, last=False)
    seed = stored.seed_of(70_000, 3)
    assert stored.lies_apart(value, size)
    assert not stored.lies_apart(sealed(size), size)
    assert stored.data_intact(value, size, seed, data)
    assert stored.rest_intact(value, size, seed)
    assert stored.nodes_of(value, size) == nodes
    assert stored.bitmap_of(value) == stored.full_bitmap(size)
    assert not stored.data_intact(value, size, seed)
    assert not stored.data_intact(value, size, seed, data[:-1])
    assert not stored.data_intact(value, size, seed, bytes([data[0] ^ 1]) + data[1:])
    assert not stored.rest_intact(sealed(size)[size:], size, seed), "the flag is part of it"


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 100_000, 262_143, 262_144])
def test_a_sealed_segment_is_as_long_as_it_says_and_intact(size: int) -> None:
    value = sealed(size)
    seed = stored.seed_of(70_000, 3)
    assert len(value) == stored.value_bytes(size)
    assert stored.data_intact(value, size, seed)
    assert stored.rest_intact(value, size, seed)
    assert stored.bitmap_of(value) == stored.full_bitmap(size)


@given(st.integers(1, 70_000), st.data())
def test_any_flipped_bit_is_found(size: int, choose: st.DataObject) -> None:
    value = bytearray(sealed(size))
    bit = choose.draw(st.integers(0, len(value) * 8 - 1))
    value[bit // 8] ^= 1 << bit % 8
    seed = stored.seed_of(70_000, 3)
    assert not (stored.data_intact(value, size, seed) and stored.rest_intact(value, size, seed))
    if bit // 8 < size:
        assert not stored.data_intact(value, size, seed)


def test_a_segment_found_under_another_key_is_not_intact() -> None:
    value = sealed(5000)
    for storage_id, number in ((70_001, 3), (70_000, 4), (70_000, 2)):
        assert not stored.data_intact(value, 5000, stored.seed_of(storage_id, number))
        assert not stored.rest_intact(value, 5000, stored.seed_of(storage_id, number))


def test_a_value_of_another_length_is_not_intact() -> None:
    value = sealed(5000)
    seed = stored.seed_of(70_000, 3)
    for wrong in (value[:-1], value + b"\0", b"", value[:24]):
        assert not stored.data_intact(wrong, 5000, seed)
        assert not stored.rest_intact(wrong, 5000, seed)
