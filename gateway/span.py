"""A stretch of a blob as a body: nothing is read before the moment it is sent."""

from typing import Protocol

from content.bao.geometry import SEGMENT_BYTES
from net.answer import NO_LIMIT, Use, UseFile, file_stop


class LendingBlob(Protocol):
    """What a span needs of a stored blob; `blockstore.Blob` is one."""

    def lend(self, start: int, stop: int, use: Use, use_file: UseFile | None, file_stop: int) -> int:
        """Call `use`, or `use_file` where they lie in a file, with the checked bytes [start, stop).

        They lie in one segment; more may be offered, as far as `file_stop`. See `blockstore`.
        """
        ...


class BlobSpan:
    """The bytes [start, start + size_bytes) of a blob, lent one segment at a time."""

    __slots__ = ("_blob", "_start", "size_bytes")

    def __init__(self, blob: LendingBlob, start: int, stop: int) -> None:
        """`0 <= start <= stop <= size of the blob`."""
        self._blob = blob
        self._start = start
        self.size_bytes = stop - start

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = NO_LIMIT) -> int:
        """Call `use` with what lies from `start` (within the span) to the end of its segment, or `use_file`.

        Returns what that returned. Raises NotFound when the blob was removed meanwhile and
        BlobDamaged when its bytes no longer check: nothing of them was shown.
        """
        first = self._start + start
        segment_end = first - first % SEGMENT_BYTES + SEGMENT_BYTES
        stop = self._start + self.size_bytes
        reach = file_stop(first, stop, room_bytes, SEGMENT_BYTES)
        return self._blob.lend(first, min(segment_end, stop), use, use_file, reach)
