"""What the supervisor hands a child process, and how the two hear of each other.

The child's standard input is a pipe that says nothing: its end tells the child that the supervisor is gone,
and the child then drains and leaves. A line on standard output tells the supervisor that the child serves.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from blockstore import StoreSettings
from gateway.settings import GatewaySettings
from net.access_log import LogSettings
from net.limits import HttpLimits
from node.config import NodeSettings
from origins.settings import OriginSettings
from pinning.settings import PinSettings
from runtime.errors import EdgeError

READY_LINE: Final = b"ready\n"


@dataclass(frozen=True, slots=True)
class Start:
    """Everything a child needs to know."""

    node: NodeSettings
    store: StoreSettings
    http: HttpLimits
    log: LogSettings
    gateway: GatewaySettings
    origins: OriginSettings
    pinning: PinSettings
    slot: int
    plain_fd: int | None
    tls_fd: int | None
    admin_fd: int | None


def say_ready() -> None:
    """Tell the supervisor that this process serves."""
    try:
        os.write(sys.stdout.fileno(), READY_LINE)
    except BrokenPipeError:
        pass  # the supervisor is gone; the end of standard input says so too


def refused(error: EdgeError) -> int:
    """Say on standard error why this process cannot start; returns its exit code."""
    sys.stderr.write(f"error: {error.message} ({error.where})\n")
    return error.outcome.exit_code


def on_stop(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM or when the supervisor is gone. Ctrl-C is the supervisor's matter."""
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def parent_gone() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop()

    os.set_blocking(0, False)
    loop.add_reader(0, parent_gone)
