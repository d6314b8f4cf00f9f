"""A request's body handed to blocking work, in batches, while the next bytes arrive."""

import asyncio
from collections.abc import Callable
from typing import Final

from net.app import BodyReader
from origins.steps import step
from runtime.errors import EdgeError

# A hop to another thread costs 100 us, hashing 1 MiB 1 ms
BATCH_BYTES: Final = 1 << 20


async def pour(body: BodyReader, take: Callable[[bytes], None]) -> None:
    """Have `take` called with all of a body, in order, in a thread; the client is read no faster than that.

    Where the client breaks off, what came before is taken, then that is raised. After a cancellation the last
    call of `take` may still be running: whoever finishes its work waits for it (a lock). Memory: two batches.
    Raises what `take` and the body raise.
    """
    pieces = aiter(body)
    underway: asyncio.Future[None] | None = None
    held: list[bytes] = []
    held_bytes = 0
    broken: EdgeError | None = None
    while broken is None:
        try:
            data = await anext(pieces)
        except StopAsyncIteration:
            break
        except EdgeError as error:
            broken = error
            break
        except BaseException:
            _unheard(underway)
            raise
        held.append(data)
        held_bytes += len(data)
        if held_bytes >= BATCH_BYTES:
            if underway is not None:
                await underway
            underway = asyncio.ensure_future(asyncio.to_thread(take, b"".join(held)))
            held, held_bytes = [], 0
    if underway is not None:
        await underway
    if held:
        await step(take, b"".join(held))
    if broken is not None:
        raise broken


def _unheard(underway: "asyncio.Future[None] | None") -> None:
    """Nobody asks any more how it ends."""
    if underway is not None:
        underway.add_done_callback(lambda ended: None if ended.cancelled() else ended.exception() and None)
