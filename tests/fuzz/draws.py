"""Decisions out of bytes: how a target that builds a structure reads its input.

Every draw takes bytes from the front and gives zeros behind the end, so that any input is a structure and
a longer input a larger one; mutation of the bytes is mutation of the structure.
"""


class Draws:
    """Reads decisions from an input."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything was drawn."""
        return self._at >= len(self._data)

    def byte(self) -> int:
        """A number from 0 to 255."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def below(self, bound: int) -> int:
        """A number from 0 to `bound` - 1; `bound` is at most 65,536."""
        number = self.byte() if bound <= 256 else self.byte() << 8 | self.byte()
        return number % bound

    def chance(self, of_256: int) -> bool:
        """True for `of_256` of 256 bytes; False where the input is over."""
        return 0 < self.byte() <= of_256

    def chunk(self, limit: int) -> bytes:
        """At most `limit` bytes (of at most 255), their number drawn first."""
        length = min(self.byte(), limit)
        self._at += length
        return self._data[self._at - length : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        left = self._data[self._at :]
        self._at = len(self._data)
        return left
