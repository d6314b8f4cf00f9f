"""Blocks as they become readable in this worker, and who waits for one of them."""

import asyncio
from collections.abc import Iterable


class Arrivals:
    """Waiters by multihash. Who waits looks at the store as well: other workers are not heard here."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[asyncio.Future[None]]] = {}

    async def wait(self, multihash: bytes, until: "asyncio.Task[None]", timeout_s: float) -> None:
        """Return when the block has come, `until` has ended, or the time is over."""
        arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(multihash, [])
        waiting.append(arrival)
        try:
            await asyncio.wait((arrival, until), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.remove(arrival)
            if not waiting and self._waiting.get(multihash) is waiting:
                del self._waiting[multihash]

    def arrived(self, multihashes: Iterable[bytes]) -> None:
        """These can be read now."""
        for multihash in multihashes:
            for arrival in self._waiting.get(multihash, ()):
                if not arrival.done():
                    arrival.set_result(None)
