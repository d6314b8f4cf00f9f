"""One child process of the supervisor: start it, hear that it serves, tell it to stop.

A child is a fork, not a program of its own: what it runs is imported once, by the supervisor, and shared.
What makes that safe is said in docs/decisions/0023-children-are-forked.md; the invariants here:

 1. The supervisor has one thread, and no store, loop of uvloop or executor is open in it when it forks.
 2. A child keeps three of its parent's descriptors and the listeners it is given, and closes the others by
    number. No object of the parent is ended in it: `os._exit` leaves without unwinding.
 3. No signal reaches a child before it has given up its parent's handlers and wakeup descriptor.
"""

import asyncio
import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

from node.start import READY_LINE, Start

# Opening a store checks readers and verifies the format; a cold disk takes a second or two
_READY_WITHIN_S: Final = 60.0
_HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Child:
    """A running child."""

    def __init__(self, name: str, slot: int, pid: int, pipes: tuple[int, int]) -> None:
        """Use `start_child`. `pipes`: where it reports, and what it watches; our ends, closed here."""
        self.name = name
        self.slot = slot
        self.pid = pid
        self._pipes = pipes
        self._loop = asyncio.get_running_loop()
        self._pidfd = os.pidfd_open(pid)
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._said: asyncio.Future[bytes] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._reap)
        self._loop.add_reader(pipes[0], self._hear)

    async def ready(self) -> bool:
        """Wait until the child serves; False when it ended or took too long instead."""
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                return await asyncio.shield(self._said) == READY_LINE
        except TimeoutError:
            return False

    def terminate(self) -> None:
        """Ask it to drain and leave."""
        self._send(signal.SIGTERM)

    async def stopped(self, within_s: float) -> int:
        """Its exit code, killed when it does not leave by itself in time."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self.exited)
        except TimeoutError:
            self.kill()
            return await asyncio.shield(self.exited)

    def kill(self) -> None:
        """End it now."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if not self.exited.done():  # not reaped either, so that its id is nobody else's
            os.kill(self.pid, number)

    def _hear(self) -> None:
        self._loop.remove_reader(self._pipes[0])
        self._said.set_result(os.read(self._pipes[0], len(READY_LINE)))

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self._loop.remove_reader(self._pidfd)
        if not self._said.done():
            self._hear()
        for fd in (self._pidfd, *self._pipes):
            os.close(fd)
        self.exited.set_result(os.waitstatus_to_exitcode(status))


def start_child(name: str, module: str, start: Start) -> Child:
    """Fork a process that runs `main(start)` of `module` with the listeners named in `start`.

    Called on the supervisor's loop. Costs the import of `module` the first time, then a few milliseconds.
    """
    main: Callable[[Start], int] = importlib.import_module(module).main
    listeners = [fd for fd in (start.plain_fd, start.tls_fd, start.admin_fd) if fd is not None]
    watched, held = os.pipe()
    heard, said = os.pipe()
    sys.stdout.flush()  # a copy of what waits in a buffer would be written twice
    sys.stderr.flush()
    gc.freeze()  # a collection in a child would touch, and so copy, the pages it shares
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(name, lambda: main(start), (watched, said), listeners)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        gc.unfreeze()
    os.close(watched)
    os.close(said)
    return Child(name, start.slot, pid, (heard, held))


def _be_child(
    name: str, run: Callable[[], int], streams: tuple[int, int], listeners: Iterable[int]
) -> NoReturn:
    """The life of the child, from the fork to its exit."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        os.setsid()  # Ctrl-C on the terminal reaches the supervisor alone
        for stream, fd in enumerate(streams):
            os.dup2(fd, stream)
        _close_all_but({0, 1, 2, *listeners})
        _be_called(name)
        code = run()
    except BaseException:  # noqa: BLE001  # nothing of the parent's may be unwound in this process
        traceback.print_exc()
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)


def _close_all_but(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass  # the one of the listing itself


def _be_called(name: str) -> None:
    """Have `ps` and `top` tell children apart; the kernel keeps fifteen bytes of it."""
    try:
        Path("/proc/self/comm").write_text(f"fleek:{name}")
    except OSError:
        pass  # some sandboxes do not allow it
