"""A connection of a listener with a hot path: it reads, and answers what it knows.

A body that the hot path has begun and goes on with by itself is this connection's answer in progress: no
exchange is made for it unless something else happens meanwhile, and then one takes over where it is.
Made by `net.server`.
"""

import asyncio

from net.answer import Hit
from net.app import HotPath
from net.connection import Connection, Phase
from net.serving import LOG, Serving
from net.wire import Wire


class HotConnection(Connection):
    """A connection without TLS. Implements `net.serving.Owner`."""

    def __init__(
        self, wire: Wire, serving: Serving, loop: asyncio.AbstractEventLoop, hot: HotPath, *, refuse: bool
    ) -> None:
        """Take over `wire`; see `Connection`."""
        self._hot, self._fd = hot, wire.fd
        self._begun: tuple[bytes, Hit] | None = None  # a request, and the hit whose body is going
        self._mark = 0
        super().__init__(wire, serving, loop, refuse=refuse)

    def _readable(self) -> None:
        serving = self._serving
        hot = serving.hot
        if self._begun is not None:
            self._overtaken()
        if hot is None or not self._idle:
            super()._readable()
            return
        try:
            outcome = hot.turn(self._fd, serving.heads.plain, serving.opening.ok, self)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost()
            return
        except Exception:  # noqa: BLE001  # as in `Connection`; it may have sent something
            LOG.exception("the hot path failed")
            self.abort()
            return
        if type(outcome) is Hit:
            self.due_s = serving.idle_due_s
            serving.meter.sent(None, outcome.kind, outcome.size_bytes, 200)
            return
        try:
            if type(outcome) is not tuple:
                self._take(outcome)
            elif len(outcome) == 2:
                self._begin_body(outcome)
            else:
                self._go_on(*outcome)
        except Exception:  # noqa: BLE001  # a bug of ours ends this connection, not the process
            LOG.exception("a connection failed")
            self.abort()

    def _begin_body(self, begun: tuple[bytes, Hit]) -> None:
        self._begun = begun
        self._idle, self._phase = False, Phase.ANSWER
        self._mark = self._hot.taken_bytes(self._fd) or 0
        self.wait(self._serving.limits.write_idle_s)

    def went_whole(self) -> None:
        """See `Owner.went_whole`."""
        assert self._begun is not None, "only what was begun ends"
        (_, hit), self._begun = self._begun, None
        self._phase = Phase.HEAD
        serving, limits = self._serving, self._serving.limits
        serving.meter.sent(None, hit.kind, hit.size_bytes, 200)
        if serving.draining:
            self._idle = True
            super()._readable()  # news is late: what was asked meanwhile is answered before the end
            if self._idle:
                self._rest()
        elif self._wire.ended or limits.keep_alive_s < limits.write_idle_s:
            self._rest()
        else:
            self._idle = True
            self.due_s = serving.idle_due_s  # later than the body's, at which the wheel looks again

    def taken_back(self) -> None:
        """See `Owner.taken_back`."""
        self._go_on(*self._let_go())

    def _overtaken(self) -> None:
        """The next request, or the client's end, came before news of the body: it is whole, or goes on."""
        data, hit, taken = self._let_go()
        if taken == len(self._serving.opening.ok) + len(hit.head) + hit.size_bytes:
            self._begun = data, hit
            self.went_whole()
            return
        try:
            self._go_on(data, hit, taken)
        except Exception:  # noqa: BLE001  # as above
            LOG.exception("a connection failed")
            self.abort()

    def _go_on(self, data: bytes, hit: Hit, taken: int) -> None:
        """Send the rest of a hit the general way."""
        self._exchange_for(data).go_on(hit, self._serving.opening.ok + hit.head, taken)
        self._serve_inbox()

    def _let_go(self) -> tuple[bytes, Hit, int]:
        """Have the hot path send no more: the request, its hit and how much of head and body was taken."""
        assert self._begun is not None, "asked where a body is going"
        (data, hit), self._begun = self._begun, None
        return data, hit, self._hot.take_back(self._fd) or 0

    def overdue(self) -> None:
        """See `Guest.overdue`; a client that goes on taking its bytes has more time."""
        if self._begun is None:
            super().overdue()
            return
        limits, taken = self._serving.limits, self._hot.taken_bytes(self._fd) or 0
        if taken - self._mark >= limits.progress_bytes:
            self._mark = taken
            self.wait(limits.write_idle_s)
        else:
            self._serving.meter.count("timeout_write")
            self.abort()

    def _close(self, *, reset: bool) -> None:
        if self._begun is not None:
            _, hit, taken = self._let_go()
            left = max(0, taken - len(self._serving.opening.ok) - len(hit.head))
            self._serving.meter.sent(None, hit.kind, left, 200)
        super()._close(reset=reset)
