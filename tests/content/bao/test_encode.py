"""The encoders: lazy, exact in length, and right at every boundary by the oracle."""

from content.bao import (
    combined_length,
    combined_pieces,
    outboard_length,
    outboard_pieces,
    segment_bytes,
    segment_count,
    slice_length,
    slice_pieces,
    subgroup_length,
    subgroup_pieces,
)
from tests.content.bao.blobs import BOUNDARY_SIZES, KIB, blob, source

TIB = 1 << 40


def test_lengths_are_exact_at_every_boundary_size() -> None:
    for size in BOUNDARY_SIZES:
        data = source(blob(size))
        assert sum(map(len, combined_pieces(data))) == combined_length(size)
        assert sum(map(len, outboard_pieces(data))) == outboard_length(size)
        for start, length in ((0, 0), (size // 2, 70_000), (size, 1), (max(0, size - 1), 1)):
            assert sum(map(len, slice_pieces(data, start, length))) == slice_length(size, start, length)
            ranges = [(start, start + length + 1), (size // 3, size // 3 + 1)]
            assert sum(map(len, subgroup_pieces(data, ranges))) == subgroup_length(size, ranges)


def test_lengths_of_a_tebibyte_are_computed_without_data() -> None:
    groups = TIB // (16 * KIB)
    assert outboard_length(TIB) == 8 + 64 * (groups - 1)
    assert combined_length(TIB) == outboard_length(TIB) + TIB
    assert slice_length(TIB, 0, TIB) == combined_length(TIB)
    assert slice_length(TIB, 12345, 1) == 8 + 64 * 26 + 16 * KIB
    assert subgroup_length(TIB, [(0, TIB + 1)]) == combined_length(TIB)
    assert subgroup_length(TIB, [(TIB // 2 + 1024, TIB // 2 + 2048)]) == 8 + 64 * 30 + 1024


def test_only_the_segments_asked_for_are_read_each_once_and_one_at_a_time() -> None:
    data = source(blob(8 * 256 * KIB + 5))
    list(slice_pieces(data, 3 * 256 * KIB + 5, 256 * KIB))
    assert data.reads == [3, 4]
    data.reads.clear()
    list(subgroup_pieces(data, [(0, 1), (5, 6), (20_000, 20_001), (7 * 256 * KIB, 7 * 256 * KIB + 1)]))
    assert data.reads == [0, 7]
    data.reads.clear()
    pieces = combined_pieces(data)
    next(pieces)
    assert data.reads == [0]
    next(pieces)
    assert data.reads == [0, 1]


def test_no_piece_is_much_longer_than_a_segment() -> None:
    data = source(blob(5 * 256 * KIB + 77))
    for pieces in (combined_pieces(data), slice_pieces(data, 5, 10**6), subgroup_pieces(data, [(3, 10**6)])):
        assert max(map(len, pieces)) <= 256 * KIB + 64 * (15 + 64)


def test_a_64_kib_range_of_100_mib_costs_less_than_2600_bytes_beyond_it() -> None:
    size = 100 * KIB * KIB
    offsets = [(7919 * 104_729 * i + 31 * i) % (size - 64 * KIB) for i in range(1, 1001)]
    extra = [subgroup_length(size, [(at, at + 64 * KIB)]) - 64 * KIB for at in offsets]
    assert sum(extra) / len(extra) <= 2600


class EndlessZeros:
    """A source of any size that would never fit anywhere: every segment and node is zeros."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.reads = 0

    def segment(self, index: int) -> tuple[bytes, bytes]:
        self.reads += 1
        length = segment_bytes(self.size_bytes, index)
        return bytes(length), bytes(64 * (-(-length // (16 * KIB)) - 1))

    def upper_node(self, index: int) -> bytes:
        assert 0 <= index < segment_count(self.size_bytes) - 1
        return bytes(64)


def test_proofs_of_a_tebibyte_read_only_what_they_show() -> None:
    for size in (TIB, TIB + 1, TIB - 12345, (1 << 64) - 1):
        data = EndlessZeros(size)
        assert sum(map(len, slice_pieces(data, size // 3, 1))) == slice_length(size, size // 3, 1)
        ranges = [(5, 6), (size // 2, size // 2 + 5000), (size - 1, size)]
        assert sum(map(len, subgroup_pieces(data, ranges))) == subgroup_length(size, ranges)
        assert data.reads <= 6
        assert len(next(combined_pieces(data))) < 300 * KIB
        assert len(next(outboard_pieces(data))) < 20 * KIB
