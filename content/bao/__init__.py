"""Verified streaming: BLAKE3 trees over 16 KiB groups (Bao with groups, and the 1 KiB-fine form)."""

from content.bao._native import outboard, parent, segment, upper
from content.bao.geometry import (
    CHUNK_BYTES,
    GROUP_BYTES,
    NODE_BYTES,
    SEGMENT_BYTES,
    chunk_count,
    group_count,
    outboard_bytes,
    segment_bytes,
    segment_count,
    segment_nodes_bytes,
    upper_node_index,
    upper_nodes_bytes,
)

__all__ = [
    "CHUNK_BYTES",
    "GROUP_BYTES",
    "NODE_BYTES",
    "SEGMENT_BYTES",
    "chunk_count",
    "group_count",
    "outboard",
    "outboard_bytes",
    "parent",
    "segment",
    "segment_bytes",
    "segment_count",
    "segment_nodes_bytes",
    "upper",
    "upper_node_index",
    "upper_nodes_bytes",
]
