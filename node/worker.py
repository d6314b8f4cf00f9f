"""A serving process: one event loop on one core, reading the shared store."""

import asyncio
import logging
import socket
from typing import Final

import uvloop

from gateway.app import Gateway
from net.access_log import AccessLog
from net.meter import BoardMeter
from net.server import Listener, serve
from node.assemble import Appliance, assemble
from node.certificate import certificate
from node.start import Start, on_stop, refused, say_ready
from runtime.clock import SystemClock
from runtime.errors import EdgeError

log = logging.getLogger("fleek.worker")

_LOOK_AGAIN_S: Final = 1.0


async def _serve(start: Start, appliance: Appliance) -> None:
    stopping = asyncio.Event()
    on_stop(asyncio.get_running_loop(), stopping.set)
    access = AccessLog.open(start.log, SystemClock())
    meter = BoardMeter(appliance.store.board.slot(start.slot))
    hot = appliance.gateway.hot_path()
    listeners: list[Listener] = []
    for fd, tls in ((start.plain_fd, None), (start.tls_fd, certificate(start.node))):
        if fd is not None:
            sock = socket.socket(fileno=fd)
            listeners.append(
                await serve(sock, appliance.app, start.http, meter, tls=tls, access=access, hot=hot)
            )
    say_ready()
    looking = asyncio.create_task(_look_again(appliance.gateway)) if appliance.gateway.has_rules else None
    await stopping.wait()
    if looking is not None:
        looking.cancel()
    for listener in listeners:
        listener.stop_accepting()
    await asyncio.gather(*(listener.drain(start.node.drain_s) for listener in listeners))
    if appliance.fetcher is not None:
        await appliance.fetcher.close()
    if access is not None:
        access.close()


async def _look_again(gateway: Gateway) -> None:
    """What arrives under a denied path is denied by its other names within this time."""
    while True:
        await asyncio.sleep(_LOOK_AGAIN_S)
        try:
            gateway.look_again()
        except EdgeError as error:  # a block that cannot be read must not end the looking
            log.warning("looking for denied content that came: %s (%s)", error.message, error.where)


def main(start: Start) -> int:
    """Serve until told to stop; returns the exit code."""
    # What a source answered is told at INFO, request by request: too much where clients decide how often
    logging.getLogger().setLevel(logging.WARNING)
    try:
        appliance = assemble(start)
    except EdgeError as error:
        return refused(error)
    try:
        uvloop.run(_serve(start, appliance))
    finally:
        appliance.close()
    return 0
