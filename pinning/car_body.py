"""A CAR on its way into the store, out of a request's body or out of a file.

Every block is checked against its CID before it is stored, files become one blob each, and memory is two
batches beside the store's own queue, however long the CAR is.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from blockstore.dag import Dag
from blockstore.importing import Importing, ImportReport
from content.car import CarReader
from content.cid import Cid
from net.app import BodyReader
from origins.steps import step
from pinning.pouring import BATCH_BYTES, pour
from runtime.errors import BadRequest, EdgeError

# Each is a pin of its own, with a commit: what a client waits for stays below a second
ROOTS_MAX: Final = 100
# The largest body that `net.limits` takes in one request
LENGTH_MAX: Final = 1 << 40

CheckRoots = Callable[[tuple[Cid, ...]], None]
"""Told the roots as soon as they are known; raises what refuses them."""
Arrived = Callable[[int], None]
"""Told how many bytes more came; raises what refuses them. May be called from any thread."""


class Arriving:
    """One CAR being stored. Fed in order, from any thread; `end` or `break_off` finishes it."""

    def __init__(self, dag: Dag, check_roots: CheckRoots, arrived: Arrived | None = None) -> None:
        """`arrived`: asked before the next bytes are taken."""
        self._reader = CarReader()
        self._importing = Importing(dag)
        self._check_roots = check_roots
        self._roots: tuple[Cid, ...] | None = None
        self._lock = threading.Lock()  # `break_off` waits for a `take` that a cancelled caller left behind
        self._arrived = arrived

    def take(self, data: bytes) -> None:
        """The next bytes. Raises BadRequest, TooLarge, Unverified, StoreFull, what `arrived` raises."""
        with self._lock:
            if self._arrived is not None:
                self._arrived(len(data))
            for block in self._reader.feed(data):
                self._roots_known()
                self._importing.add(block)
            self._roots_known()

    def end(self) -> tuple[tuple[Cid, ...], ImportReport]:
        """(roots, what was imported), all durable. Raises BadRequest when the CAR was cut short."""
        with self._lock:
            self._reader.end()
            assert self._roots is not None, "end() has checked"
            return self._roots, self._importing.finish()

    def break_off(self) -> None:
        """It ended early: what came stays for a lease."""
        with self._lock, self._importing, contextlib.suppress(EdgeError):
            self._importing.break_off()  # nothing was promised, and why it ends is told already

    def _roots_known(self) -> None:
        if self._roots is None and self._reader.roots is not None:
            self._roots = checked_roots(self._reader.roots, self._check_roots)


def checked_roots(roots: tuple[Cid, ...], check: CheckRoots) -> tuple[Cid, ...]:
    """The different roots of a CAR. Raises BadRequest for none or too many, and as `check` does."""
    different = tuple(dict.fromkeys(roots))
    if not different:
        raise BadRequest("the CAR names no root, so nothing of it would be kept", where="its header")
    if len(different) > ROOTS_MAX:
        raise BadRequest(
            f"the CAR names {len(different)} roots; at most {ROOTS_MAX} are pinned at once",
            where="its header",
            hint="send several CARs, or put the roots under one directory",
        )
    check(different)
    return different


async def receive(
    dag: Dag, body: BodyReader, check_roots: CheckRoots, arrived: Arrived
) -> tuple[tuple[Cid, ...], ImportReport]:
    """Store the CAR in a body.

    However it ends early, what came until then stays for a lease. Raises as `Arriving`, what the body raises.
    """
    arriving = Arriving(dag, check_roots, arrived)
    try:
        await pour(body, arriving.take)
        return await step(arriving.end)
    except BaseException:
        await step(arriving.break_off)
        raise


def import_file(
    dag: Dag, path: Path, skip_bytes: int, check_roots: CheckRoots
) -> tuple[tuple[Cid, ...], ImportReport]:
    """Store the CAR that begins `skip_bytes` into a file. Raises as `Arriving`."""
    arriving = Arriving(dag, check_roots)
    try:
        with path.open("rb") as file:
            file.seek(skip_bytes)
            while data := file.read(BATCH_BYTES):
                arriving.take(data)
        return arriving.end()
    except BaseException:
        arriving.break_off()
        raise
