"""Blocking steps of work beside an event loop that are never left half done."""

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Final, ParamSpec, TypeVar

# On a thread without a look at whether anybody still waits: the way there and back takes a hundredth of it
_SLICE_S: Final = 0.02
_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")


async def step(work: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """What `work` returns, done in a thread. A cancellation meanwhile is raised when it has ended.

    For steps that touch what the caller closes next: a thread cannot be stopped, only waited for.
    """
    return await settled(asyncio.ensure_future(asyncio.to_thread(work, *given, **named)))


async def settled(work: "asyncio.Future[_Result]", stop: threading.Event | None = None) -> _Result:
    """What work in a thread comes to. A cancellation meanwhile is raised when it has ended.

    `stop`: set then, for work that looks at it.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
            if stop is not None:
                stop.set()
    if cancelled is not None:
        work.exception()
        raise cancelled
    return work.result()


async def driven(work: Generator[None, None, None], tick_s: Callable[[], float]) -> None:
    """Iterate what blocks to its end, many of its steps at a time; it is closed however that ends."""

    def some() -> bool:
        stop_s = tick_s() + _SLICE_S
        return any(tick_s() > stop_s for _ in work)

    try:
        while await step(some):
            pass
    finally:
        await step(work.close)
