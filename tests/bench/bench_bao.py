"""The tree's promises: hashing, verifying and the price of a proof.

The peer is the bare `blake3` wheel on one thread over the same bytes, hashed in one call: no outboard, no
checking, no Python between. Rounds take turns (ABAB) and are timed in CPU seconds of the one thread that
works, so that a neighbour who takes the core away does not count against either side.
"""

import random
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from blake3 import blake3

from content.bao import SEGMENT_BYTES, Decoder, Tree, combined_pieces, subgroup_length
from tests.bench.row import Row, at_least, at_most
from tests.content.bao.oracle import MemorySource

BLOB_BYTES: Final = 512 * 1024 * 1024
FEED_BYTES: Final = 256 * 1024
ROUNDS: Final = 15
PROOF_BLOB_BYTES: Final = 100 * 1024 * 1024
RANGE_BYTES: Final = 64 * 1024


@lru_cache(maxsize=1)
def _blob() -> bytes:
    return random.Random(2026).randbytes(BLOB_BYTES // 8) * 8


def _rate(work: Callable[[], object]) -> float:
    start_s = time.thread_time()
    work()
    return BLOB_BYTES / (time.thread_time() - start_s) / 1e9


def _hash() -> bytes:
    return blake3(_blob(), max_threads=1).digest()


def _encode() -> bytes:
    view, tree = memoryview(_blob()), Tree()
    for at in range(0, BLOB_BYTES, FEED_BYTES):
        tree.feed(view[at : at + FEED_BYTES])
    return tree.finish().outboard()


def _decode(root: bytes, stream: memoryview) -> int:
    decoder, proven_bytes = Decoder.combined(root), 0
    for at in range(0, len(stream), FEED_BYTES):
        for piece in decoder.feed(stream[at : at + FEED_BYTES]):
            proven_bytes += len(piece.data)
    decoder.finish()
    return proven_bytes


def encode() -> Row:
    """Hash and outboard of a stream fed 256 KiB at a time."""
    _encode()
    ours, peer = [], []
    for _ in range(ROUNDS):
        peer.append(_rate(_hash))
        ours.append(_rate(_encode))
    why = "512 MiB fed 256 KiB at a time, root and whole outboard, beside the wheel's hash alone"
    return at_least("bao-encode", ours, peer, 1.0, unit="GB/s", why=why)


def decode() -> Row:
    """Verified decoding of the combined encoding, fed 256 KiB at a time, every piece touched."""
    tree = Tree()
    tree.feed(_blob())
    hashed = tree.finish()
    source = MemorySource(_blob(), list(hashed.segment_nodes), hashed.upper_nodes)
    stream = memoryview(b"".join(combined_pieces(source)))
    assert _decode(hashed.root, stream) == BLOB_BYTES
    ours, peer = [], []
    for _ in range(ROUNDS):
        peer.append(_rate(_hash))
        ours.append(_rate(lambda: _decode(hashed.root, stream)))
    why = "512 MiB of combined encoding fed 256 KiB at a time, beside the wheel's hash alone"
    return at_least("bao-decode", ours, peer, 0.9, unit="GB/s", why=why)


def range_proof() -> Row:
    """Bytes beyond a 64 KiB range that its proof costs: mean over 1,000 random offsets of 100 MiB."""
    chance = random.Random(64)
    offsets = [chance.randrange(PROOF_BLOB_BYTES - RANGE_BYTES) for _ in range(1000)]
    extra = [subgroup_length(PROOF_BLOB_BYTES, [(at, at + RANGE_BYTES)]) - RANGE_BYTES for at in offsets]
    why = "nodes, over-fetch to whole chunks and the 8-byte size; sub-group form, seed 64"
    return at_most("bao-range-proof", sum(extra) / len(extra), None, 2600, unit="B", why=why)


def memory_is_bounded() -> Row:
    """What the decoder holds back at most: bytes fed and neither returned nor of the tree."""
    data = _blob()[: 16 * SEGMENT_BYTES]
    tree = Tree()
    tree.feed(data)
    hashed = tree.finish()
    source = MemorySource(data, list(hashed.segment_nodes), hashed.upper_nodes)
    stream = b"".join(combined_pieces(source))
    decoder, fed_bytes, proven_bytes, held_bytes = Decoder.combined(hashed.root), 0, 0, 0
    for at in range(0, len(stream), 1000):
        fed_bytes += len(stream[at : at + 1000])
        proven_bytes += sum(len(piece.data) for piece in decoder.feed(stream[at : at + 1000]))
        held_bytes = max(held_bytes, fed_bytes - proven_bytes - 64 * (proven_bytes // 16384))
    return at_most(
        "bao-decode-held", held_bytes, None, 300_000, unit="B", why="4 MiB fed 1000 bytes at a time"
    )


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {
    "bao-encode": encode,
    "bao-decode": decode,
    "bao-range-proof": range_proof,
    "bao-decode-held": memory_is_bounded,
}
