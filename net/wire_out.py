"""One connection to another server and its h11 machine, and the few that wait for another request.

A connection waits only when nothing of its last answer is left over, and it is dropped the moment the server
says anything unasked or hangs up. What arrives after that moment could still be taken for the next answer, so
only those reuse connections who verify what they get (`Outbound.get(reuse=True)`).
"""

import asyncio
import os
import ssl
from collections.abc import Awaitable
from typing import Final, TypeVar

import h11

from runtime.errors import SourceTimeout, Unreachable

READ_BYTES: Final = 262_144
_HEAD_BYTES: Final = 65_536
# What one reader of a file uses of a source at most; what waits costs a descriptor on both sides
_IDLE_A_SERVER: Final = 12
_IDLE_MAX: Final = 64
# Servers close idle connections after 5 s and more (Node 5, nginx 75): better to be first
_IDLE_S: Final = 4.0
Result = TypeVar("Result")
Key = tuple[str, str, int]
"""Scheme, host, port."""


class WireOut:
    """A connection that carries one request at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: Key, idle_s: float
    ) -> None:
        self.key = key
        self.used = False  # whether an answer came over it before
        self._reader, self._writer, self._idle_s = reader, writer, idle_s
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
        self._unasked: asyncio.Task[bytes] | None = None
        self._url, self._deadline_s = "", 0.0

    async def send(self, request: h11.Request, body: bytes, url: str, deadline_s: float) -> None:
        """Send a request; its answer is over by `deadline_s` of the loop's clock. Raises Unreachable."""
        self._url, self._deadline_s = url, deadline_s
        data = self._machine.send(request) or b""
        if body:
            data += self._machine.send(h11.Data(data=body)) or b""
        self._writer.write(data + (self._machine.send(h11.EndOfMessage()) or b""))
        await self._guarded(self._writer.drain())

    async def event(self) -> h11.Event:
        """The next event of the answer. Raises Unreachable, SourceTimeout."""
        while True:
            try:
                event = self._machine.next_event()
            except h11.RemoteProtocolError as error:
                cut = self._reader.at_eof() and not self._machine.trailing_data[0]
                problem = "the answer was cut short" if cut else f"the answer is broken: {error}"
                raise Unreachable(problem, where=self._url) from None
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.ConnectionClosed):
                    raise Unreachable("the answer was cut short", where=self._url)
                assert not isinstance(event, type), "PAUSED is for servers"
                return event
            self._machine.receive_data(await self._guarded(self._reader.read(READ_BYTES)))

    def close(self) -> None:
        """End the connection."""
        if self._unasked is not None:
            self._unasked.add_done_callback(_seen)
            self._unasked.cancel()
        self._writer.transport.abort()

    def may_wait(self) -> bool:
        """Get ready for another request; False where the connection cannot carry one."""
        machine = self._machine
        if machine.our_state is not h11.DONE or machine.their_state is not h11.DONE:
            return False
        if machine.trailing_data != (b"", False):
            return False
        machine.start_next_cycle()
        self.used = True
        self._unasked = asyncio.create_task(self._reader.read(1))
        return True

    async def is_quiet(self) -> bool:
        """End the wait; whether nothing came meanwhile."""
        unasked, self._unasked = self._unasked, None
        assert unasked is not None
        await asyncio.sleep(0)  # what the loop has read by now is seen
        unasked.cancel()
        await asyncio.wait((unasked,))
        return unasked.cancelled() and not self._writer.transport.is_closing()

    async def _guarded(self, work: Awaitable[Result]) -> Result:
        left_s = min(self._idle_s, self._deadline_s - asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await work
        except TimeoutError:
            if left_s < self._idle_s:
                raise SourceTimeout("the answer took too long as a whole", where=self._url) from None
            raise SourceTimeout(f"nothing came for {self._idle_s:g} s", where=self._url) from None
        except OSError as error:
            raise Unreachable(f"the connection broke: {fault_words(error)}", where=self._url) from None


def fault_words(fault: OSError) -> str:
    """What the system says of a connection, without the address, which others may not be told."""
    if isinstance(fault, ssl.SSLError):
        return f"TLS failed, {(fault.reason or 'for no reason given').replace('_', ' ').lower()}"
    if fault.errno is None:
        return "timed out" if isinstance(fault, TimeoutError) else "it was closed"
    return os.strerror(fault.errno).lower()


def _seen(read: "asyncio.Task[bytes]") -> None:
    """What was read unasked, or why it could not be read, is of no interest: the connection is gone."""
    if not read.cancelled():
        read.exception()


class IdleWires:
    """Connections that wait for another request, the newest first."""

    def __init__(self) -> None:
        self._waiting: dict[WireOut, asyncio.TimerHandle] = {}

    async def take(self, key: Key) -> WireOut | None:
        """One that was quiet; None when there is none."""
        for wire in reversed([each for each in self._waiting if each.key == key]):
            timer = self._waiting.pop(wire, None)
            if timer is None:
                continue  # taken by another task during the wait below
            timer.cancel()
            if await wire.is_quiet():
                return wire
            wire.close()
        return None

    def give(self, wire: WireOut) -> None:
        """Keep a connection whose answer is complete, or close it."""
        same = sum(1 for each in self._waiting if each.key == wire.key)
        if len(self._waiting) >= _IDLE_MAX or same >= _IDLE_A_SERVER or not wire.may_wait():
            wire.close()
            return
        loop = asyncio.get_running_loop()
        self._waiting[wire] = loop.call_later(_IDLE_S, self._expired, wire)

    def close(self) -> None:
        """Close all that wait."""
        for wire in list(self._waiting):
            self._waiting[wire].cancel()
            self._expired(wire)

    def _expired(self, wire: WireOut) -> None:
        self._waiting.pop(wire, None)
        wire.close()
