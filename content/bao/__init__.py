"""Verified streaming: BLAKE3 trees over 16 KiB groups (Bao with groups, and the 1 KiB-fine form)."""

from content.bao._native import Proven, outboard, parent, segment, upper
from content.bao.decode import Decoder
from content.bao.encode import (
    combined_length,
    combined_pieces,
    outboard_length,
    outboard_pieces,
    slice_length,
    slice_pieces,
    subgroup_length,
    subgroup_pieces,
)
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
from content.bao.source import Source
from content.bao.tree import Hashed, Tree

__all__ = [
    "CHUNK_BYTES",
    "GROUP_BYTES",
    "NODE_BYTES",
    "SEGMENT_BYTES",
    "Decoder",
    "Hashed",
    "Proven",
    "Source",
    "Tree",
    "chunk_count",
    "combined_length",
    "combined_pieces",
    "group_count",
    "outboard",
    "outboard_bytes",
    "outboard_length",
    "outboard_pieces",
    "parent",
    "segment",
    "segment_bytes",
    "segment_count",
    "segment_nodes_bytes",
    "slice_length",
    "slice_pieces",
    "subgroup_length",
    "subgroup_pieces",
    "upper",
    "upper_node_index",
    "upper_nodes_bytes",
]
