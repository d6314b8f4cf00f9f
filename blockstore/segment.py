"""A stored segment, byte by byte (docs/formats/store.md): data, its group nodes, a 24-byte trailer.

    data                         0 … 256 KiB
    group nodes, pre-order       64 * (groups - 1)
    u32 LE  data length
    u16 LE  groups whose bytes matched the tree, bit g for group g
    u16 LE  flags: bit 0 = last segment of its blob
    u64 LE  XXH3-64 of the data, seeded with storage id and segment number
    u64 LE  XXH3-64 of everything from the nodes up to here, same seed

The seed makes a segment that was stored, or found, under another key fail like any flipped bit.
The checksum finds damage on every read; only BLAKE3, on the first read since open, proves a name.
Pure: no I/O.
"""

import struct
from typing import Final

from xxhash import xxh3_64_intdigest

from content.bao.geometry import GROUP_BYTES, NODE_BYTES, SEGMENT_BYTES, group_count

TRAILER: Final = struct.Struct("<IHHQQ")
TRAILER_BYTES: Final = TRAILER.size
KEY: Final = struct.Struct(">QI")
LAST: Final = 1
_CHECK: Final = struct.Struct("<Q")
_HEAD: Final = struct.Struct("<IHHQ")
_ID_MULTIPLIER: Final = 0x9E37_79B9_7F4A_7C15  # golden-ratio mix: neighbouring ids get unrelated seeds
_MASK: Final = (1 << 64) - 1

Buffer = bytes | bytearray | memoryview


def seed_of(storage_id: int, segment: int) -> int:
    """Seed of the checksums of one stored segment."""
    return (storage_id * _ID_MULTIPLIER + segment) & _MASK


def nodes_bytes(data_bytes: int) -> int:
    """Bytes of group nodes that follow `data_bytes` of data."""
    return (group_count(data_bytes) - 1) * NODE_BYTES


def value_bytes(data_bytes: int) -> int:
    """Bytes of the whole stored value."""
    return data_bytes + nodes_bytes(data_bytes) + TRAILER_BYTES


def full_bitmap(data_bytes: int) -> int:
    """The bitmap that says all groups of a segment are there."""
    return (1 << group_count(data_bytes)) - 1


def sealed(
    data: bytearray, nodes: bytes, storage_id: int, segment: int, *, last: bool, bitmap: int | None = None
) -> bytearray:
    """Turn `data` in place into the stored value and return it. `bitmap` None means whole."""
    size = len(data)
    seed = seed_of(storage_id, segment)
    if bitmap is None:
        bitmap = full_bitmap(size)
    head = _HEAD.pack(size, bitmap, LAST if last else 0, xxh3_64_intdigest(data, seed))
    data += nodes
    data += head
    data += _CHECK.pack(xxh3_64_intdigest(memoryview(data)[size:], seed))
    return data


def data_intact(value: Buffer, data_bytes: int, seed: int) -> bool:
    """Whether `value` holds `data_bytes` of data that match their checksum. 6 us for a whole segment."""
    if len(value) != value_bytes(data_bytes):
        return False
    stored = int.from_bytes(value[-16:-8], "little")
    with memoryview(value) as view:
        return xxh3_64_intdigest(view[:data_bytes], seed) == stored


def rest_intact(value: Buffer, data_bytes: int, seed: int) -> bool:
    """Whether nodes and trailer match their checksum and say the length that is expected."""
    if len(value) != value_bytes(data_bytes):
        return False
    with memoryview(value) as view:
        if xxh3_64_intdigest(view[data_bytes:-8], seed) != int.from_bytes(view[-8:], "little"):
            return False
        return int.from_bytes(view[-24:-20], "little") == data_bytes


def nodes_of(value: Buffer, data_bytes: int) -> bytes:
    """The group nodes inside a stored value."""
    return bytes(value[data_bytes : data_bytes + nodes_bytes(data_bytes)])


def bitmap_of(value: Buffer) -> int:
    """The bitmap of verified groups inside a stored value."""
    return int.from_bytes(value[-20:-18], "little")


__all__ = [
    "GROUP_BYTES",
    "KEY",
    "LAST",
    "SEGMENT_BYTES",
    "TRAILER",
    "TRAILER_BYTES",
    "bitmap_of",
    "data_intact",
    "full_bitmap",
    "nodes_bytes",
    "nodes_of",
    "rest_intact",
    "sealed",
    "seed_of",
    "value_bytes",
]
