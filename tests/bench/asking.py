"""One client that asks one thing after the other, on the load core: for times of single requests.

wrk measures crowds; a listing of 9 MB, a range or a CAR is judged by how long one of them takes. The same
client asks both servers, so what it costs itself only brings the ratios nearer to 1.
"""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.machine import LOAD_CORE

_BUFFER_BYTES = 1 << 20
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Took:
    """One answer: how long until its first body byte and its last, and how much it was."""

    first_s: float
    whole_s: float
    received_bytes: int


@contextmanager
def on_load_core() -> Iterator[None]:
    """Run this thread on the load core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Asker:
    """A kept-alive connection to one server; a context manager."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        assert parts.hostname is not None
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT_S)
        self._buffer = bytearray(_BUFFER_BYTES)

    def ask(self, target: str, **fields: str) -> Took:
        """GET `target`; field names with `_` for `-`. Raises ValueError on any status but 200 and 206."""
        view, received = memoryview(self._buffer), 0
        started_s = time.perf_counter()
        self._connection.request(
            "GET", target, headers={name.replace("_", "-"): text for name, text in fields.items()}
        )
        response = self._connection.getresponse()
        if response.status not in (200, 206):
            raise ValueError(f"{target}: {response.status} {response.read(500)!r}")
        first_s = 0.0
        while count := response.readinto(view):
            first_s = first_s or time.perf_counter() - started_s
            received += count
        return Took(first_s, time.perf_counter() - started_s, received)

    def save(self, target: str, write: Callable[[memoryview], object]) -> int:
        """GET `target` and hand the body on in pieces; returns its length."""
        view, received = memoryview(self._buffer), 0
        self._connection.request("GET", target)
        response = self._connection.getresponse()
        if response.status != 200:
            raise ValueError(f"{target}: {response.status} {response.read(500)!r}")
        while count := response.readinto(view):
            write(view[:count])
            received += count
        return received

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *problem: object) -> None:
        self._connection.close()
