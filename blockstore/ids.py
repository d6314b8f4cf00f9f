"""Storage ids: numbers under which content is written before anything points at it.

A process takes ids from ranges it has reserved durably in the index, beside the token of a file
it keeps locked. A sweep that finds the lock free knows that nobody is still writing under the
range, and that whatever lies there without an owner is an orphan. Ids are never used twice.

    range row committed -> ids handed out -> content committed -> index row committed, id settled
"""

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

from blockstore import records
from blockstore.catalog import Catalog
from blockstore.records import RangeRow
from durable import AliveFile, GroupWriter, Txn, is_alive
from runtime.clock import Clock

RANGE_IDS: Final = 1 << 16  # one index commit for 65,536 blobs; ids are 64 bits, so waste is nothing
_NEXT: Final = b"next-storage-id"
_TOKEN_BYTES: Final = 16
_DRAFT_KEPT_S: Final = 60.0  # a live process needs microseconds


class StorageIds:
    """The ids of one process."""

    def __init__(self, writer: GroupWriter, catalog: Catalog, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self._writer = writer
        self._catalog = catalog
        self._folder = folder
        self._token = os.urandom(_TOKEN_BYTES)
        self._alive: AliveFile | None = None
        self._reserving = threading.Lock()  # held over a commit, so never taken on the writer thread
        self._lock = threading.Lock()
        self._next = 0
        self._stop = 0
        self._active: set[int] = set()

    def take(self) -> int:
        """A fresh id, active until `settle`. Waits for one commit every 65,536 ids. Raises StoreFull.

        Not for the writer thread, which would wait for itself.
        """
        return self.take_many(1)[0]

    def take_many(self, count: int) -> list[int]:
        """As `take`; mostly ids in a row."""
        taken: list[int] = []
        with self._reserving:
            while len(taken) < count:
                if self._next == self._stop:
                    start = self._reserve()
                    with self._lock:
                        self._next, self._stop = start, start + RANGE_IDS
                with self._lock:
                    first = self._next
                    self._next = min(self._stop, first + count - len(taken))
                    taken.extend(range(first, self._next))
                    self._active.update(taken)
        return taken

    @property
    def at_hand(self) -> bool:
        """Whether `take` would return without waiting for a commit."""
        with self._lock:
            return self._next != self._stop

    def settle(self, *storage_ids: int) -> None:
        """These ids are in the index, or their content was given up."""
        with self._lock:
            self._active.difference_update(storage_ids)

    def is_abandoned(self, storage_id: int, row: RangeRow) -> bool:
        """Whether nobody writes under this id of range `row` any more."""
        if row.token == self._token:
            with self._lock:
                return storage_id not in self._active and storage_id < self._next
        return not is_alive(self.alive_path(row.token))

    def is_own(self, row: RangeRow) -> bool:
        """Whether this process took the range."""
        return row.token == self._token

    def range_is_over(self, row: RangeRow) -> bool:
        """Whether the process that took this range is dead."""
        return row.token != self._token and not is_alive(self.alive_path(row.token))

    def alive_path(self, token: bytes) -> Path:
        """The file whose lock proves that the owner of `token` lives."""
        return self._folder / f"alive-{token.hex()}"

    def forget_dead(self, tokens_in_use: set[bytes]) -> None:
        """Remove the files of dead processes that have no range any more."""
        for path in self._folder.glob("alive-*"):
            token = path.name.removeprefix("alive-")
            if token not in {each.hex() for each in tokens_in_use} and not is_alive(path):
                path.unlink(missing_ok=True)
        for draft in self._folder.glob("new-alive-*"):  # killed in the microseconds before it had its name
            with contextlib.suppress(OSError):
                if self._clock.now_s() - draft.stat().st_mtime > _DRAFT_KEPT_S and not is_alive(draft):
                    draft.unlink()

    def close(self) -> None:
        """Stop proving life: what this process left unfinished may be swept."""
        if self._alive is not None:
            self._alive.close()
            self._alive = None

    def _reserve(self) -> int:
        if self._alive is None:
            self._alive = AliveFile(self.alive_path(self._token))
        got: list[int] = []

        def reserve(txn: Txn) -> None:
            got.clear()
            value = txn.get(_NEXT, db=self._catalog.meta)
            start = RANGE_IDS if value is None else records.id_of(records.opened(_NEXT, value, "meta"))
            row = RangeRow(start + RANGE_IDS, self._token)
            key = records.id_key(start)
            txn.put(key, records.range_value(key, row), db=self._catalog.ranges)
            stop = records.seal(_NEXT, records.id_key(row.stop))
            txn.put(_NEXT, stop, db=self._catalog.meta)
            got.append(start)

        self._writer.run(index=reserve)
        return got[0]
