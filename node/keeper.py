"""The process for background work: sweep, scrub, names, pins, the admin listener.

Sweep and scrub run in one thread, a short step at a time, with a pause between steps that keeps their share
of a core small; the event loop answers the admin listener and brings here what is pinned.
"""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Final

import uvloop

from blockstore import Store, SweepReport
from gateway.deny_rules import load
from gateway.denylist import Denylist
from node.admin import Admin
from node.admin_guard import HostGuard
from node.keystore import Keystore
from node.pin_work import work_on_pins
from node.republish import INTERVAL_S, Republisher
from node.start import Start, on_stop, refused, say_ready
from node.uploads import finisher_of
from origins.routers import Routers
from pinning.pins import Pins
from runtime.clock import SystemClock
from runtime.errors import EdgeError

log = logging.getLogger("fleek.keeper")

# Background work takes a fifth of a core at most, so that it cannot be seen in the workers' p99
_REST_PER_WORK: Final = 4.0
# A look at the folder; who asks for an upload that a crash left has it finished at once
_UPLOADS_EVERY_S: Final = 30.0


class Chores:
    """The background thread: what is due next, done step by step until told to stop."""

    def __init__(self, store: Store, gc_interval_s: float, scrub_interval_s: float) -> None:
        """Intervals of 0 mean never."""
        self._store = store
        self._clock = SystemClock()
        self._intervals_s = {"sweep": gc_interval_s, "scrub": scrub_interval_s}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        """Begin; the first round of each chore is one interval away."""
        self._thread.start()

    def stop(self) -> None:
        """End after the step in hand; waits for it."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        clock = self._clock
        due_s = {
            name: clock.tick_s() + interval_s
            for name, interval_s in self._intervals_s.items()
            if interval_s > 0
        }
        while due_s:
            name = min(due_s, key=due_s.__getitem__)
            if self._stopping.wait(max(0.0, due_s[name] - clock.tick_s())):
                return
            self._do(name)
            due_s[name] = clock.tick_s() + self._intervals_s[name]
        self._stopping.wait()

    def _do(self, name: str) -> None:
        """Run one chore to its end, resting after each step so that it takes a fixed share of a core."""
        report: object = None
        steps: Iterator[object] = (
            self._store.sweep_steps() if name == "sweep" else self._store.scrub_steps(resume=True)
        )
        try:
            before_s = self._clock.tick_s()
            for report in steps:  # noqa: B007  the last one says what the chore met
                worked_s = self._clock.tick_s() - before_s
                if self._stopping.wait(worked_s * _REST_PER_WORK):
                    return
                before_s = self._clock.tick_s()
        except EdgeError as error:
            log.error("%s stopped: %s (%s)", name, error.message, error.where)
        else:
            if isinstance(report, SweepReport) and report.unreadable:
                log.warning(
                    "no block was swept: %s cannot be read, what it links to is unknown", report.unreadable
                )


async def _renew_names(start: Start, store: Store, stopping: asyncio.Event) -> None:
    """Renew records of names, now and again, in a thread of their own: a scrub may take days."""
    routers = None if start.node.offline else Routers(start.origins)
    republisher = Republisher(store.dag, Keystore(start.node.data), routers, SystemClock())
    while not stopping.is_set():
        await asyncio.to_thread(republisher.run, stopping.is_set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERVAL_S):
                await stopping.wait()


async def _tend_uploads(start: Start, store: Store, stopping: asyncio.Event) -> None:
    """Finish uploads that a crash left and sweep abandoned ones, now and again."""
    deny = Denylist(load(start.gateway.denylists), store.dag, store.board.generation)
    clock = SystemClock()
    finisher = finisher_of(start, store, Pins(store, start.pinning.limits), deny, clock)
    while not stopping.is_set():
        try:
            await asyncio.to_thread(finisher.tend, clock.now_s(), stopping.is_set)
        except EdgeError as error:
            log.error("uploads cannot be tended: %s (%s)", error.message, error.where)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UPLOADS_EVERY_S):
                await stopping.wait()


async def _serve(start: Start, store: Store) -> None:
    stopping = asyncio.Event()
    on_stop(asyncio.get_running_loop(), stopping.set)
    clock = SystemClock()
    chores = Chores(store, start.node.gc_interval_s, start.node.scrub_interval_s)
    admin = Admin(store, HostGuard(start.node.admin_hosts), clock.now_s())
    assert start.admin_fd is not None
    await admin.start(socket.socket(fileno=start.admin_fd))
    chores.start()
    say_ready()
    await asyncio.gather(
        _renew_names(start, store, stopping),
        _tend_uploads(start, store, stopping),
        work_on_pins(start, store, stopping),
    )
    await admin.stop()
    await asyncio.to_thread(chores.stop)


def main(start: Start) -> int:
    """Work until told to stop; returns the exit code."""
    try:
        store = Store.open(start.node.data, start.store)
    except EdgeError as error:
        return refused(error)
    try:
        uvloop.run(_serve(start, store))
    finally:
        store.close()
    return 0
