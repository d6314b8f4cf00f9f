"""Where a block lies: a stretch of a blob, and the framing around it."""

from dataclasses import dataclass

from blockstore.blob import Blob
from blockstore.upper import UPPER_SEGMENT
from content.bao.geometry import SEGMENT_BYTES


@dataclass(frozen=True, slots=True)
class Slice:
    """A block as bytes [start, stop) of a blob between `prefix` and `suffix`."""

    blob: Blob
    start: int
    stop: int
    prefix: bytes
    suffix: bytes

    @property
    def size_bytes(self) -> int:
        """Length of the block."""
        return len(self.prefix) + self.stop - self.start + len(self.suffix)

    @property
    def is_damaged(self) -> bool:
        """Whether some of its bytes are in quarantine."""
        damaged = self.blob.damaged_segments
        if not damaged or self.start == self.stop:
            return False
        first, last = self.start // SEGMENT_BYTES, (self.stop - 1) // SEGMENT_BYTES
        return any(first <= each <= last or each == UPPER_SEGMENT for each in damaged)

    def read(self) -> bytes:
        """The block's bytes, copied and checked. Raises as `Blob.lend` does."""
        data = self.blob.read(self.start, self.stop)
        return self.prefix + data + self.suffix if self.prefix or self.suffix else data
