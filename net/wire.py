"""One accepted socket and what the loop watches of it: readable, writable, the end.

The only place that calls the loop about a connection's socket, so that a descriptor is never
closed while it is still watched. Called by `net.connection`.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Final

from net.answer import NO_LIMIT
from net.tls import TlsSession

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
# struct of <linux/sock_diag.h>: what is received, its limit, what is sent, its limit, forward, queued
_MEMINFO: Final = struct.Struct("=6I")
_SO_MEMINFO: Final = 55  # <asm-generic/socket.h>


class FileCut(Exception):
    """A file that was being sent ends before it should."""


class Wire:
    """A non-blocking stream socket, plain or under TLS."""

    __slots__ = (
        "_loop",
        "_on_readable",
        "_on_writable",
        "_reading",
        "_sock",
        "_writing",
        "ended",
        "peer",
        "recv",
        "sendmsg",
        "tls",
    )

    def __init__(
        self, sock: socket.socket, peer: str, loop: asyncio.AbstractEventLoop, tls: TlsSession | None
    ) -> None:
        self._sock, self._loop = sock, loop
        self.peer, self.tls = peer, tls
        # A TLS session speaks the same two calls as a socket, BlockingIOError included.
        self.recv: Callable[[int], bytes] = sock.recv if tls is None else tls.recv
        self.sendmsg: Callable[[Sequence[bytes | memoryview]], int] = (
            sock.sendmsg if tls is None else tls.sendmsg
        )
        self._reading = self._writing = False
        self.ended = False  # the other side will send no more

    def watch(self, on_readable: Callable[[], None], on_writable: Callable[[], None]) -> None:
        """Name the callbacks and begin to read."""
        self._on_readable, self._on_writable = on_readable, on_writable
        self.read(True)

    def read(self, wanted: bool) -> None:
        """Whether to be told of incoming bytes; never again once the other side has ended."""
        if wanted and not self._reading and not self.ended:
            self._loop.add_reader(self._sock, self._on_readable)
            self._reading = True
        elif not wanted and self._reading:
            self._loop.remove_reader(self._sock)
            self._reading = False

    def look(self) -> None:
        """Read at once what came, or meet that the connection broke, if reading is wanted."""
        if self._reading:
            self._on_readable()

    def write(self, wanted: bool) -> None:
        """Whether to be told that the kernel takes bytes again."""
        if wanted and not self._writing:
            self._loop.add_writer(self._sock, self._on_writable)
            self._writing = True
        elif not wanted and self._writing:
            self._loop.remove_writer(self._sock)
            self._writing = False

    @property
    def fd(self) -> int:
        """The socket's descriptor, for calls that go past Python's socket object."""
        return self._sock.fileno()

    @property
    def writing(self) -> bool:
        """Whether writability is being waited for."""
        return self._writing

    @property
    def held_bytes(self) -> int:
        """Bytes accepted by `sendmsg` that are not in the kernel yet; 0 without TLS."""
        return 0 if self.tls is None else self.tls.held_bytes

    def flush(self) -> bool:
        """Hand over what is held; whether nothing is left. Raises `OSError` when broken."""
        return self.tls is None or self.tls.flush()

    def send_file(self, parts: Sequence[bytes | memoryview], fd: int, offset: int, count: int) -> int:
        """Send `parts`, then `count` bytes of file `fd` from `offset` on; returns how much the kernel took.

        Of the file it takes pages, not copies; so not under TLS, where bytes are sealed first. Raises
        OSError as `sendmsg` does, `FileCut` when the file has not so many bytes.
        """
        taken = 0
        if parts:
            taken = self._sock.sendmsg(parts, (), socket.MSG_MORE)
            if taken < sum(map(len, parts)):
                return taken
        try:
            moved = os.sendfile(self._sock.fileno(), fd, offset, count)
        except OSError:
            if taken:
                return taken  # the next call meets it again
            raise
        if not moved:
            raise FileCut(f"a file has no byte {offset} any more")
        return taken + moved

    def room_bytes(self) -> int:
        """About how many bytes the kernel takes now; 0 while it would not say that the socket is writable.

        0.6 us. Writable is a socket whose free room is half of what is queued (tcp(7), sk_stream_min_wspace):
        who sends only then is woken when it is worth it.
        """
        try:
            memory = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        except OSError:
            return NO_LIMIT  # a kernel before 4.12, or none of Linux
        _, _, _, buffer_bytes, _, queued_bytes = _MEMINFO.unpack_from(memory)
        free = int(buffer_bytes - queued_bytes)
        return max(0, free) if free >= queued_bytes >> 1 else 0

    def say(self, data: bytes) -> bool:
        """Send a few bytes (an interim response) between answers; False when they would be torn.

        Sending nothing at all, because the client does not read, counts as said: RFC 9110 §10.1.1
        has it go on without a "100 Continue" after a while.
        """
        try:
            taken = self.sendmsg((data,))
        except BlockingIOError:
            return True
        except OSError:
            return False
        if self.held_bytes:
            self.write(True)
        return taken == len(data)

    def finish(self) -> bool:
        """Send the end after everything sent before; False when the connection is broken."""
        try:
            if self.tls is not None:
                self.tls.finish()
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def close(self, *, reset: bool) -> None:
        """Let go of the socket; `reset` makes sure that nobody takes this for a clean end."""
        self.read(False)
        self.write(False)
        if reset:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self.tls is not None:
            self.tls.close()
        self._sock.close()
        # The bound methods would keep the socket, and through it a cycle, alive.
        del self._on_readable, self._on_writable
