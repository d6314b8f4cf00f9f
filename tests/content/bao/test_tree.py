"""Trees of streams: any split gives the root and outboard of the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.bao import Tree, outboard
from runtime.errors import Conflict
from tests.content.bao.blobs import BOUNDARY_SIZES, blob, root_of


@pytest.mark.parametrize("size", [*BOUNDARY_SIZES, 3 * 1024 * 1024 + 17])
@pytest.mark.parametrize("step", [1000, 262_144, 262_145, 1 << 30])
def test_any_step_gives_the_whole_blobs_tree(size: int, step: int) -> None:
    data, tree = blob(size), Tree()
    for at in range(0, size, step):
        tree.feed(data[at : at + step])
    hashed = tree.finish()
    assert hashed.root == root_of(data)
    assert hashed.size_bytes == size
    assert hashed.outboard() == size.to_bytes(8, "little") + outboard(data)[1]


@given(steps=st.lists(st.sampled_from([0, 1, 1024, 100_000, 262_143, 262_144, 262_145, 524_288]), max_size=8))
def test_odd_steps_change_nothing(steps: list[int]) -> None:
    data, tree, at = blob(sum(steps)), Tree(), 0
    for step in steps:
        tree.feed(memoryview(data)[at : at + step])
        at += step
    assert tree.finish().root == root_of(data)


def test_a_finished_tree_takes_no_more() -> None:
    tree = Tree()
    assert tree.finish().root == root_of(b"")
    with pytest.raises(Conflict):
        tree.feed(b"x")
    with pytest.raises(Conflict):
        tree.finish()
