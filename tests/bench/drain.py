"""A load generator for large bodies: many connections, each reading 256 KiB at a time and throwing it away.

    python -m tests.bench.drain URL CONNECTIONS SECONDS

wrk reads 8 KiB at a time, so that above 1 MiB it measures its own system calls. This one asks each connection
for the object again as soon as the last byte came, counts every byte, and prints the REPORT line that
`tests.bench.load` reads. Latency is not measured.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_READ_BYTES: Final = 256 * 1024
_WAKE_BYTES: Final = 128 * 1024  # woken for each packet, the reader would be busy without being slow
_HEAD_BYTES: Final = 16 * 1024


class UnexpectedAnswer(Exception):
    """An answer that is not a plain 200 with a Content-Length: nothing to measure."""


@dataclass(slots=True)
class Connection:
    """One connection and what is still to come of its current answer; None = its head."""

    sock: socket.socket
    head: bytes = b""
    left_bytes: int | None = None
    low_bytes: int = 1

    def read(self, buffer: bytearray) -> tuple[int, bool]:
        """Read once; returns the bytes read and whether an answer ended. Raises UnexpectedAnswer."""
        taken = self.sock.recv_into(buffer)
        if not taken:
            raise UnexpectedAnswer("the server closed a connection")
        ended = self._count(buffer, taken)
        self._wake_after(_WAKE_BYTES if self.left_bytes and self.left_bytes > _WAKE_BYTES else 1)
        return taken, ended

    def _wake_after(self, low_bytes: int) -> None:
        if low_bytes != self.low_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low_bytes)
            self.low_bytes = low_bytes

    def _count(self, buffer: bytearray, taken: int) -> bool:
        if self.left_bytes is None:
            self.head += bytes(buffer[:taken])
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                if len(self.head) > _HEAD_BYTES:
                    raise UnexpectedAnswer("no end of the head")
                return False
            self.left_bytes = _body_bytes(self.head[:end]) - (len(self.head) - end - 4)
            self.head = b""
        else:
            self.left_bytes -= taken
        if self.left_bytes < 0:
            raise UnexpectedAnswer("more bytes than Content-Length")
        if self.left_bytes == 0:
            self.left_bytes = None
            return True
        return False


def _body_bytes(head: bytes) -> int:
    status, *lines = head.split(b"\r\n")
    if status.split()[1:2] != [b"200"]:
        raise UnexpectedAnswer(status.decode("latin-1"))
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise UnexpectedAnswer("no Content-Length")


def drain(url: str, connections: int, duration_s: float) -> dict[str, int]:
    """Load `url` and return the numbers of one run. Raises UnexpectedAnswer, OSError."""
    parts = urlsplit(url)
    assert parts.hostname is not None, "benches name the host"
    assert parts.port is not None, "benches name the port"
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    with ExitStack() as stack:
        ready, open_ = stack.enter_context(select.epoll()), dict[int, Connection]()
        for _ in range(connections):
            sock = stack.enter_context(socket.create_connection((parts.hostname, parts.port)))
            sock.sendall(request)
            open_[sock.fileno()] = Connection(sock)
            ready.register(sock, select.EPOLLIN)
        return _read_all(ready, open_, request, duration_s)


def _read_all(
    ready: select.epoll, open_: Mapping[int, Connection], request: bytes, duration_s: float
) -> dict[str, int]:
    buffer = bytearray(_READ_BYTES)
    received_bytes = requests = 0
    started_s = time.monotonic()
    while (now_s := time.monotonic()) < started_s + duration_s:
        for fd, _ in ready.poll(1.0):
            taken, ended = open_[fd].read(buffer)
            received_bytes += taken
            if ended:
                requests += 1
                open_[fd].sock.sendall(request)
    numbers = {"requests": requests, "bytes": received_bytes, "duration_us": round(1e6 * (now_s - started_s))}
    return {**numbers, "p50_us": 0, "p99_us": 0, "errors": 0}


def main() -> int:
    """Run once and print the report."""
    url, connections, duration_s = sys.argv[1:4]
    print("REPORT", json.dumps(drain(url, int(connections), float(duration_s))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
