"""The listener: accepts connections on a bound socket, bounds their number, turns the clock, drains.

Works on any asyncio loop; the node runs uvloop. Sockets come from outside, already listening or
at least bound: TCP over IPv4 or IPv6, or a Unix stream socket. Called by `node`.
"""

import asyncio
import errno
import socket
from contextlib import suppress
from typing import Final

from net.access_log import AccessLog
from net.app import App, HotPath
from net.connection import Connection
from net.hot_connection import HotConnection
from net.limits import HttpLimits
from net.meter import Meter
from net.serving import LOG, TICK_S, Serving, tell_ended
from net.tls import TlsServer
from net.wire import Wire
from runtime.clock import Clock, SystemClock

# Accepts in one turn of the loop: a flood of new connections must not delay the old ones.
_ACCEPTS: Final = 64
# Beyond `max_connections` this share more are held for the time of a 503; the rest are reset.
_REFUSED_SHARE: Final = 16
_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Listener:
    """One listening socket being served; made by `serve`."""

    def __init__(
        self, sock: socket.socket, serving: Serving, loop: asyncio.AbstractEventLoop, tls: TlsServer | None
    ) -> None:
        self._sock, self._serving, self._loop, self._tls = sock, serving, loop, tls
        self._accepting = False
        self._resting = False  # out of descriptors: not accepting until the next tick
        self._tick: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        serving.when_empty = self._emptied

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._serving.guests)

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = True
        self._loop.add_reader(self._sock, self._accept)
        self._schedule()

    def stop_accepting(self) -> None:
        """Close the listening socket; open connections go on."""
        if self._accepting:
            self._accepting = False
            if not self._resting:
                self._loop.remove_reader(self._sock)
            self._sock.close()

    async def drain(self, timeout_s: float) -> int:
        """Stop accepting, let each request in progress finish, close idle connections.

        Idle ones go at once, unless one has come so lately that its handshake or first request may be on
        its way. After `timeout_s` what is left is reset. Returns how many connections that were.
        """
        self.stop_accepting()
        self._serving.drain()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty_within(self._serving.young_s())
                self._serving.retire()
                while self._serving.guests:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            pass
        left = list(self._serving.guests)
        self.close()
        return len(left)

    async def _empty_within(self, seconds: float) -> None:
        """Wait until no connection is left, for at most `seconds`."""
        self._empty.clear()
        if self._serving.guests and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._empty.wait()

    def close(self) -> None:
        """Stop accepting and reset every open connection."""
        self.stop_accepting()
        for guest in list(self._serving.guests):
            guest.abort()
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def tick(self) -> None:
        """What happens every half second: coarse time, Date, timeouts. Tests call it themselves."""
        if self._resting:
            self._resting = False
            if self._accepting:
                self._loop.add_reader(self._sock, self._accept)
        self._serving.tick()

    def _schedule(self) -> None:
        self._tick = self._loop.call_later(TICK_S, self._ticked)

    def _ticked(self) -> None:
        self._schedule()
        self.tick()

    def _emptied(self) -> None:
        self._empty.set()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            if not self._accepting:
                return
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                    return
                continue  # the client was gone before we looked (ECONNABORTED and its kin)
            self._welcome(sock, address)

    def _rest(self, error: OSError) -> None:
        LOG.error("cannot accept connections for a moment: %s", error.strerror)
        self._loop.remove_reader(self._sock)
        self._resting = True

    def _welcome(self, sock: socket.socket, address: object) -> None:
        serving = self._serving
        most = serving.limits.max_connections
        held = len(serving.guests)
        if held >= most + 1 + most // _REFUSED_SHARE:
            serving.meter.count("connections_refused")
            sock.close()
            return
        if held >= most:
            serving.meter.count("connections_refused")
        serving.meter.count("connections_accepted")
        sock.setblocking(False)
        peer = str(address[0]) if isinstance(address, tuple) else "unix"
        session = None if self._tls is None else self._tls.session(sock.fileno())
        wire, refuse = Wire(sock, peer, self._loop, session), held >= most
        if serving.hot is not None and session is None:
            HotConnection(wire, serving, self._loop, serving.hot, refuse=refuse)
        else:
            Connection(wire, serving, self._loop, refuse=refuse)


async def serve(
    sock: socket.socket,
    app: App,
    limits: HttpLimits,
    meter: Meter,
    *,
    tls: TlsServer | None = None,
    access: AccessLog | None = None,
    clock: Clock | None = None,
    hot: HotPath | None = None,
) -> Listener:
    """Serve `app` on `sock` (bound, or already listening), which now belongs to the listener.

    `hot` answers what it knows past `app.hit`; without it, or over TLS, everything asks the app.
    """
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX:
        # Accepted sockets inherit it: a response is written whole, waiting for more only delays it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.listen(limits.backlog)
    listener = Listener(sock, Serving(app, limits, meter, access, clock or SystemClock(), hot), loop, tls)
    if hot is not None and hot.fileno() >= 0:
        loop.add_reader(hot.fileno(), tell_ended, hot)  # once more does no harm: listeners may share it
    listener.start()
    return listener
