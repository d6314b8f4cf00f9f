"""What the gateway needs of others, as small protocols; `node/assemble.py` joins them."""

from collections.abc import Iterable
from typing import Protocol

from blockstore import Blob
from blockstore.dag import Slice
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

    def file(self, cid: Cid) -> Blob | None:
        """The blob that is the whole file."""
        ...

    def names_of(self, blob: bytes) -> list[tuple[bytes, bool]]:
        """Multihashes of what lies in a blob, and whether it is the whole."""
        ...

    def record(self, name: bytes) -> bytes | None:
        """The record of an IPNS name."""
        ...

    def put_record(self, name: bytes, record: bytes) -> None:
        """Keep a verified record."""
        ...


class Fetcher(Protocol):
    """Brings content here that is not here yet. Every method returns when it is, or raises."""

    async def block(self, cid: Cid) -> None:
        """Fetch one block, verified, into the store. Raises NotFound, Unreachable, TooManyRequests."""
        ...

    async def entity(self, cid: Cid) -> None:
        """As `block`, and fetch the shards of a directory, or how a file begins, along with it."""
        ...

    async def span(self, cid: Cid, start: int, stop: int) -> None:
        """Return when byte `start` of a file can be read; the bytes up to `stop` will be wanted after it."""
        ...

    def passed(self, cid: Cid, start: int, end: int, stop: int) -> None:
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


class Deny(Protocol):
    """The operator's denylist."""

    def check(self, cid: Cid) -> None:
        """Raise Blocked when a rule names this content."""
        ...

    def check_path(self, namespace: str, root: str, segments: Iterable[str]) -> None:
        """Raise Blocked when a rule names this path."""
        ...

    def check_blob(self, root: bytes) -> None:
        """Raise Blocked when a rule names this blob by BLAKE3 or by any CID of it."""
        ...
