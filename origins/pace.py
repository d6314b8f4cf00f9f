"""A least pace for what streams: who sends hardly anything is left, however long he may take in all."""

import asyncio
from collections.abc import AsyncIterator

from runtime.errors import SourceTimeout


async def paced(
    pieces: AsyncIterator[bytes], where: str, pace_s: float | None, least_bytes: int
) -> AsyncIterator[bytes]:
    """The pieces as they come; SourceTimeout when less than `least_bytes` come in `pace_s` of waiting.

    Time that the consumer takes does not count. `pace_s` None: any pace.
    """
    loop = asyncio.get_running_loop()
    waited_s, got = 0.0, 0
    while True:
        began_s = loop.time()
        try:
            async with asyncio.timeout(None if pace_s is None else pace_s - waited_s):
                data = await anext(pieces, None)
        except TimeoutError:
            raise SourceTimeout("the source sends hardly anything", where=where) from None
        if data is None:
            return
        waited_s, got = waited_s + loop.time() - began_s, got + len(data)
        if got >= least_bytes:
            waited_s, got = 0.0, 0
        yield data
