"""A stored segment, byte by byte (docs/formats/store.md): data, its group nodes, a 24-byte trailer.

    data                         0 … 256 KiB
    group nodes, pre-order       64 * (groups - 1)
    u32 LE  data length
    u16 LE  groups whose bytes matched the tree, bit g for group g
    u16 LE  flags: bit 0 = last segment of its blob, bit 1 = the data lies apart
    u64 LE  XXH3-64 of the data, seeded with storage id and segment number
    u64 LE  XXH3-64 of everything from the nodes up to here, same seed

The data of a large blob lies apart, in an extent; then the value begins with the nodes. Its length
tells which it is: nodes and trailer of n bytes of data take as much either way, and n is known.

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
APART: Final = 2
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


def rest_bytes(data_bytes: int) -> int:
    """Bytes of the stored value behind the data."""
    return nodes_bytes(data_bytes) + TRAILER_BYTES


def value_bytes(data_bytes: int) -> int:
    """Bytes of the whole stored value, data in it."""
    return data_bytes + rest_bytes(data_bytes)


def lies_apart(value: Buffer, data_bytes: int) -> bool:
    """Whether the data of this value lies in an extent; its length is checked elsewhere if not."""
    return data_bytes > 0 and len(value) == rest_bytes(data_bytes)


def full_bitmap(data_bytes: int) -> int:
    """The bitmap that says all groups of a segment are there."""
    return (1 << group_count(data_bytes)) - 1


def sealed(
    data: bytearray, nodes: bytes, storage_id: int, segment: int, *, last: bool, bitmap: int | None = None
) -> bytearray:
    """Turn `data` in place into the stored value and return it. `bitmap` None means whole."""
    seed = seed_of(storage_id, segment)
    data += _rest(len(data), xxh3_64_intdigest(data, seed), nodes, seed, LAST if last else 0, bitmap)
    return data


def sealed_apart(data: Buffer, nodes: bytes, storage_id: int, segment: int, *, last: bool) -> bytes:
    """The stored value of a whole segment whose data lies in an extent."""
    seed = seed_of(storage_id, segment)
    return _rest(len(data), xxh3_64_intdigest(data, seed), nodes, seed, APART | (LAST if last else 0), None)


def sealed_packed(size_bytes: int, checksum: int, nodes: bytes, storage_id: int) -> bytes:
    """The stored value of a blob of one segment whose data lies in a pack; `checksum`: XXH3 of it, seeded."""
    return _rest(size_bytes, checksum, nodes, seed_of(storage_id, 0), APART | LAST, None)


def _rest(size: int, checksum: int, nodes: bytes, seed: int, flags: int, bitmap: int | None) -> bytes:
    bitmap = full_bitmap(size) if bitmap is None else bitmap
    rest = nodes + _HEAD.pack(size, bitmap, flags, checksum)
    return rest + _CHECK.pack(xxh3_64_intdigest(rest, seed))


def data_sum(value: Buffer) -> int:
    """The checksum of the data, as the trailer has it."""
    return int.from_bytes(value[-16:-8], "little")


def data_intact(value: Buffer, data_bytes: int, seed: int, apart: Buffer | None = None) -> bool:
    """Whether `value` has `data_bytes` of data that match their checksum. 6 us for a whole segment.

    `apart` is that data where it lies apart, None when it is not to be had.
    """
    if lies_apart(value, data_bytes):
        return apart is not None and xxh3_64_intdigest(apart, seed) == data_sum(value)
    if len(value) != value_bytes(data_bytes):
        return False
    with memoryview(value) as view:
        return xxh3_64_intdigest(view[:data_bytes], seed) == data_sum(value)


def rest_intact(value: Buffer, data_bytes: int, seed: int) -> bool:
    """Whether nodes and trailer match their checksum and say the length and the place that are expected."""
    apart = lies_apart(value, data_bytes)
    if not apart and len(value) != value_bytes(data_bytes):
        return False
    with memoryview(value) as view, view[-rest_bytes(data_bytes) :] as rest:
        if xxh3_64_intdigest(rest[:-8], seed) != int.from_bytes(rest[-8:], "little"):
            return False
        size, _, flags, _ = _HEAD.unpack(rest[-TRAILER_BYTES:-8])
        return bool(size == data_bytes and bool(flags & APART) == apart)


def nodes_of(value: Buffer, data_bytes: int) -> bytes:
    """The group nodes inside a stored value."""
    return bytes(value[-rest_bytes(data_bytes) : len(value) - TRAILER_BYTES])


def bitmap_of(value: Buffer) -> int:
    """The bitmap of verified groups inside a stored value."""
    return int.from_bytes(value[-20:-18], "little")


__all__ = [
    "APART",
    "GROUP_BYTES",
    "KEY",
    "LAST",
    "SEGMENT_BYTES",
    "TRAILER",
    "TRAILER_BYTES",
    "bitmap_of",
    "data_intact",
    "data_sum",
    "full_bitmap",
    "lies_apart",
    "nodes_bytes",
    "nodes_of",
    "rest_intact",
    "sealed",
    "sealed_apart",
    "sealed_packed",
    "seed_of",
    "value_bytes",
]
