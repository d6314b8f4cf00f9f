"""The native tree core (`native/`). Any contiguous buffer is taken; long work gives the GIL up.

Wrong arguments raise TypeError or ValueError. A chaining value or root is 32 bytes, a node 64.
"""

from collections.abc import Callable, Mapping, Sequence
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

@final
class ExtentSums:
    """The checksums of an open extent, and until when each check holds; see native/src/extent.rs."""

    def __new__(cls, fd: int, storage_id: int) -> ExtentSums:
        """Of the extent of a storage id; it has a descriptor and a map of its own. Raises OSError."""

    def intact_bytes(self, txn: Any, first: int, stop: int) -> int:
        """How many bytes from segment `first` on match their XXH3, in whole segments, to `stop` at most.

        `stop` ends a segment; `txn.get` gives the values of those that are not known yet, which the
        caller knows to be proven. A check holds for five seconds while nobody writes to the file.
        """

@final
class SmallFiles:
    """At most 64 files that were read together, each of at most 256 KiB; they stay in memory with it."""

    def __new__(cls, paths: Sequence[bytes], follow: bool, size_bytes: int) -> SmallFiles:
        """Read the files at `paths`, of likely `size_bytes` together; a symlink's only with `follow`."""

    def told(self, place: int) -> tuple[int, tuple[int, int], int, bytes, bytes, bytes, int] | None:
        """Mode, time of change in s and ns, size when it was opened, SHA2-256, BLAKE3, group nodes, size.

        The last is what was read, which may be less. None: it is not there, no file, larger, or grew while it
        was read. The general way says which.
        """

    def data(self, place: int) -> bytearray:
        """A copy of what was read of a file that was told."""

    def store(self, places: Sequence[tuple[int, int, int, int]], soon: bool) -> list[int]:
        """Write files, each (place, descriptor, offset, seed); their XXH3 under the seed. Raises OSError.

        With `soon` the kernel is asked to begin with the disk's part now.
        """

def upper(cvs: Buffer) -> tuple[bytes, bytes]:
    """Root and pre-order nodes over segments, from the chaining values of two or more segments."""

def outboard(data: Buffer) -> tuple[bytes, bytes]:
    """Root and whole pre-order outboard over groups of a blob in memory, without the length prefix."""

def parent(left: Buffer, right: Buffer, is_root: bool) -> bytes:
    """Join two chaining values."""

def chunk_nodes(data: Buffer, first: int) -> bytes:
    """Pre-order nodes over the chunks of one group (at most 16 KiB) that begins at chunk `first`."""

def base32_text(data: bytes) -> str:
    """Lower-case base32 without padding, for `content.multibase`."""

def dag_cbor_decode(data: bytes, link: Callable[[bytes], object], deepest: int) -> Any:
    """The value of a dag-cbor block, for `content.dag_cbor`; `link` makes links or raises ValueError.

    Raises ValueError(what is broken, at which byte).
    """

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
        slot: tuple[int, int] | None = None,
    ) -> HotEntry:
        """Content of `first_bytes` lies in the value of `value_bytes` under `key`, after `head` is sent.

        With `slot` it lies in that pack at that offset, and the value holds what else there is.
        """

@final
class LargeEntry:
    """What `HotPath` knows of one request target whose content lies in an extent; see native/src/large.rs."""

    def __new__(cls, generation: int, head: bytes, number: int, size_bytes: int, hit: object) -> LargeEntry:
        """Content of `size_bytes`, all of the extent of that number, after `head` is sent."""

@final
class HotPath:
    """Turns of connections that ask for something known, without a Python frame in between."""

    def __new__(
        cls,
        entries: dict[bytes, HotEntry | LargeEntry],
        words: memoryview[int],
        begin: Callable[[], object],
        packs: Mapping[int, object],
        extents: Mapping[int, object],
    ) -> HotPath:
        """`words` is the board; `begin` opens a transaction of views; `packs`, `extents`: the open ones."""

    def turn(self, fd: int, plain: dict[bytes, Any], opening: bytes, owner: Any) -> Any:
        """Read once from `fd` and answer a known GET, see `net.app.HotPath`."""

    def fileno(self) -> int:
        """Readable when `ended` has something to tell."""

    def ended(self) -> list[tuple[Any, bool]]:
        """(owner, whole) of each body that ended since it was asked last."""

    def taken_bytes(self, fd: int) -> int | None:
        """Bytes of head and body that left so far; None where nothing is being sent."""

    def take_back(self, fd: int) -> int | None:
        """The same; nothing more is sent."""

@final
class PbNode:
    """A dag-pb node over its block; see native/src/node.rs. Behind `content.dag_pb` and `content.unixfs`."""

    def __new__(cls, block: bytes) -> PbNode:
        """Read a node. Raises ValueError(what is broken, at which byte)."""

    def __len__(self) -> int: ...
    @property
    def data(self) -> tuple[int, int] | None:
        """Where the data field lies in the block."""

    def link(self, index: int) -> tuple[bytes, str | None, int | None]:
        """(CID, name, size) of a link. Raises IndexError."""

    def links(self) -> list[tuple[bytes, str | None, int | None]]:
        """(CID, name, size) of every link."""

    def entries(self, width: int) -> tuple[list[tuple[str, bytes, int | None]], list[bytes]]:
        """((name, CID, size) of each entry, CIDs of sub-shards); `width` digits name a slot, 0: no shard."""

    def cid(self, index: int) -> bytes:
        """The CID of a link. Raises IndexError."""

    def cids(self) -> list[bytes]:
        """The CID of every link."""

    def find(self, name: bytes) -> int | None:
        """Which link is the first of that name."""

    def in_slots(self, field: bytes, width: int) -> bool:
        """Whether the links are named by the bits set in `field`, in order, as `width` hex digits."""

    def unixfs(
        self,
    ) -> tuple[
        int | None,
        tuple[int, int] | None,
        int | None,
        tuple[int, ...],
        int | None,
        int | None,
        int | None,
        tuple[int, int | None] | None,
    ]:
        """(kind, payload's place in the block, file_bytes, block_bytes, hash_type, fanout, mode, mtime).

        Raises ValueError(what is broken, at which byte).
        """

@final
class TlsServer:
    """Certificate, key and ticket keys of a listener; implements `net.tls.TlsServer`."""

    def __new__(cls, chain_pem: bytes, key_pem: bytes, tls12_records: int = ...) -> TlsServer:
        """Raises ValueError that says what is wrong with which of them.

        `tls12_records`: how many a session of TLS 1.2, whose keys cannot be renewed, may send.
        """

    def session(self, fd: int) -> TlsSession:
        """A session on the non-blocking socket `fd`, its handshake not begun."""

@final
class TlsSession:
    """One connection's TLS state; implements `net.tls.TlsSession`, which says what each call means."""

    @property
    def ready(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def held_bytes(self) -> int: ...
    def recv(self, size: int) -> bytes: ...
    def sendmsg(self, parts: Sequence[Buffer]) -> int: ...
    def flush(self) -> bool: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...
