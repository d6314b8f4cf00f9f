"""Sizes and node numbers against a plain walk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.bao import geometry


def numbers(start: int, count: int, found: dict[tuple[int, int], int]) -> None:
    """Pre-order numbers of every node, by (start, count)."""
    if count == 1:
        return
    found[(start, count)] = len(found)
    half = 1
    while half * 2 < count:
        half *= 2
    numbers(start, half, found)
    numbers(start + half, count - half, found)


@given(st.integers(1, 600))
def test_node_numbers_equal_a_walk(leaves: int) -> None:
    found: dict[tuple[int, int], int] = {}
    numbers(0, leaves, found)
    assert len(found) == leaves - 1
    for (start, count), number in found.items():
        assert geometry.node_index(start, geometry.levels(count), leaves) == number
    for leaf in range(leaves):
        assert geometry.nodes_opened(leaf, leaves) == sum(start == leaf for start, _ in found)


@given(st.integers(0, 2**64 - 1))
def test_counts_cover_the_size(size: int) -> None:
    for count, unit in (
        (geometry.chunk_count(size), geometry.CHUNK_BYTES),
        (geometry.group_count(size), geometry.GROUP_BYTES),
        (geometry.segment_count(size), geometry.SEGMENT_BYTES),
    ):
        assert (count - 1) * unit < max(size, 1) <= count * unit
    assert geometry.outboard_bytes(size) == 64 * (geometry.group_count(size) - 1)


@given(st.integers(0, 40 * 262_144))
def test_segments_and_the_upper_tree_make_up_the_outboard(size: int) -> None:
    count = geometry.segment_count(size)
    own = sum(geometry.segment_nodes_bytes(size, index) for index in range(count))
    assert own + geometry.upper_nodes_bytes(size) == geometry.outboard_bytes(size)
    assert sum(geometry.segment_bytes(size, index) for index in range(count)) == size
    with pytest.raises(IndexError):
        geometry.segment_bytes(size, count)
