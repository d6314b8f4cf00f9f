"""A stretch of a blob as a body: nothing is read before the moment it is sent."""

from collections.abc import Callable
from typing import Protocol

from content.bao.geometry import SEGMENT_BYTES


class LendingBlob(Protocol):
    """What a span needs of a stored blob; `blockstore.Blob` is one."""

    def lend(self, start: int, stop: int, use: Callable[[memoryview], int]) -> int:
        """Call `use` with the checked bytes [start, stop) of one segment; see `blockstore`."""
        ...


class BlobSpan:
    """The bytes [start, start + size_bytes) of a blob, lent one segment at a time."""

    __slots__ = ("_blob", "_start", "size_bytes")

    def __init__(self, blob: LendingBlob, start: int, stop: int) -> None:
        """`0 <= start <= stop <= size of the blob`."""
        self._blob = blob
        self._start = start
        self.size_bytes = stop - start

    def lend(self, start: int, use: Callable[[memoryview], int]) -> int:
        """Call `use` with a view from `start` (within the span) to the end of its segment.

        Returns what `use` returned. Raises NotFound when the blob was removed meanwhile and
        BlobDamaged when its bytes no longer check: nothing of them was shown.
        """
        first = self._start + start
        segment_end = first - first % SEGMENT_BYTES + SEGMENT_BYTES
        return self._blob.lend(first, min(segment_end, self._start + self.size_bytes), use)
