"""Piece commitments (commP): what Filecoin names a piece of stored data by.

Bytes are padded as fr32 (after each 254 bits two zero bits, so that 127 bytes become four leaves of 32), and
the leaves joined in a binary tree of sha2-256 cut to 254 bits. A piece has 2^n leaves: what is short of it
is filled with zeros, and a piece may be stored as a larger one with zeros behind it, whose commitment is
another. So `matches` looks at every size up to the largest sector.

Source: the Filecoin specification (piece, fr32 padding), FRC-0069 (piece CID v2); multicodec table. Pure
Python: 10 to 20 MB/s, bound by sha2-256. Where bytes are also named by CIDs these are what is
believed; the commitment tells whether the piece is the one that was asked for.
"""

import hashlib
from typing import Final

from content import multihash, varint
from content.cid import RAW, Cid
from runtime.errors import BadRequest

QUAD_BYTES: Final = 127  # become four leaves
NODE_BYTES: Final = 32
_UNSEALED: Final = 0xF101  # codec fil-commitment-unsealed
_TRUNC254: Final = 0x1012  # sha2-256-trunc254-padded
_PADDED_TREE: Final = 0x1011  # fr32-sha2-256-trunc254-padded-binary-tree
_MASK: Final = (1 << 254) - 1
_QUAD_HEIGHT: Final = 2
_HEIGHT_MAX: Final = 31  # 2^31 leaves: 64 GiB, the largest sector


def commitment_of(cid: Cid) -> bytes:
    """The 32 bytes that a piece CID (version 1 or 2) commits to. Raises BadRequest."""
    code, digest = multihash.split(cid.multihash)
    if cid.codec == _UNSEALED and code == _TRUNC254 and len(digest) == NODE_BYTES:
        return digest
    if cid.codec == RAW and code == _PADDED_TREE and len(digest) > NODE_BYTES:
        _, at = varint.decode(digest, 0)
        if len(digest) == at + 1 + NODE_BYTES:
            return digest[-NODE_BYTES:]
    raise BadRequest("not the CID of a Filecoin piece", where=cid.text()[:80])


def piece_cid(commitment: bytes) -> Cid:
    """The piece CID (version 1) of a commitment."""
    return Cid.v1(_UNSEALED, multihash.wrap(_TRUNC254, commitment))


class PieceHasher:
    """The commitment of a piece whose bytes come in any sizes. Memory: a node a level."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._peaks: list[bytes | None] = []  # by height above the quads; None where there is none
        self.size_bytes = 0

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self.size_bytes += len(data)
        held = self._held
        held += data
        whole = len(held) - len(held) % QUAD_BYTES
        for start in range(0, whole, QUAD_BYTES):
            self._push(_quad(held[start : start + QUAD_BYTES]))
        del held[:whole]

    def roots(self) -> list[bytes]:
        """Commitments of the bytes so far, as a piece of each size that they fit in, the smallest first."""
        peaks = list(self._peaks)
        if self._held or not peaks:
            _join(peaks, _quad(bytes(self._held).ljust(QUAD_BYTES, b"\0")))
        root: bytes | None = None  # of everything below the height in hand, filled with zeros to its right
        for height, peak in enumerate(peaks[:-1]):
            if peak is not None:
                root = _node(peak, _ZEROS[height] if root is None else root)
            elif root is not None:
                root = _node(root, _ZEROS[height])
        top = peaks[-1]
        assert top is not None, "the highest peak is there"
        found = [top]
        if root is not None:
            found = [_node(top, root)]
        for height in range(len(peaks) - 1 + (root is not None), _HEIGHT_MAX - _QUAD_HEIGHT):
            found.append(_node(found[-1], _ZEROS[height]))
        return found

    def matches(self, commitment: bytes) -> bool:
        """Whether the bytes are a piece of this commitment, of whatever size."""
        return commitment in self.roots()

    def _push(self, node: bytes) -> None:
        _join(self._peaks, node)


def _join(peaks: list[bytes | None], node: bytes) -> None:
    """Put a node behind those that are there, joining equals as a counter carries."""
    for height, peak in enumerate(peaks):
        if peak is None:
            peaks[height] = node
            return
        node, peaks[height] = _node(peak, node), None
    peaks.append(node)


def _node(left: bytes, right: bytes) -> bytes:
    digest = hashlib.sha256(left + right).digest()
    return digest[:-1] + bytes((digest[-1] & 0x3F,))


def _quad(data: bytes | bytearray) -> bytes:
    """The node over the four leaves that 127 bytes become."""
    bits = int.from_bytes(data, "little")
    first, second, third, fourth = (
        ((bits >> shift) & _MASK).to_bytes(NODE_BYTES, "little") for shift in (0, 254, 508, 762)
    )
    return _node(_node(first, second), _node(third, fourth))


def _zeros() -> list[bytes]:
    found = [_quad(bytes(QUAD_BYTES))]
    while len(found) < _HEIGHT_MAX:
        found.append(_node(found[-1], found[-1]))
    return found


_ZEROS: Final = _zeros()  # by height above the quads
