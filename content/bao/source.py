"""What an encoder reads from. The blockstore implements it; tests have their own."""

from typing import Protocol, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


class Source(Protocol):
    """A blob with its stored tree. Every call is one bounded read; what it returns was already checked."""

    @property
    def size_bytes(self) -> int:
        """Length of the blob."""
        ...

    def segment(self, index: int) -> tuple[Buffer, bytes]:
        """The bytes of segment `index`, and its group nodes in pre-order."""

    def upper_node(self, index: int) -> bytes:
        """The 64 bytes of node `index`, in pre-order, of the tree over segments."""
