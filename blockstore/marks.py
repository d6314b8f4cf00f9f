"""A set of ordinals, one bit each: which blocks a walk has passed. Pure."""

from typing import Final


class Marks:
    """One bit an ordinal, in pieces that are made when they are needed."""

    _PIECE_BITS: Final = 1 << 15

    def __init__(self) -> None:
        self._pieces: dict[int, bytearray] = {}

    def add(self, ordinal: int) -> bool:
        """Mark; False when it was marked already."""
        number, bit = divmod(ordinal, self._PIECE_BITS)
        piece = self._pieces.setdefault(number, bytearray(self._PIECE_BITS // 8))
        mask = 1 << (bit & 7)
        if piece[bit >> 3] & mask:
            return False
        piece[bit >> 3] |= mask
        return True

    def has(self, ordinal: int) -> bool:
        """Whether an ordinal is marked."""
        number, bit = divmod(ordinal, self._PIECE_BITS)
        piece = self._pieces.get(number)
        return piece is not None and bool(piece[bit >> 3] & (1 << (bit & 7)))
