"""Which stored things this process has checked against BLAKE3 since it opened the store.

Bits in pages of 4096 numbers, so that a million small blobs, whose storage ids are neighbours,
cost 128 KiB. Bounded: when the memory is used up the oldest page is forgotten, and what was on
it is simply checked once more.
"""

from typing import Final

_PAGE_SHIFT: Final = 12
_PAGE_BYTES: Final = 1 << _PAGE_SHIFT - 3
_PAGE_COST_BYTES: Final = _PAGE_BYTES + 250  # with the dict entry, the key tuple and the objects' heads
_PAGE_MASK: Final = (1 << _PAGE_SHIFT) - 1


class CheckedMemo:
    """A bounded set of pairs (storage id, number). Threads may race: a mark can be lost, never invented."""

    def __init__(self, memory_bytes: int) -> None:
        self._pages: dict[tuple[int, int], bytearray] = {}
        self._pages_max = max(1, memory_bytes // _PAGE_COST_BYTES)

    def has(self, storage_id: int, number: int) -> bool:
        """Whether this pair was marked and is still remembered. About 0.2 us."""
        key, bit = _place(storage_id, number)
        page = self._pages.get(key)
        return page is not None and bool(page[bit >> 3] >> (bit & 7) & 1)

    def run(self, storage_id: int, number: int, stop: int) -> int:
        """Where, from `number` on and at `stop` at the latest, the first pair is that `has` does not know."""
        while number < stop and self.has(storage_id, number):
            number += 1
        return number

    def mark(self, storage_id: int, number: int) -> None:
        """Remember this pair."""
        key, bit = _place(storage_id, number)
        page = self._pages.get(key)
        if page is None:
            while len(self._pages) >= self._pages_max:
                self._pages.pop(next(iter(self._pages)), None)
            page = self._pages.setdefault(key, bytearray(_PAGE_BYTES))
        page[bit >> 3] |= 1 << (bit & 7)


def _place(storage_id: int, number: int) -> tuple[tuple[int, int], int]:
    if number == 0:  # first segments live together, by id
        return (-1, storage_id >> _PAGE_SHIFT), storage_id & _PAGE_MASK
    return (storage_id, number >> _PAGE_SHIFT), number & _PAGE_MASK
