"""What all connections of one listener share: the app, the bounds, the clock, the counters.

No connection knows another; they meet here. Called by `net.server` (which owns one) and by
`net.connection`.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from net.access_log import AccessLog, Record
from net.answer import Answer, Hit
from net.app import App, HotPath
from net.http1 import HeadReader, Request
from net.limits import HttpLimits
from net.meter import Meter
from net.response import Opening, error_answer
from net.wheel import Timed, Wheel
from runtime.clock import Clock
from runtime.errors import EdgeError

LOG: Final = logging.getLogger("fleek.net")
# How late a timeout may be noticed and how old a Date line may be; two wakes a second cost nothing.
TICK_S: Final = 0.5
# Two round trips of a TLS handshake and one of a request, from far away
_YOUNG_S: Final = 1.0
_SLOTS: Final = 256  # x TICK_S: one revolution takes 128 s, longer than most limits


class Guest(Timed, Protocol):
    """A connection, as the listener sees it."""

    def overdue(self) -> None:
        """Its deadline has passed."""
        ...

    def retire(self) -> None:
        """End as soon as the request in progress is answered; at once when there is none."""
        ...

    def abort(self) -> None:
        """End now, without a clean end."""
        ...


class Owner(Guest, Protocol):
    """A connection of whose answer the hot path sends the rest."""

    def went_whole(self) -> None:
        """All of it has left."""
        ...

    def taken_back(self) -> None:
        """The rest is to be sent the general way."""
        ...


def tell_ended(hot: HotPath) -> None:
    """Tell the connections whose bodies the hot path has ended; a bug of ours ends one, not the others."""
    for owner, whole in hot.ended():
        try:
            owner.went_whole() if whole else owner.taken_back()
        except Exception:
            LOG.exception("a connection failed")
            owner.abort()


class Serving:
    """Shared state of one listener's connections."""

    def __init__(
        self,
        app: App,
        limits: HttpLimits,
        meter: Meter,
        access: AccessLog | None,
        clock: Clock,
        hot: HotPath | None = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.meter = meter
        self.access = access
        self.clock = clock
        self.heads = HeadReader(limits, app.shares)
        self.guests: set[Guest] = set()
        self._joined_s = float("-inf")
        self.draining = False
        self.hit: Callable[[bytes], Hit | None] = app.hit
        # The log wants the whole request of every response, which the hot path never makes.
        self.hot = hot if access is None else None
        # Coarse monotonic time for deadlines; kept in an attribute because every request needs it.
        self.now_s = clock.tick_s()
        self.idle_due_s = self.now_s + limits.keep_alive_s
        self.opening = Opening(clock.now_s())
        self.wheel = Wheel(TICK_S, _SLOTS, self.now_s)
        self.when_empty: Callable[[], None] = _nothing

    def tick(self) -> None:
        """Move coarse time and the Date line on, and tell connections that are overdue."""
        self.now_s = self.clock.tick_s()
        self.idle_due_s = self.now_s + self.limits.keep_alive_s
        self.opening.refresh(self.clock.now_s())
        for late in self.wheel.advance(self.now_s):
            if late in self.guests:
                late.overdue()

    def joined(self, guest: Guest) -> None:
        """A connection has begun."""
        self.guests.add(guest)
        self._joined_s = self.now_s
        self.meter.count("connections_open")
        self.wheel.place(guest)

    def left(self, guest: Guest) -> None:
        """A connection has ended; its socket is closed."""
        self.guests.discard(guest)
        self.meter.count("connections_open", -1)
        self.wheel.drop(guest)
        if not self.guests:
            self.when_empty()

    def error(self, error: BaseException) -> Answer:
        """The answer that tells a client of `error`; a bug is told to the node's log only."""
        if not isinstance(error, EdgeError):
            LOG.error("a request failed by a bug", exc_info=error)
            error = EdgeError("internal fault", hint="the node's log has more")
        return error_answer(error, retry_after_s=self.limits.retry_after_s)

    def log(
        self,
        peer: str,
        request: Request | None,
        started_s: float | None,
        status: int,
        bytes_: int,
        kind: str,
        account: str | None,
    ) -> None:
        """Put one response in the access log, if there is one.

        `request` is None for a refused head; `started_s` for an answer given at once.
        """
        if self.access is None:
            return
        line, referer, agent = "-", "", ""
        if request is not None:
            line = f"{request.method} {request.target} HTTP/1.{request.version[1]}"
            referer, agent = request.fields.get("referer") or "", request.fields.get("user-agent") or ""
        took_s = 0.0 if started_s is None else self.clock.tick_s() - started_s
        now_s = self.clock.now_s()
        record = Record(now_s, peer, account, line, status, bytes_, referer, agent, took_s, kind)
        if not self.access.record(record):
            self.meter.count("log_dropped")

    def drain(self) -> None:
        """From now on each connection ends after the request it is busy with."""
        self.draining = True
        self.hit = _no_hit
        self.hot = None

    def young_s(self) -> float:
        """Seconds, or less than none, for which a connection here may be too young to have asked anything."""
        return self._joined_s + _YOUNG_S - self.now_s

    def retire(self) -> None:
        """End the connections that are busy with no request."""
        for guest in list(self.guests):
            guest.retire()


def _no_hit(target: bytes) -> None:
    """No hits while draining: they would keep their connection alive."""


def _nothing() -> None:
    pass
