"""The upper tree of a blob at rest: pre-order nodes over its segments, in checksummed chunks.

A chunk holds up to 63 nodes, so that with its checksum it fills one LMDB page and a single node
costs one page to read. A node is believed only after the path from the root down to it was
rehashed; `UpperTree` walks that path over any reader of nodes. Pure but for the reader it is given.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final

from xxhash import xxh3_64_intdigest

from blockstore.segment import seed_of
from content.bao._native import parent
from content.bao.geometry import CV_BYTES, NODE_BYTES, left_leaves

CHUNK_NODES: Final = 63
KEY: Final = struct.Struct(">QI")
UPPER_SEGMENT: Final = 0xFFFF_FFFF
"""Stands for "the upper tree" where a segment number is expected: in damage rows and reports."""
_SALT: Final = 0x5550_5045_5221  # "UPPER!": a chunk can never pass for a segment of the same numbers


class WrongNode(Exception):
    """A node does not hash to what the node above it, or the root, says."""


def chunk_value(nodes: bytes, storage_id: int, chunk: int) -> bytes:
    """The stored value of `nodes` (a whole number of them, at most 63)."""
    return nodes + xxh3_64_intdigest(nodes, seed_of(storage_id, chunk) ^ _SALT).to_bytes(8, "little")


def chunk_nodes(value: bytes, storage_id: int, chunk: int) -> bytes | None:
    """The nodes inside a stored value, or None when they do not match their checksum."""
    nodes = value[:-8]
    if len(value) <= 8 or len(nodes) % NODE_BYTES:
        return None
    check = xxh3_64_intdigest(nodes, seed_of(storage_id, chunk) ^ _SALT)
    return nodes if check == int.from_bytes(value[-8:], "little") else None


def chunks(nodes: bytes, storage_id: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values under which the pre-order `nodes` of a blob are stored."""
    step = CHUNK_NODES * NODE_BYTES
    for chunk, start in enumerate(range(0, len(nodes), step)):
        yield KEY.pack(storage_id, chunk), chunk_value(nodes[start : start + step], storage_id, chunk)


def segment_cv(root: bytes, segments: int, segment: int, node: Callable[[int], bytes]) -> bytes:
    """Chaining value of `segment`, proven from `root`; the root itself when there is one segment.

    `node(i)` reads node i of the pre-order. Raises WrongNode. Costs about 1.5 us a level.
    """
    expected, index, leaves, is_root = root, 0, segments, True
    while leaves > 1:
        left, right = _proven(expected, node(index), is_root)
        half = left_leaves(leaves)
        if segment < half:
            expected, index, leaves = left, index + 1, half
        else:
            expected, index, leaves = right, index + half, leaves - half
            segment -= half
        is_root = False
    return expected


def proven_node(root: bytes, segments: int, target: int, node: Callable[[int], bytes]) -> bytes:
    """Node `target` of the pre-order, proven from `root`. Raises WrongNode."""
    expected, index, leaves, is_root = root, 0, segments, True
    while True:
        pair = node(index)
        left, right = _proven(expected, pair, is_root)
        if index == target:
            return pair
        half = left_leaves(leaves)
        if target < index + half:
            expected, index, leaves = left, index + 1, half
        else:
            expected, index, leaves = right, index + half, leaves - half
        is_root = False


def _proven(expected: bytes, pair: bytes, is_root: bool) -> tuple[bytes, bytes]:
    left, right = pair[:CV_BYTES], pair[CV_BYTES:]
    if parent(left, right, is_root) != expected:
        raise WrongNode
    return left, right
