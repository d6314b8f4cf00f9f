"""Proofs on their way out: pieces of bytes, read lazily from a `Source`, one segment at a time.

Forms (docs/formats/bao.md): the combined encoding, slices of it, the sub-group form, and the outboard.
A piece is at most one segment with the nodes before and inside it. Nothing is hashed except the inside
of at most two groups a range, for the sub-group form. Called by the gateway and the command line.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from content.bao._native import chunk_nodes
from content.bao.geometry import (
    CHUNK_BYTES,
    GROUP_BYTES,
    GROUP_CHUNKS,
    HEADER_BYTES,
    NODE_BYTES,
    SEGMENT_BYTES,
    SEGMENT_CHUNKS,
    SIZE_LIMIT,
    chunk_count,
    group_count,
    left_leaves,
    levels,
    node_index,
    outboard_bytes,
    segment_bytes,
    upper_node_index,
)
from content.bao.query import Everything, Query, Ranges, Slice
from content.bao.source import Buffer, Source
from content.bao.walk import Node, proof_bytes, walk

# Outboards come in pieces of about this size: 17 segments are read for one.
_OUTBOARD_PIECE_BYTES = 16 * 1024


def combined_length(size_bytes: int) -> int:
    """Bytes of the combined encoding."""
    return HEADER_BYTES + size_bytes + outboard_bytes(size_bytes)


def outboard_length(size_bytes: int) -> int:
    """Bytes of the outboard, its 8-byte size included."""
    return HEADER_BYTES + outboard_bytes(size_bytes)


def slice_length(size_bytes: int, start: int, length: int) -> int:
    """Bytes of a slice. BadRequest as for `Slice`."""
    return proof_bytes(size_bytes, Slice(start, length))


def subgroup_length(size_bytes: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Bytes of the sub-group form. BadRequest as for `Ranges`."""
    return proof_bytes(size_bytes, Ranges(tuple(ranges)))


def combined_pieces(source: Source) -> Iterator[bytes]:
    """The combined encoding: size, then nodes and groups of the whole blob in pre-order."""
    return _pieces(source, Everything())


def slice_pieces(source: Source, start: int, length: int) -> Iterator[bytes]:
    """The slice of the combined encoding for `start..start + length`. BadRequest as for `Slice`."""
    return _pieces(source, Slice(start, length))


def subgroup_pieces(source: Source, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """The sub-group form for byte ranges `start..stop` in any order. BadRequest as for `Ranges`."""
    return _pieces(source, Ranges(tuple(ranges)))


def outboard_pieces(source: Source) -> Iterator[bytes]:
    """The outboard: size, then all nodes over groups in pre-order."""
    pending = [_header(source.size_bytes)]
    pending_bytes = 0
    reader = _Reader(source)
    for first, stop in _open_to_segments(0, chunk_count(source.size_bytes)):
        part = reader.node(first, stop) if stop - first > SEGMENT_CHUNKS else reader.nodes_of(first)
        pending.append(part)
        pending_bytes += len(part)
        if pending_bytes >= _OUTBOARD_PIECE_BYTES:
            yield b"".join(pending)
            pending, pending_bytes = [], 0
    if pending:
        yield b"".join(pending)


def _header(size_bytes: int) -> bytes:
    assert 0 <= size_bytes < SIZE_LIMIT
    return size_bytes.to_bytes(HEADER_BYTES, "little")


def _pieces(source: Source, query: Query) -> Iterator[bytes]:
    size_bytes = source.size_bytes
    reader = _Reader(source)
    pending: list[Buffer] = [_header(size_bytes)]
    for step in walk(size_bytes, query.selected(size_bytes)):
        if isinstance(step, Node):
            pending.append(reader.node(step.first, step.stop))
            continue
        for first, stop in _open_to_segments(step.first, step.stop):
            if stop - first > SEGMENT_CHUNKS:
                pending.append(reader.node(first, stop))
                continue
            pending += reader.stretch(first, stop)
            yield b"".join(pending)
            pending = []
    assert not pending or size_bytes == 0


def _open_to_segments(first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Pre-order over a subtree, its leaves being the largest parts that lie in one segment."""
    stack = [(first, stop)]
    while stack:
        first, stop = stack.pop()
        yield first, stop
        if stop - first > SEGMENT_CHUNKS:
            middle = first + left_leaves(stop - first)
            stack.append((middle, stop))
            stack.append((first, middle))


@lru_cache(maxsize=SEGMENT_CHUNKS // GROUP_CHUNKS)
def _runs(groups: int) -> tuple[tuple[int, int], ...]:
    """Pre-order of a subtree over groups as (nodes, groups) counts: so many nodes, then so many groups."""
    runs: list[list[int]] = [[0, 0]]
    stack = [groups]
    while stack:
        count = stack.pop()
        if count == 1:
            runs[-1][1] += 1
            continue
        if runs[-1][1]:
            runs.append([0, 0])
        runs[-1][0] += 1
        left = left_leaves(count)
        stack += [count - left, left]
    return tuple((nodes, leaves) for nodes, leaves in runs)


class _Reader:
    """Nodes and bytes of a source by chunk numbers, holding the last segment read and one opened group."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._size_bytes = source.size_bytes
        self._index = -1
        self._data = memoryview(b"")
        self._nodes = b""
        self._group = -1
        self._chunk_nodes = b""

    def nodes_of(self, first: int) -> bytes:
        """All group nodes of the segment that begins at chunk `first`."""
        self._read(first)
        return self._nodes

    def node(self, first: int, stop: int) -> bytes:
        """The node over chunks `first..stop`, whichever of the three trees it stands in."""
        chunks = stop - first
        if chunks > SEGMENT_CHUNKS:
            segments = -(-chunks // SEGMENT_CHUNKS)
            return self._source.upper_node(
                upper_node_index(first // SEGMENT_CHUNKS, segments, self._size_bytes)
            )
        self._read(first)
        if chunks > GROUP_CHUNKS:
            start = first % SEGMENT_CHUNKS // GROUP_CHUNKS
            at = self._group_node(start, -(-chunks // GROUP_CHUNKS))
            return self._nodes[at : at + NODE_BYTES]
        return self._inner_node(first, chunks)

    def stretch(self, first: int, stop: int) -> list[Buffer]:
        """The wire bytes of the whole subtree `first..stop`, which lies in one segment."""
        self._read(first)
        at = first % SEGMENT_CHUNKS * CHUNK_BYTES
        end = min(at + (stop - first) * CHUNK_BYTES, len(self._data))
        groups = -(-(stop - first) // GROUP_CHUNKS)
        if groups == 1:
            return [self._data[at:end]]
        node_at = self._group_node(at // GROUP_BYTES, groups)
        parts: list[Buffer] = []
        for nodes, leaves in _runs(groups):
            parts.append(self._nodes[node_at : node_at + nodes * NODE_BYTES])
            parts.append(self._data[at : min(at + leaves * GROUP_BYTES, end)])
            node_at += nodes * NODE_BYTES
            at += leaves * GROUP_BYTES
        return parts

    def _read(self, chunk: int) -> None:
        index = chunk // SEGMENT_CHUNKS
        if index == self._index:
            return
        data, self._nodes = self._source.segment(index)
        self._data = memoryview(data)
        self._index = index
        assert len(self._data) == segment_bytes(self._size_bytes, index)

    def _group_node(self, start: int, groups: int) -> int:
        """Where, in the held segment's nodes, the node over `groups` groups from `start` stands."""
        return node_index(start, levels(groups), group_count(len(self._data))) * NODE_BYTES

    def _inner_node(self, first: int, chunks: int) -> bytes:
        group = first // GROUP_CHUNKS
        at = group * GROUP_BYTES % SEGMENT_BYTES
        data = self._data[at : at + GROUP_BYTES]
        if group != self._group:
            self._chunk_nodes = chunk_nodes(data, group * GROUP_CHUNKS)
            self._group = group
        at = node_index(first % GROUP_CHUNKS, levels(chunks), chunk_count(len(data))) * NODE_BYTES
        return self._chunk_nodes[at : at + NODE_BYTES]
