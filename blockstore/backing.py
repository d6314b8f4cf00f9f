"""What every part of an open store works on, and the one way damage is reported."""

import threading
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from blockstore import records, upper
from blockstore.catalog import Catalog
from blockstore.checked import CheckedMemo
from blockstore.ids import StorageIds
from blockstore.settings import StoreSettings
from durable import Environment, Extents, GroupWriter, Job, Packs, Txn
from runtime.board import Board
from runtime.clock import Clock
from runtime.errors import BlobDamaged, EdgeError, NotFound

_REPORTED_MAX: Final = 4096  # damage already on its way to the index; above this it is reported again


class Cause(IntEnum):
    """What was found. The number is on the disk."""

    MISSING = 1
    CHECKSUM = 2
    TREE = 3


CAUSE_TEXT: Final = {
    Cause.MISSING: "is missing",
    Cause.CHECKSUM: "does not match its checksum",
    Cause.TREE: "does not match the blob's BLAKE3 tree",
}


class SegmentDamaged(BlobDamaged):
    """A stored segment, or the upper tree (`upper.UPPER_SEGMENT`), is not what the name says."""

    def __init__(self, segment: int, message: str, *, where: str, hint: str) -> None:
        super().__init__(message, where=where, hint=hint)
        self.segment = segment


@dataclass(slots=True)
class Backing:
    """An open store's environments, writer and shared state. Made and closed by `blockstore.store`."""

    settings: StoreSettings
    clock: Clock
    board: Board
    bulk: Environment
    index: Environment
    extents: Extents
    packs: Packs
    writer: GroupWriter
    catalog: Catalog
    ids: StorageIds
    checked: CheckedMemo
    checked_nodes: CheckedMemo
    _reported: set[tuple[int, int]] = field(default_factory=set)
    _reported_lock: threading.Lock = field(default_factory=threading.Lock)

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.clock.now_s() * 1000)

    def failed(self, root: bytes, storage_id: int, segment: int, cause: Cause) -> EdgeError:
        """The error for content that cannot be handed out; damage is put on record off the caller's path.

        Content that was removed or replaced meanwhile is NotFound, not damage.
        """
        with self.index.reading() as txn:
            row = self.catalog.blob(txn, root)
        if row is None or row.storage_id != storage_id:
            return NotFound("the blob was removed or replaced", where=root.hex())
        self.report(root, storage_id, segment, cause)
        part = "the upper tree" if segment == upper.UPPER_SEGMENT else f"segment {segment}"
        return SegmentDamaged(
            segment, f"{part} {CAUSE_TEXT[cause]}", where=root.hex(), hint="put the content again to heal it"
        )

    def report(self, root: bytes, storage_id: int, segment: int, cause: Cause) -> None:
        """Put a segment in quarantine and void memoised decisions; returns at once."""
        mark = (storage_id, segment)
        with self._reported_lock:
            if mark in self._reported:
                return
            if len(self._reported) >= _REPORTED_MAX:
                self._reported.clear()
            self._reported.add(mark)
        key = upper.KEY.pack(storage_id, segment)
        found_ms = self.now_ms()

        def record(txn: Txn) -> None:
            row = self.catalog.blob(txn, root)
            if row is not None and row.storage_id == storage_id:
                txn.put(key, records.damage_value(key, found_ms, cause), db=self.catalog.damage)

        def done(error: EdgeError | None) -> None:
            if error is not None:
                with self._reported_lock:
                    self._reported.discard(mark)
            self.board.bump()

        self.writer.submit(Job(index=record, done=done), wait=False)
