"""The bao decoder under hostile streams: `make fuzz TARGET=bao_decode`.

An input is a head that chooses blob, form, query and how the stream is split, then either the stream
itself or a list of edits to the honest stream (so that small inputs reach deep places). The invariant:
only bytes of the blob ever come out, the only error is `Unverified`, the honest stream is accepted, and no
other is, save one whose header lies about a size that the query does not prove.
"""

import struct
from functools import lru_cache

from blake3 import blake3

from content.bao import Decoder, Proven, Tree, combined_pieces, slice_pieces, subgroup_pieces
from runtime.errors import Unverified
from tests.content.bao.oracle import MemorySource

TARGET = "bao_decode"
HEAD = struct.Struct("<BBHHHH")  # form, blob, start, length, start of a second range, bytes a feed
EDIT = struct.Struct("<BHH")  # kind, place as a share of the stream, argument
EDITS_LIMIT = 12
SIZES = (0, 1, 1024, 1025, 3000, 16384, 16385, 17_000, 32_768, 40_000, 66_000)


@lru_cache(maxsize=len(SIZES))
def blob(size: int) -> tuple[bytes, bytes, MemorySource]:
    """A blob, its root, and how an encoder reads it."""
    data = blake3(b"fuzzed").digest(length=size) if size else b""
    tree = Tree()
    tree.feed(data)
    hashed = tree.finish()
    return data, blake3(data).digest(), MemorySource(data, list(hashed.segment_nodes), hashed.upper_nodes)


@lru_cache(maxsize=512)
def honest(form: int, size: int, start: int, length: int, second: int) -> bytes:
    """The right stream for a query."""
    source = blob(size)[2]
    if form == 0:
        return b"".join(combined_pieces(source))
    if form == 1:
        return b"".join(slice_pieces(source, start, length))
    return b"".join(subgroup_pieces(source, ranges(start, length, second)))


def ranges(start: int, length: int, second: int) -> list[tuple[int, int]]:
    """The two ranges of a sub-group query."""
    return [(start, start + length + 1), (second, second + 1)]


def edited(stream: bytes, script: bytes) -> bytes:
    """`stream` after the edits of `script`."""
    out = bytearray(stream)
    for number in range(min(EDITS_LIMIT, len(script) // EDIT.size)):
        kind, place, argument = EDIT.unpack_from(script, number * EDIT.size)
        at = place * len(out) >> 16
        if kind % 8 == 0 and out:
            out[at] ^= 1 << argument % 8
        elif kind % 8 == 1:
            del out[at : at + argument]
        elif kind % 8 == 2:
            out[at:at] = out[at : at + argument]
        elif kind % 8 == 3:
            del out[at:]
        elif kind % 8 == 4:
            out += bytes(argument % 300)
        elif kind % 8 == 5:
            out[:8] = (int.from_bytes(out[:8], "little") + argument - 32768 & (1 << 64) - 1).to_bytes(
                8, "little"
            )
        elif kind % 8 == 6:
            unit = (32, 64, 1024, 16384)[argument % 4]
            out[at : at + 2 * unit] = out[at + unit : at + 2 * unit] + out[at : at + unit]
        else:
            out[at : at + 2] = argument.to_bytes(2, "little")
    return bytes(out)


def read(decoder: Decoder, stream: bytes, step: int) -> tuple[bool, list[Proven]]:
    """Whether the stream was accepted, and everything that came out."""
    pieces: list[Proven] = []
    try:
        for at in range(0, len(stream), step):
            pieces += decoder.feed(stream[at : at + step])
        decoder.finish()
    except Unverified:
        return False, pieces
    return True, pieces


def one(data: bytes) -> None:
    """Raise AssertionError when the decoder breaks its word on this input."""
    if len(data) < HEAD.size:
        return
    form, which, start, length, second, step = HEAD.unpack_from(data)
    size = SIZES[which % len(SIZES)]
    content, root, _ = blob(size)
    right = honest(form % 3, size, start, length, second)
    rest = data[HEAD.size :]
    stream = edited(right, rest) if form & 128 else rest
    query = (lambda: Decoder.combined(root), lambda: Decoder.slice(root, start, length))
    decoder = query[form % 3]() if form % 3 < 2 else Decoder.subgroup(root, ranges(start, length, second))
    accepted, pieces = read(decoder, stream, max(step, len(stream) // 2000 + 1))
    end = 0
    for piece in pieces:
        assert piece.offset_bytes >= end, "out of order, or twice"
        end = piece.offset_bytes + len(piece.data)
        assert piece.data == content[piece.offset_bytes : end], "bytes that are not the blob's"
    assert decoder.size_bytes in (None, size), "a false size was called proven"
    if stream == right:
        assert accepted, "the honest stream was refused"
    elif accepted:
        assert decoder.size_bytes is None, "a stream that is not the proof was accepted"
        assert stream[8:] == right[8:], "a stream that is not the proof was accepted"


def _seed(
    form: int, size: int, start: int, length: int, second: int, step: int, script: bytes | None
) -> bytes:
    head = HEAD.pack(form | (0 if script is None else 128), SIZES.index(size), start, length, second, step)
    return head + (honest(form, size, start, length, second) if script is None else script)


SEEDS: list[bytes] = [
    *(_seed(form, size, 500, 700, 1, 1000, b"") for form in range(3) for size in SIZES),
    *(_seed(form, size, 0, 5, 65_000, 7, None) for form in range(3) for size in (0, 1, 1025, 3000)),
    *(_seed(2, 66_000, 20_000, 9000, 60_000, 65_535, EDIT.pack(kind, 30_000, 64)) for kind in range(8)),
    *(_seed(0, 40_000, 0, 0, 0, 300, EDIT.pack(5, 0, 32768 + lie)) for lie in (-1, 1, 1024, -1024)),
    _seed(1, 17_000, 16_400, 10, 0, 65_535, EDIT.pack(6, 0, 1) + EDIT.pack(0, 40, 3)),
]
