"""Blocking steps of work beside an event loop that are never left half done."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Result = TypeVar("_Result")
_Given = ParamSpec("_Given")


async def step(work: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """What `work` returns, done in a thread. A cancellation meanwhile is raised when it has ended.

    For steps that touch what the caller closes next: a thread cannot be stopped, only waited for.
    """
    task = asyncio.ensure_future(asyncio.to_thread(work, *given, **named))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()
