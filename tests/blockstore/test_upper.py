"""The upper tree: every node and every segment's chaining value is proven from the root."""

import random

import pytest

from blockstore import upper
from content.bao import _native


def tree(count: int) -> tuple[bytes, bytes, bytes]:
    cvs = random.Random(count).randbytes(32 * count)
    root, nodes = _native.upper(cvs)
    return cvs, root, nodes


@pytest.mark.parametrize("count", [2, 3, 4, 5, 7, 8, 63, 64, 65, 130])
def test_chaining_values_and_nodes_are_found_by_the_path_from_the_root(count: int) -> None:
    cvs, root, nodes = tree(count)

    def node(index: int) -> bytes:
        return nodes[index * 64 : index * 64 + 64]

    for segment in range(count):
        assert upper.segment_cv(root, count, segment, node) == cvs[segment * 32 : segment * 32 + 32]
    for index in range(count - 1):
        assert upper.proven_node(root, count, index, node) == node(index)


@pytest.mark.parametrize("count", [2, 5, 64])
def test_a_changed_node_on_the_path_is_refused(count: int) -> None:
    _, root, nodes = tree(count)
    for index in range(count - 1):
        broken = bytearray(nodes)
        broken[index * 64 + 40] ^= 4

        def node(number: int, broken: bytes = bytes(broken)) -> bytes:
            return broken[number * 64 : number * 64 + 64]

        with pytest.raises(upper.WrongNode):
            upper.proven_node(root, count, index, node)


def test_one_segment_is_its_own_root() -> None:
    assert upper.segment_cv(b"r" * 32, 1, 0, lambda _: b"") == b"r" * 32


def test_chunks_hold_all_nodes_and_refuse_any_flipped_bit() -> None:
    _, _, nodes = tree(130)
    rows = list(upper.chunks(nodes, 70_000))
    assert [len(value) for _, value in rows] == [63 * 64 + 8, 63 * 64 + 8, 3 * 64 + 8]
    assert b"".join(upper.chunk_nodes(value, 70_000, n) or b"" for n, (_, value) in enumerate(rows)) == nodes
    value = rows[2][1]
    for bit in range(len(value) * 8):
        broken = bytearray(value)
        broken[bit // 8] ^= 1 << bit % 8
        assert upper.chunk_nodes(bytes(broken), 70_000, 2) is None
    assert upper.chunk_nodes(value, 70_000, 1) is None
    assert upper.chunk_nodes(value, 70_001, 2) is None
    assert upper.chunk_nodes(value[:-1], 70_000, 2) is None
    assert upper.chunk_nodes(b"", 70_000, 2) is None
