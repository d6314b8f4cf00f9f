"""A DAG on a trustless gateway: one CAR in the order of the walk, every block checked when it comes.

Theory of operation. The CAR of a path is asked for depth first, repeated blocks repeated (`dups=y`). Whoever
walks the DAG wants its blocks in just that order, so the next block of the stream is the wanted one. It is
hashed before anything else is done with it, so a server that lies is left at its first bad block. Gateways
that leave out repeats are served from a small cache, and what fell out of that, and everything at gateways
that give single blocks only, is asked for alone.

Invariants
 1. No byte leaves here that the CID does not vouch for.
 2. Memory: the cache, one block of the stream, and 8 bytes a block to know what was there.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

from content.block import MAX_BLOCK_BYTES, Block
from content.car import CarReader
from content.cid import Cid
from content.unixfs.file import leaves
from net.client import ClientLimits, Reply, fetch
from runtime.errors import BadRequest, EdgeError, TooLarge, Unreachable, Unverified
from tools.edge.address import RemotePath
from tools.edge.refusal import checked_reply
from tools.frame.output import Progress

_CAR_TYPE: Final = "application/vnd.ipld.car"
_ACCEPT_CAR: Final = f"{_CAR_TYPE}; version=1; order=dfs; dups=y"
_RAW_TYPE: Final = "application/vnd.ipld.raw"
# Following a redirect is harmless where content is proven
_LIMITS: Final = ClientLimits(redirects=5)
_CACHE_BYTES: Final = 32 << 20
# Blocks in a row that nobody asked for: parts of no length are skipped by readers, and that is all there is
_STRAY_MAX: Final = 64
_SEEN_MAX: Final = 4 << 20  # then a block is asked for again rather than missed
_OK: Final = 200
T = TypeVar("T")
_NO_CAR: Final = frozenset((400, 406, 415, 501))  # a gateway that has no CARs, or not such ones


class RemoteBlocks:
    """`tools.edge.tree.Blocks` over a URL; a context manager that ends the connection."""

    def __init__(self, path: RemotePath, token: str | None, progress: Progress) -> None:
        self._path, self._token, self._progress = path, token, progress
        self._reply: Reply | None = None
        self._stream: Iterator[Block] | None = None
        self._next: Block | None = None
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._seen: set[int] = set()

    def __enter__(self) -> "RemoteBlocks":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""
        if self._reply is not None:
            self._reply.close()
        self._reply = self._stream = self._next = None

    def open(self, span: str | None = None, at: Cid | None = None) -> None:
        """Ask for all below the path, or of the file there the bytes of `span` (`FROM:TO`, TO inclusive).

        `at`: instead of the path, something below it; its own block comes first then.
        A gateway without CARs is asked block by block. Raises NotFound, Unreachable, SourceTimeout.
        """
        self.close()
        url = (self._path if at is None else self._path.of(at)).car_url(span)
        reply = fetch(url, headers=self._headers(_ACCEPT_CAR), limits=_LIMITS)
        if reply.status in _NO_CAR or (reply.status == _OK and not _is_car(reply)):
            reply.close()
            return
        self._reply = reply
        try:
            checked_reply(reply, url)
        except EdgeError:
            self.close()
            raise
        self._stream = self._blocks(reply)

    def read(self, cid: Cid) -> bytes:
        """The verified bytes of a block. Raises Unverified (a lie), Unreachable (cut short), NotFound."""
        if cid.is_identity:
            return cid.digest
        for _ in range(_STRAY_MAX):
            upcoming = self._peek()
            if upcoming is not None and upcoming.cid.multihash == cid.multihash:
                self._next = None
                self._keep(upcoming)
                return upcoming.data
            cached = self._cache.get(cid.multihash)
            if cached is not None:
                self._cache.move_to_end(cid.multihash)
                return cached
            if self._stream is None or self._was_seen(cid):
                return self.alone(cid)
            if upcoming is None:
                raise Unreachable("the CAR ends before the DAG does", where=f"{cid} of {self._path.path}")
            self._next = None
            self._keep(upcoming)
        raise Unverified(
            "the CAR holds other blocks than the DAG has, or in another order",
            where=f"{cid} of {self._path.path}",
            hint="nothing unproven was kept",
        )

    def pieces(self, cid: Cid, block: bytes, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes [start, stop) of the file whose root block was just read. Raises as `read`."""
        held = [block]
        last = block

        def read(each: Cid) -> bytes:
            nonlocal last
            last = held.pop() if held else self.read(each)
            return last

        for leaf in leaves(cid, read, start, stop):
            yield last[leaf.block_start : leaf.block_stop]

    def alone(self, cid: Cid) -> bytes:
        """One block by itself. Raises Unverified, TooLarge, NotFound, Unreachable."""
        url = self._path.block_url(cid)
        with fetch(url, headers=self._headers(_RAW_TYPE), limits=_LIMITS) as reply:
            checked_reply(reply, url)
            data = bytearray()
            for piece in reply.pieces():
                data += piece
                self._progress.advance(len(piece))
                if len(data) > MAX_BLOCK_BYTES:
                    raise TooLarge(f"a block of more than {MAX_BLOCK_BYTES} bytes", where=url)
        block = _checked(lambda: Block.verified(cid, bytes(data)), url)
        self._keep(block)
        return block.data

    def _peek(self) -> Block | None:
        """The next block of the stream, which stays the next one; None behind its end."""
        while self._next is None and self._stream is not None:
            found = _checked(partial(next, self._stream, None), str(self._path.path))
            if found is None:
                return None
            self._next = None if found.cid.is_identity else found
        return self._next

    def _blocks(self, reply: Reply) -> Iterator[Block]:
        reader = CarReader()
        for data in reply.pieces():
            self._progress.advance(len(data))
            yield from reader.feed(data)
        try:
            reader.end()
        except BadRequest as error:
            raise Unreachable(f"the answer was cut short: {error.message}", where=reply.url) from None

    def _keep(self, block: Block) -> None:
        multihash = block.cid.multihash
        if len(self._seen) < _SEEN_MAX:
            self._seen.add(hash(multihash))
        if multihash not in self._cache:
            self._cached_bytes += len(block.data)
        self._cache[multihash] = block.data
        self._cache.move_to_end(multihash)
        while self._cached_bytes > _CACHE_BYTES:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])

    def _was_seen(self, cid: Cid) -> bool:
        return len(self._seen) >= _SEEN_MAX or hash(cid.multihash) in self._seen

    def _headers(self, accept: str) -> list[tuple[str, str]]:
        headers = [("Accept", accept), ("Accept-Encoding", "identity")]
        return [*headers, ("Authorization", f"Bearer {self._token}")] if self._token else headers


def _is_car(reply: Reply) -> bool:
    return (reply.fields.get("content-type") or "").startswith(_CAR_TYPE)


def _checked(work: Callable[[], T], url: str) -> T:
    """What `work` gives; a block or CAR that is not what it says is the server's lie."""
    try:
        return work()
    except (BadRequest, TooLarge, Unverified) as error:
        where = f"{error.where} of {url}" if error.where else url
        hint = "the server sent something else than this content; only proven bytes were kept"
        raise Unverified(error.message, where=where, hint=hint) from None
