"""Blobs and streams that several tests share."""

from functools import lru_cache

from blake3 import blake3

from content.bao import Proven, Tree
from tests.content.bao.oracle import MemorySource

KIB = 1024
# Every size at which a count of chunks, groups or segments changes, and odd counts between.
BOUNDARY_SIZES = [
    *(0, 1, 63, 64, 65, 1023, 1024, 1025, 2047, 2048, 2049, 3 * KIB, 5 * KIB + 1),
    *(
        16 * KIB - 1,
        16 * KIB,
        16 * KIB + 1,
        17 * KIB,
        32 * KIB - 1,
        32 * KIB,
        32 * KIB + 1,
        48 * KIB,
        80 * KIB + 7,
    ),
    *(
        256 * KIB - 1,
        256 * KIB,
        256 * KIB + 1,
        272 * KIB,
        272 * KIB + 1,
        512 * KIB,
        512 * KIB + 1,
        768 * KIB + 5,
    ),
]


@lru_cache(maxsize=64)
def blob(size: int) -> bytes:
    """Bytes that no two places share."""
    return blake3(b"fleek-edge bao vectors").digest(length=size) if size else b""


def source(data: bytes) -> MemorySource:
    """The blob as an encoder reads it."""
    tree = Tree()
    tree.feed(data)
    hashed = tree.finish()
    return MemorySource(data, list(hashed.segment_nodes), hashed.upper_nodes)


def root_of(data: bytes) -> bytes:
    """The root by other people's code."""
    return blake3(data).digest()


def gather(pieces: list[Proven]) -> dict[int, bytes]:
    """What was proven, by offset, neighbours joined; no byte twice."""
    found: dict[int, bytearray] = {}
    end = -1
    current = bytearray()
    for piece in pieces:
        assert piece.offset_bytes >= end, "in the order of the blob, each byte once"
        if piece.offset_bytes != end:
            current = found[piece.offset_bytes] = bytearray()
        current += piece.data
        end = piece.offset_bytes + len(piece.data)
    return {offset: bytes(part) for offset, part in found.items()}
