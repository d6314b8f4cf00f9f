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
from origins.pace import paced
from origins.steps import step
from runtime.errors import EdgeError, NotFound, TooLarge, Unreachable

# Work on a thread is given this much at a time, so that the way there costs nothing beside it
BATCH_BYTES: Final = 1 << 20
# As much as the largest upload; what is longer is no use, and what never ends must end
BYTES_MAX: Final = 1 << 40
# A terabyte at 50 MB/s; who sends less than 13 KB/s is left long before, and does not hold others up
_WHOLE_S: Final = 21_600.0
_PACE_S: Final = 20.0
_PACE_BYTES: Final = 1 << 18
_DIGITS_MAX: Final = 20  # of a length; more of them than that is too many bytes too
ABSENT: Final = frozenset((404, 410, 451))
Pieces = AsyncIterator[bytes]


class ByteStreams:
    """Opens them."""

    def __init__(
        self,
        outbound: Outbound,
        strict: Outbound,
        arweave_gateways: Sequence[str],
        meter: OriginMeter,
        pace_s: float = _PACE_S,
    ) -> None:
        """`arweave_gateways`: base URLs, asked in this order. `pace_s`: in which 256 KiB must come.
        `strict`: dials what accounts named.
        """
        self._outbound, self._strict, self._meter, self._pace_s = outbound, strict, meter, pace_s
        self._arweave = [url.rstrip("/") for url in arweave_gateways]

    def urls(self, origin: Origin) -> list[str]:
        """Where the bytes of an origin can be asked for; [] for one that is no URL of bytes."""
        if origin.kind is OriginKind.ARWEAVE:
            rest = origin.address.removeprefix("ar://")
            return [f"{gateway}/{rest}" for gateway in self._arweave]
        return [origin.address] if origin.kind in (OriginKind.HTTP, OriginKind.FILECOIN) else []

    @asynccontextmanager
    async def open(
        self, url: str, most_bytes: int, accept: str = "*/*", *, is_trusted: bool
    ) -> AsyncIterator[Pieces]:
        """The body of a 200 in batches. Raises NotFound, Unreachable, Forbidden; SourceTimeout also for who
        sends hardly anything; TooLarge above `most_bytes`, at once where the head says so.
        """
        outbound = self._outbound if is_trusted else self._strict
        self._meter.request("bytes")
        self._meter.opened(1)
        try:
            reply = await outbound.get(url, accept=accept, max_bytes=most_bytes, deadline_s=_WHOLE_S)
            async with reply:
                if reply.status in ABSENT:
                    raise NotFound(f"it answered {reply.status}: it does not have it", where=url)
                if reply.status != 200:
                    raise Unreachable(f"it answered {reply.status}", where=url)
                length = reply.fields.get("content-length") or ""
                if length.isdecimal() and int(length[:_DIGITS_MAX]) > most_bytes:
                    raise TooLarge(f"it is longer than the {most_bytes:,} bytes there is room for", where=url)
                yield self._counted(batched(paced(reply.pieces(), url, self._pace_s, _PACE_BYTES)))
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
            data = await step(os.read, fd, BATCH_BYTES)
        except OSError as fault:
            raise Unreachable(f"the file cannot be read: {fault.strerror}", where=path) from None
        if not data:
            return
        yield data
