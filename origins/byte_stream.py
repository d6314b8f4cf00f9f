"""The bytes at an origin, as they come: a URL, an Arweave transaction, a file of this machine."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from blockstore.origin import OPERATOR, Origin, OriginKind
from net.outbound import Outbound
from origins.meter import OriginMeter
from runtime.errors import EdgeError, NotFound, Unreachable

# Work on a thread is given this much at a time, so that the way there costs nothing beside it
BATCH_BYTES: Final = 1 << 20
# As much as the largest upload; what is longer is no use, and what never ends must end
BYTES_MAX: Final = 1 << 40
# A terabyte at 50 MB/s; who sends nothing for `idle_s` is left long before
_WHOLE_S: Final = 21_600.0
ABSENT: Final = frozenset((404, 410, 451))
Pieces = AsyncIterator[bytes]


class ByteStreams:
    """Opens them."""

    def __init__(self, outbound: Outbound, arweave_gateways: Sequence[str], meter: OriginMeter) -> None:
        """`arweave_gateways`: base URLs, asked in this order."""
        self._outbound, self._meter = outbound, meter
        self._arweave = [url.rstrip("/") for url in arweave_gateways]

    def urls(self, origin: Origin) -> list[str]:
        """Where the bytes of an origin can be asked for; [] for one that is no URL of bytes."""
        if origin.kind is OriginKind.ARWEAVE:
            rest = origin.address.removeprefix("ar://")
            return [f"{gateway}/{rest}" for gateway in self._arweave]
        return [origin.address] if origin.kind in (OriginKind.HTTP, OriginKind.FILECOIN) else []

    @asynccontextmanager
    async def open(self, url: str, accept: str = "*/*") -> AsyncIterator[Pieces]:
        """The body of a 200 in batches. Raises NotFound, Unreachable, SourceTimeout, Forbidden, TooLarge."""
        self._meter.request("bytes")
        self._meter.opened(1)
        try:
            reply = await self._outbound.get(url, accept=accept, max_bytes=BYTES_MAX, deadline_s=_WHOLE_S)
            async with reply:
                if reply.status in ABSENT:
                    raise NotFound("the origin does not have it any more", where=url)
                if reply.status != 200:
                    raise Unreachable(f"the origin answered {reply.status}", where=url)
                yield self._counted(batched(reply.pieces()))
        except EdgeError as error:
            self._meter.failure(error)
            raise
        finally:
            self._meter.opened(-1)

    async def _counted(self, pieces: Pieces) -> Pieces:
        async for data in pieces:
            self._meter.received(len(data))
            yield data


async def batched(pieces: Pieces) -> Pieces:
    """The same bytes in pieces of at least `BATCH_BYTES`, but for the last."""
    held = bytearray()
    async for data in pieces:
        held += data
        if len(held) >= BATCH_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


@asynccontextmanager
async def open_file(origin: Origin) -> AsyncIterator[Pieces]:
    """A regular file that the operator named. Raises NotFound, Unreachable."""
    if origin.kind is not OriginKind.LOCAL or origin.account != OPERATOR:
        raise NotFound("not a file that may be read", where=origin.address)
    try:
        fd = await asyncio.to_thread(os.open, origin.address, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as fault:
        raise NotFound(f"the file cannot be read: {fault.strerror}", where=origin.address) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotFound("it is no file any more", where=origin.address)
        yield _read(fd, origin.address)
    finally:
        os.close(fd)


async def _read(fd: int, path: str) -> Pieces:
    while True:
        try:
            data = await asyncio.to_thread(os.read, fd, BATCH_BYTES)
        except OSError as fault:
            raise Unreachable(f"the file cannot be read: {fault.strerror}", where=path) from None
        if not data:
            return
        yield data
