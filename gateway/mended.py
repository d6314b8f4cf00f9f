"""Stretches of body whose bytes are fetched again where they turn out to be damaged, evicted or deleted.

Damage shows when bytes are read, and they are read when they are sent. So the piece waits there
(`net.answer.Wait`): what is lost is brought back from where it came, verified and stored, then it is looked
up anew and the body goes on at the same byte. While nothing is wrong this costs a frame a segment.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Final

from blockstore import Blob
from content.cid import Cid
from content.unixfs.file import leaves
from gateway.content_request import Reading
from gateway.ports import Blobs, Fetcher
from gateway.proof_answer import Mended
from gateway.span import BlobSpan, LendingBlob
from net.answer import NO_LIMIT, Pause, Piece, Use, UseFile, Wait
from runtime.errors import BlobDamaged, EdgeError, NotFound, StoreFull

log = logging.getLogger("fleek.gateway")

# What was brought back and is damaged again at the same byte is a disk that fails
_TRIES_MAX: Final = 3
Find = Callable[[int], Piece]
"""The piece that begins at this offset now. Raises NotFound (BlockMissing), BlobDamaged."""

Mend = Callable[[int], Awaitable[None]]
"""Bring back what lies at this offset. Raises what fetching does."""


class MendedSpan:
    """A piece that is looked up and fetched anew where lending fails."""

    __slots__ = ("_base", "_failed_at", "_find", "_mend", "_piece", "_tries", "size_bytes")

    def __init__(self, piece: Piece, find: Find, mend: Mend) -> None:
        self.size_bytes = piece.size_bytes
        self._piece, self._find, self._mend = piece, find, mend
        self._base, self._failed_at, self._tries = 0, -1, 0

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = NO_LIMIT) -> int:
        """See `Piece.lend`."""
        try:
            if start - self._base >= self._piece.size_bytes:
                self._look(start)
            return self._piece.lend(start - self._base, use, use_file, room_bytes)
        except (BlobDamaged, NotFound) as error:
            self._tries = self._tries + 1 if start == self._failed_at else 1
            self._failed_at = start
            if self._tries > _TRIES_MAX:
                raise
            raise Wait(partial(self._mended, start, error)) from None

    async def _mended(self, start: int, error: EdgeError) -> None:
        if isinstance(error, NotFound):
            try:
                self._look(start)  # it may only have moved
                return
            except (BlobDamaged, NotFound):
                pass
        try:
            await self._mend(start)
        except StoreFull:
            raise
        except EdgeError as failure:
            log.warning("what is lost does not come back: %s (%s)", failure.message, failure.where)
            raise (failure if isinstance(error, NotFound) else error) from None
        self._look(start)

    def _look(self, start: int) -> None:
        self._piece, self._base = self._find(start), start


class _Bytes:
    """Bytes as a piece."""

    __slots__ = ("_data", "size_bytes")

    def __init__(self, data: bytes) -> None:
        self._data, self.size_bytes = data, len(data)

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = NO_LIMIT) -> int:
        """See `Piece.lend`."""
        with memoryview(self._data) as whole, whole[start:] as view:
            return use(view)


def file_span(cid: Cid, reading: Reading, blob: LendingBlob, start: int, stop: int) -> Piece:
    """Bytes [start, stop) of a file that is the whole of `blob`."""
    piece, fetcher = BlobSpan(blob, start, stop), reading.fetcher
    if fetcher is None:
        return piece

    def find(at: int) -> Piece:
        whole = reading.file(cid)
        if whole is not None:
            return BlobSpan(whole, start + at, stop)
        leaf = next(leaves(cid, reading.read, start + at, stop))
        return block_span(leaf.cid, reading, leaf.block_start, leaf.block_stop, mended=False)

    async def mend(at: int) -> None:
        await fetcher.settle()
        await fetcher.span(cid, start + at, stop, reading.root)

    return MendedSpan(piece, find, mend)


def block_span(cid: Cid, reading: Reading, start: int, stop: int, *, mended: bool = True) -> Piece:
    """Bytes [start, stop) of a block, lent where they lie. Raises BlockMissing."""
    reading.deny.check(cid)
    found, fetcher = reading.slice(cid), reading.fetcher
    piece: Piece
    if found is None or start < len(found.prefix) or stop > len(found.prefix) + found.stop - found.start:
        piece = _Bytes(reading.read(cid)[start:stop])
    else:
        base = found.start - len(found.prefix)
        piece = BlobSpan(found.blob, base + start, base + stop)
    if fetcher is None or not mended:
        return piece

    async def mend(at: int) -> None:
        await fetcher.block(cid, reading.root)

    return MendedSpan(piece, lambda at: block_span(cid, reading, start + at, stop, mended=False), mend)


def blob_span(store: Blobs, fetcher: Fetcher | None, root: bytes, span: tuple[int, int]) -> Piece:
    """Bytes [start, stop) of a blob by its hash. Raises NotFound, BlobDamaged."""
    start, stop = span
    piece = BlobSpan(store.blob(root), start, stop)
    if fetcher is None:
        return piece

    async def mend(at: int) -> None:
        await _blob_again(fetcher, root)

    return MendedSpan(piece, lambda at: BlobSpan(store.blob(root), start + at, stop), mend)


def mended_proof(find: Callable[[], Blob], again: Callable[[], Awaitable[None]] | None) -> Mended:
    """What makes the body of a proof that mends itself. `find`: the blob as it is now, raises NotFound;
    `again`: brings it back, None where nobody does.
    """
    return partial(_mended_proof, find, again)


def _mended_proof(
    find: Callable[[], Blob],
    again: Callable[[], Awaitable[None]] | None,
    blob: Blob,
    pieces: Callable[[Blob], Iterator[bytes]],
) -> Iterator[bytes | Pause]:
    """The bytes of a proof as they are encoded. Where that fails the blob is brought back, and the proof,
    which is the same whenever it is made, goes on where it was.
    """
    told, tries = 0, 0
    while True:
        try:
            for piece in skipped(pieces(blob), told):
                told += len(piece)
                yield piece
            return
        except (BlobDamaged, NotFound):
            tries += 1
            if again is None or tries > _TRIES_MAX:
                raise
        yield Pause(again)
        blob = find()


def blob_again(fetcher: Fetcher | None, root: bytes) -> Callable[[], Awaitable[None]] | None:
    """What brings a blob back by its hash; None where nobody does."""
    return None if fetcher is None else partial(_blob_again, fetcher, root)


async def _blob_again(fetcher: Fetcher, root: bytes) -> None:
    await fetcher.settle()
    await fetcher.blob(root)


def skipped(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """`pieces` without their first `count` bytes."""
    for piece in pieces:
        if count >= len(piece):
            count -= len(piece)
            continue
        yield piece[count:]
        count = 0
