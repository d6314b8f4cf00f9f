"""The native tree core (`native/`). Any contiguous buffer is taken; long work gives the GIL up.

Wrong arguments raise TypeError or ValueError. A chaining value or root is 32 bytes, a node 64.
"""

from collections.abc import Callable
from typing import Any, final

from typing_extensions import Buffer

class Mismatch(Exception):
    """`args == (first, stop)`: these chunks, or the node over them, differ from what the root commits to."""

@final
class Proven:
    """Bytes of a blob that match its root. `data` aliases what was fed: leave that alone while in use."""

    @property
    def offset_bytes(self) -> int: ...
    @property
    def data(self) -> memoryview | bytes: ...

@final
class Subtree:
    """One whole subtree on its way to being proven; its memory is one entry a level for any claimed size."""

    def __new__(cls, cv: Buffer, first: int, size_bytes: int, is_root: bool) -> Subtree:
        """`size_bytes` of the blob from chunk `first` on must hash to `cv`."""

    @property
    def missing_bytes(self) -> int | None:
        """How many more bytes the next node or leaf needs; None when all is proven."""

    @property
    def next_chunk(self) -> int | None:
        """First chunk of the next node or leaf; None when all is proven."""

    def feed(self, view: memoryview, start: int) -> tuple[int, list[Proven]]:
        """Take `view` from `start` to its end, or to the end of the subtree: (position after, proven).

        Raises Mismatch when anything differs; nothing of that feed is then proven, nor of any later one.
        """

def segment(data: Buffer, index: int, only: bool) -> tuple[bytes, bytes]:
    """Hash segment `index` (1 B to 256 KiB): its chaining value and its group nodes in pre-order.

    `only`: the blob is this one segment (index 0, may be empty); then the first item is the root.
    """

def upper(cvs: Buffer) -> tuple[bytes, bytes]:
    """Root and pre-order nodes over segments, from the chaining values of two or more segments."""

def outboard(data: Buffer) -> tuple[bytes, bytes]:
    """Root and whole pre-order outboard over groups of a blob in memory, without the length prefix."""

def parent(left: Buffer, right: Buffer, is_root: bool) -> bytes:
    """Join two chaining values."""

def chunk_nodes(data: Buffer, first: int) -> bytes:
    """Pre-order nodes over the chunks of one group (at most 16 KiB) that begins at chunk `first`."""

@final
class HotEntry:
    """What `HotPath` knows of one request target; see native/src/hot.rs."""

    def __new__(
        cls,
        generation: int,
        head: bytes,
        key: bytes,
        seed: int,
        first_bytes: int,
        value_bytes: int,
        whole: bool,
        hit: object,
    ) -> HotEntry:
        """Content of `first_bytes` lies in the value of `value_bytes` under `key`, after `head` is sent."""

@final
class HotPath:
    """One turn of a connection that asks for something known, without a Python frame in between."""

    def __new__(
        cls, entries: dict[bytes, HotEntry], words: memoryview[int], begin: Callable[[], object]
    ) -> HotPath:
        """`words` is the board; `begin` opens a transaction of views."""

    def turn(self, fd: int, plain: dict[bytes, Any], opening: bytes) -> Any:
        """Read once from `fd` and answer a known GET: its hit, (data, hit, taken), or the bytes read."""
