"""A request body on its way to a handler: a bounded queue between the socket and an `async for`.

The connection feeds it; the handler pulls. Implements `net.app.BodyReader`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from net.bodies import Body, ChunkedBody, FixedBody
from net.http1 import Request
from net.limits import HttpLimits
from runtime.errors import EdgeError


class Incoming:
    """One request's body. Made by `net.connection`, which gives the two callbacks."""

    __slots__ = (
        "_body",
        "_due_s",
        "_error",
        "_expected",
        "_mark",
        "_queue",
        "_read_on",
        "_room_bytes",
        "_say_continue",
        "_waiter",
        "held_bytes",
        "received_bytes",
    )

    def __init__(
        self,
        body: Body,
        room_bytes: int,
        *,
        expect_continue: bool,
        say_continue: Callable[[], None],
        read_on: Callable[[], None],
    ) -> None:
        """`say_continue` sends the interim response; `read_on` asks the connection to read on."""
        self._body = body
        self._room_bytes = room_bytes
        self._expected = expect_continue
        self._say_continue = say_continue
        self._read_on = read_on
        self._queue: deque[bytes] = deque()
        self._error: EdgeError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._mark = 0
        self._due_s = 0.0
        self.held_bytes = 0
        self.received_bytes = 0

    @property
    def complete(self) -> bool:
        """Whether the last byte of the body has arrived (the handler may not have read it yet)."""
        return self._body.complete

    @property
    def broken(self) -> bool:
        """Whether the body can never become complete."""
        return self._error is not None

    @property
    def full(self) -> bool:
        """Whether reading should stop until the handler has taken some."""
        return self.held_bytes >= self._room_bytes

    @property
    def wanted(self) -> bool:
        """Whether a handler is waiting for the client right now."""
        return self._waiter is not None

    @property
    def unasked(self) -> bool:
        """Whether the client waits for a "100 Continue" that nobody sent."""
        return self._expected and not self.received_bytes

    def worth_reading(self, most_bytes: int) -> bool:
        """Whether the rest is certain to come and at most `most_bytes` long (or there is none)."""
        if self._body.complete:
            return True
        if self._error is not None or self.unasked or not isinstance(self._body, FixedBody):
            return False
        return self._body.left_bytes <= most_bytes

    def due_s(self, now_s: float, idle_s: float, progress_bytes: int) -> float:
        """By when more must arrive: `idle_s` from when the last `progress_bytes` were complete."""
        # A due time in the past means that the handler was slow, not the client.
        if self.received_bytes - self._mark >= progress_bytes or self._due_s <= now_s:
            self._mark, self._due_s = self.received_bytes, now_s + idle_s
        return self._due_s

    def feed(self, data: bytes, *, keep: bool = True) -> int:
        """Take what of `data` belongs to this body and return how much that was; raises `Refused`."""
        pieces, used = self._body.receive(data)
        for piece in pieces:
            self.received_bytes += len(piece)
            if keep:
                self._queue.append(piece)
                self.held_bytes += len(piece)
        if pieces or self._body.complete:
            self._wake()
        return used

    def fail(self, error: EdgeError) -> None:
        """The body will not arrive: the handler's next read, after what is queued, raises `error`."""
        if self._error is None:
            self._error = error
            self._wake()

    def forget(self) -> None:
        """Nobody will read any more of it."""
        self._queue.clear()
        self.held_bytes = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while not self._queue:
            if self._body.complete:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            if self.unasked:
                self._expected = False
                self._say_continue()
            self._waiter = asyncio.get_running_loop().create_future()
            self._read_on()
            try:
                await self._waiter
            finally:
                self._waiter = None
        piece = self._queue.popleft()
        self.held_bytes -= len(piece)
        if self.held_bytes <= self._room_bytes // 2 < self.held_bytes + len(piece):
            self._read_on()
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def incoming_for(
    request: Request, limits: HttpLimits, say_continue: Callable[[], None], read_on: Callable[[], None]
) -> Incoming:
    """The body that `request` announces."""
    body: Body = FixedBody(request.content_length or 0)
    if request.chunked:
        body = ChunkedBody(
            body_bytes=limits.body_bytes,
            line_bytes=limits.chunk_line_bytes,
            trailer_bytes=limits.trailer_bytes,
        )
    return Incoming(
        body,
        limits.body_buffer_bytes,
        expect_continue=request.expect_continue,
        say_continue=say_continue,
        read_on=read_on,
    )


def empty_body() -> Incoming:
    """The body of a request that has none."""
    return Incoming(FixedBody(0), 1, expect_continue=False, say_continue=_nothing, read_on=_nothing)


def _nothing() -> None:
    pass
