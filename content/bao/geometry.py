"""Sizes and places in a blob's tree: pure arithmetic on sizes, for every reader and writer of trees.

Chunk (1 KiB), group (16 KiB, the stored tree's leaf), segment (256 KiB, the stored unit). An empty blob
has one empty chunk, hence one group and one segment. A left subtree holds the largest power of two of
leaves strictly below the total (BLAKE3 specification, section 2.1). Every function costs O(log size).
"""

from typing import Final

CHUNK_BYTES: Final = 1024
GROUP_CHUNKS: Final = 16
GROUP_BYTES: Final = GROUP_CHUNKS * CHUNK_BYTES
SEGMENT_GROUPS: Final = 16
SEGMENT_CHUNKS: Final = SEGMENT_GROUPS * GROUP_CHUNKS
SEGMENT_BYTES: Final = SEGMENT_GROUPS * GROUP_BYTES
NODE_BYTES: Final = 64
CV_BYTES: Final = 32
HEADER_BYTES: Final = 8  # the size before every proof, little-endian
SIZE_LIMIT: Final = 1 << 64  # a blob's size is below this: what the header can say and BLAKE3 can hash


def chunk_count(size_bytes: int) -> int:
    """Chunks in a blob; one for an empty blob."""
    return max(1, -(-size_bytes // CHUNK_BYTES))


def group_count(size_bytes: int) -> int:
    """Groups in a blob; one for an empty blob."""
    return max(1, -(-size_bytes // GROUP_BYTES))


def segment_count(size_bytes: int) -> int:
    """Segments in a blob; one for an empty blob."""
    return max(1, -(-size_bytes // SEGMENT_BYTES))


def segment_bytes(size_bytes: int, index: int) -> int:
    """Bytes in segment `index`: 256 KiB for all but the last. IndexError when there is no such segment."""
    if not 0 <= index < segment_count(size_bytes):
        raise IndexError(f"a blob of {size_bytes} bytes has no segment {index}")
    return min(SEGMENT_BYTES, size_bytes - index * SEGMENT_BYTES)


def segment_nodes_bytes(size_bytes: int, index: int) -> int:
    """Bytes of the group nodes of segment `index`."""
    return (group_count(segment_bytes(size_bytes, index)) - 1) * NODE_BYTES


def outboard_bytes(size_bytes: int) -> int:
    """Bytes of all nodes over groups, without the length prefix."""
    return (group_count(size_bytes) - 1) * NODE_BYTES


def upper_nodes_bytes(size_bytes: int) -> int:
    """Bytes of all nodes over segments (those above every segment's own nodes)."""
    return (segment_count(size_bytes) - 1) * NODE_BYTES


def left_leaves(count: int) -> int:
    """Leaves in the left subtree of a tree of `count` leaves; `count` is two or more."""
    return 1 << (count - 1).bit_length() - 1


def levels(count: int) -> int:
    """Levels of nodes above `count` leaves: 0 for one leaf, 1 for two, 2 for three or four."""
    return (count - 1).bit_length()


def node_index(start: int, level: int, leaves: int) -> int:
    """Pre-order number of the node over leaves from `start` that spans at most `2**level` of them.

    Before it stand all nodes of what lies to the left (`start - popcount(start)`) and those ancestors
    that are real, i.e. whose right half begins inside the tree.
    """
    ancestors = 0
    for up in range(level + 1, levels(leaves) + 1):
        if (start >> up << up) + (1 << up - 1) < leaves:
            ancestors += 1
    return start - start.bit_count() + ancestors


def upper_node_index(start_segment: int, segments: int, size_bytes: int) -> int:
    """Pre-order number, among nodes over segments, of the node over `segments` segments from `start_segment`.

    `segments` is two or more and together they must be a real subtree of a blob of `size_bytes`.
    """
    return node_index(start_segment, levels(segments), segment_count(size_bytes))


def nodes_opened(leaf: int, leaves: int) -> int:
    """How many nodes stand directly before leaf `leaf` in pre-order: those that begin with it."""
    opened = 0
    half = 1
    while leaf % (2 * half) == 0 and leaf + half < leaves:
        opened += 1
        half *= 2
    return opened
