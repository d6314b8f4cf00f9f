"""Listening sockets of a node. The supervisor opens them once and keeps them for life.

Each worker gets one of its own on the same port (SO_REUSEPORT), so that the kernel spreads
connections without a shared accept queue. As the supervisor holds them too, a worker that dies
or is replaced leaves its queue behind for the next one: no connection that the kernel had
already accepted is lost. A Unix socket cannot be shared so; all workers accept from one.
"""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import Final

from node.values import Address
from runtime.errors import UsageError

# Connections that wait for a worker; nginx's default. The kernel cuts it to net.core.somaxconn.
_BACKLOG: Final = 511


def open_listeners(address: Address, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address (for a Unix socket: the same one `count` times).

    Port 0 takes a free port, the same for all. Raises UsageError when the address is taken or
    not of this machine.
    """
    try:
        if address.path:
            return [_unix_listener(address.path)] * count
        return _tcp_listeners(address, count)
    except OSError as error:
        raise _translated(address, error) from None


def shown(listener: socket.socket, scheme: str) -> str:
    """The address of a listener as a URL, or `unix:/path`."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"


def close(listener: socket.socket) -> None:
    """Stop listening for good; a Unix socket's file goes too."""
    if listener.family == socket.AF_UNIX and listener.fileno() >= 0:
        Path(listener.getsockname()).unlink(missing_ok=True)
    listener.close()


def _tcp_listeners(address: Address, count: int) -> list[socket.socket]:
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # A second node of the same user could join a SO_REUSEPORT group unnoticed and take half of
    # the connections: a bind without it fails where anybody listens.
    with _tcp_socket(family) as probe:
        probe.bind(where)
        bound = probe.getsockname()
    listeners = []
    for _ in range(count):
        listener = _tcp_socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(bound)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        listeners.append(listener)
    return listeners


def _tcp_socket(family: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


def _unix_listener(path: str) -> socket.socket:
    """A dead node's socket file is taken over; a living node's is not."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode) and not _answers(path):
            os.unlink(path)
    except FileNotFoundError:
        pass
    listener.bind(path)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def _translated(address: Address, error: OSError) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            "something already listens on this address",
            where=str(address),
            hint="is another node running? choose another address with --listen or --admin",
        )
    reason = error.strerror or str(error)
    return UsageError(f"cannot listen on this address: {reason}", where=str(address))
