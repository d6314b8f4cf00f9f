"""The slow oracle: BLAKE3 trees and proofs in plain Python, written from the specifications alone.

It shares nothing with the product: its own compression, its own recursion over bytes, its own reading of
which leaves a query selects. `leaf_chunks` is 1 for Bao itself, 16 for Bao with groups.
"""

from collections.abc import Callable
from functools import lru_cache

from content.bao.source import Buffer

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
START, END, PARENT, ROOT = 1, 2, 4, 8


def _mix(v: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    for add, first, second in ((x, 16, 12), (y, 8, 7)):
        v[a] = (v[a] + v[b] + add) & 0xFFFFFFFF
        d_old = v[d] ^ v[a]
        v[d] = (d_old >> first | d_old << 32 - first) & 0xFFFFFFFF
        v[c] = (v[c] + v[d]) & 0xFFFFFFFF
        b_old = v[b] ^ v[c]
        v[b] = (b_old >> second | b_old << 32 - second) & 0xFFFFFFFF


def compress(cv: tuple[int, ...], block: bytes, counter: int, flags: int) -> tuple[int, ...]:
    """One compression, truncated to a chaining value."""
    padded = block.ljust(64, b"\0")
    words = [int.from_bytes(padded[at : at + 4], "little") for at in range(0, 64, 4)]
    v = [*cv, *IV[:4], counter & 0xFFFFFFFF, counter >> 32, len(block), flags]
    for _ in range(7):
        _mix(v, 0, 4, 8, 12, words[0], words[1])
        _mix(v, 1, 5, 9, 13, words[2], words[3])
        _mix(v, 2, 6, 10, 14, words[4], words[5])
        _mix(v, 3, 7, 11, 15, words[6], words[7])
        _mix(v, 0, 5, 10, 15, words[8], words[9])
        _mix(v, 1, 6, 11, 12, words[10], words[11])
        _mix(v, 2, 7, 8, 13, words[12], words[13])
        _mix(v, 3, 4, 9, 14, words[14], words[15])
        words = [words[at] for at in ORDER]
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def _bytes(cv: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in cv)


@lru_cache(maxsize=4096)
def chunk_cv(data: bytes, index: int, root: bool) -> bytes:
    """Chaining value of one chunk."""
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    cv: tuple[int, ...] = IV
    for number, block in enumerate(blocks):
        flags = START if number == 0 else 0
        if number == len(blocks) - 1:
            flags |= END | (ROOT if root else 0)
        cv = compress(cv, block, index, flags)
    return _bytes(cv)


@lru_cache(maxsize=4096)
def parent_cv(left: bytes, right: bytes, root: bool) -> bytes:
    """Chaining value of a node."""
    return _bytes(compress(IV, left + right, 0, PARENT | (ROOT if root else 0)))


def left_bytes(size: int) -> int:
    """Bytes under the left child of a subtree of more than one chunk."""
    half = 1024
    while half * 2 < size:
        half *= 2
    return half


def subtree_cv(data: bytes, first: int, root: bool) -> bytes:
    """Chaining value of a subtree that begins at chunk `first`."""
    if len(data) <= 1024:
        return chunk_cv(data, first, root)
    left, right = children(data, first)
    return parent_cv(left, right, root)


def children(data: bytes, first: int) -> tuple[bytes, bytes]:
    """The two halves of the node over a subtree of more than one chunk."""
    half = left_bytes(len(data))
    return subtree_cv(data[:half], first, False), subtree_cv(data[half:], first + half // 1024, False)


def _header(data: bytes) -> bytes:
    return len(data).to_bytes(8, "little")


def _walk(data: bytes, first: int, leaf: int, wants: Callable[[int, int], bool], leaves: bool) -> bytes:
    """Pre-order over leaves of `leaf` bytes, those subtrees for which `wants(first byte, after)`."""
    at = first * 1024
    if not wants(at, at + len(data)):
        return b""
    if len(data) <= leaf:
        return data if leaves else b""
    half = left_bytes(len(data))
    node = b"".join(children(data, first))
    left = _walk(data[:half], first, leaf, wants, leaves)
    return node + left + _walk(data[half:], first + half // 1024, leaf, wants, leaves)


def outboard(data: bytes) -> bytes:
    """Size and pre-order nodes over 16 KiB groups."""
    return _header(data) + _walk(data, 0, 16384, lambda _a, _b: True, False)


def combined(data: bytes, leaf: int = 16384) -> bytes:
    """Size, then nodes and leaves."""
    return _header(data) + _walk(data, 0, leaf, lambda _a, _b: True, True)


def slice_of(data: bytes, start: int, length: int, leaf: int = 16384) -> bytes:
    """The parts of the combined encoding for a slice; at or past the end the last leaf."""
    stop = start + max(1, length)
    if start >= len(data):
        start, stop = max(0, len(data) - 1), len(data)
    return _header(data) + _walk(data, 0, leaf, lambda a, b: not data or (a < stop and start < b), True)


def subgroup(data: bytes, ranges: list[tuple[int, int]]) -> bytes:
    """The sub-group form, chunk by chunk: a plain set of wanted chunks."""
    last = max(0, (len(data) - 1) // 1024)
    wanted: set[int] = set()
    for start, stop in ranges:
        wanted.update(range(start // 1024, min(-(-stop // 1024), last + 1)))
        if -(-stop // 1024) > last:
            wanted.add(last)

    def walk(part: bytes, first: int) -> bytes:
        chunks = range(first, first + max(1, -(-len(part) // 1024)))
        chosen = sum(chunk in wanted for chunk in chunks)
        if chosen == 0:
            return b""
        if chosen == len(chunks) <= 16:
            return part
        half = left_bytes(len(part))
        return (
            b"".join(children(part, first))
            + walk(part[:half], first)
            + walk(part[half:], first + half // 1024)
        )

    return _header(data) + walk(data, 0)


class MemorySource:
    """A `Source` over bytes in memory; its nodes come from functions given by the test."""

    def __init__(self, data: bytes, segments: list[bytes], upper: bytes) -> None:
        self.size_bytes = len(data)
        self.reads: list[int] = []
        self._data = data
        self._segments = segments
        self._upper = upper

    def segment(self, index: int) -> tuple[Buffer, bytes]:
        self.reads.append(index)
        return self._data[index * 262144 : (index + 1) * 262144], self._segments[index]

    def upper_node(self, index: int) -> bytes:
        return self._upper[index * 64 : (index + 1) * 64]
