"""What the gateway needs of others, as small protocols; `node/assemble.py` joins them."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from blockstore import Blob
from blockstore.block_slice import Slice
from content.cid import Cid


class DagStore(Protocol):
    """Content by CID; `blockstore.dag.Dag` is one."""

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing."""
        ...

    def has(self, cid: Cid) -> bool:
        """Whether a block is here."""
        ...

    def slice(self, cid: Cid) -> Slice | None:
        """Where a block lies."""
        ...

    def sound_slice(self, cid: Cid) -> Slice | None:
        """As `slice`; None also where it is known to be damaged."""
        ...

    def file(self, cid: Cid) -> Blob | None:
        """The blob that is the whole file."""
        ...

    def was_file(self, cid: Cid) -> bool:
        """Whether it is on record that this was a whole file here."""
        ...

    def whole_file(self, cid: Cid) -> Blob | None:
        """As `file`; None also where some of it is known to be damaged."""
        ...

    def whole_names(self, blob: bytes) -> list[bytes]:
        """Multihashes of the files and blocks that are the whole of a blob."""
        ...

    def arrivals(self) -> int:
        """A number that is another one when blocks came that were not here."""
        ...

    def record(self, name: bytes) -> bytes | None:
        """The record of an IPNS name."""
        ...

    def put_record(self, name: bytes, record: bytes) -> None:
        """Keep a verified record."""
        ...


class Blobs(Protocol):
    """Blobs by hash; `blockstore.Store` is one."""

    def blob(self, root: bytes) -> Blob:
        """A handle. Raises NotFound, BlobDamaged."""
        ...


class Fetcher(Protocol):
    """Brings content here that is not here yet. Every method returns when it is, or raises."""

    async def block(self, cid: Cid, root: Cid | None = None) -> None:
        """Fetch one block, verified, into the store. Raises NotFound, Unreachable, TooManyRequests.

        `root`: what the block is asked for below of, here and in the others.
        """
        ...

    async def entity(self, cid: Cid, root: Cid | None = None) -> None:
        """As `block`, and fetch the shards of a directory, or how a file begins, along with it."""
        ...

    async def settle(self) -> None:
        """Return when damage that was found until now counts as missing."""
        ...

    async def blob(self, root: bytes) -> None:
        """Bring a blob back whole. Raises as `block`."""
        ...

    def knows_blob(self, root: bytes) -> bool:
        """Whether a blob came from somewhere it may be had from again."""
        ...

    async def file(self, cid: Cid, root: Cid | None = None) -> None:
        """Return when a file is here as one blob. Raises as `block`."""
        ...

    async def span(self, cid: Cid, start: int, stop: int, root: Cid | None = None) -> None:
        """Return when byte `start` of a file can be read; the bytes up to `stop` will be wanted after it."""
        ...

    def passed(self, cid: Cid, start: int, end: int, stop: int, root: Cid | None = None) -> None:
        """Bytes [start, end) of a file are on their way out, those up to `stop` will be: fetch ahead."""
        ...

    async def record(self, name: Cid) -> None:
        """Fetch the newest record of an IPNS name. Raises NotFound, Unreachable."""
        ...

    async def dnslink(self, host: str) -> None:
        """Look a domain's DNSLink up, so that `Links.link` knows it. Raises NotFound, Unreachable."""
        ...


class Links(Protocol):
    """DNSLinks that are known without waiting."""

    def link(self, host: str) -> tuple[str, float] | None:
        """(path, seconds it may be kept) of a domain; None when it is not known now."""
        ...

    def is_absent(self, host: str) -> bool:
        """Whether the DNS said lately that a domain has none."""
        ...


class Deny(Protocol):
    """The operator's denylist."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is denied."""
        ...

    def look_again(self) -> bool:
        """Learn of content that came; whether memoised decisions may be wrong now."""
        ...

    def check(self, cid: Cid) -> None:
        """Raise Blocked when a rule names this content."""
        ...

    def check_path(self, namespace: str, root: str, segments: Iterable[str]) -> None:
        """Raise Blocked when a rule names this path, as it was asked for."""
        ...

    def check_way(self, along: Sequence[Cid], segments: Sequence[str]) -> None:
        """Raise Blocked when a rule names what lies `segments` below along[0], or below one on the way."""
        ...

    def check_below(self, cid: Cid, path: str = "") -> None:
        """Raise Blocked when a rule denies paths below a directory, or below `path` in it."""
        ...

    def check_blob(self, root: bytes) -> None:
        """Raise Blocked when a rule names this blob by BLAKE3 or by any CID of it."""
        ...
