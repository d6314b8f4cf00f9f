"""The one order in which every proof lies on the wire: pre-order over the selected part of the tree.

Encoder, decoder and the length of a proof all follow `walk`, so they cannot disagree. The walk is lazy
and keeps one stack entry a level (54 at most), whatever size is claimed.
"""

from collections.abc import Iterator
from typing import NamedTuple

from content.bao.geometry import (
    CHUNK_BYTES,
    GROUP_CHUNKS,
    HEADER_BYTES,
    NODE_BYTES,
    chunk_count,
    left_leaves,
)
from content.bao.query import Chunks, Query


class Node(NamedTuple):
    """A node shown because its chunks `first..stop` are not all selected; which children follow."""

    first: int
    stop: int
    left: bool
    right: bool


class Whole(NamedTuple):
    """A largest subtree all of whose chunks `first..stop` are selected.

    Up to 16 chunks: raw bytes. More: its nodes and groups in pre-order, opened down to groups only.
    """

    first: int
    stop: int


def walk(size_bytes: int, selected: Chunks) -> Iterator[Node | Whole]:
    """The steps of a proof, after the header."""
    stack = [(0, chunk_count(size_bytes))]
    while stack:
        first, stop = stack.pop()
        if selected.covers(first, stop):
            yield Whole(first, stop)
            continue
        middle = first + left_leaves(stop - first)
        left, right = selected.meets(first, middle), selected.meets(middle, stop)
        yield Node(first, stop, left, right)
        if right:
            stack.append((middle, stop))
        if left:
            stack.append((first, middle))


def whole_bytes(step: Whole, size_bytes: int) -> int:
    """Bytes of the blob under a whole subtree."""
    return min(step.stop * CHUNK_BYTES, size_bytes) - step.first * CHUNK_BYTES


def proof_bytes(size_bytes: int, query: Query) -> int:
    """Exact length of a proof, header included, from sizes alone: O(ranges * log size)."""
    total = HEADER_BYTES
    for step in walk(size_bytes, query.selected(size_bytes)):
        if isinstance(step, Node):
            total += NODE_BYTES
        else:
            groups = -(-(step.stop - step.first) // GROUP_CHUNKS)
            total += whole_bytes(step, size_bytes) + (groups - 1) * NODE_BYTES
    return total
