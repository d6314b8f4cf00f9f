"""Mark and sweep: taking away what nothing keeps, in steps that never hold a lock for long.

Mark is one pass over blobs and roots side by side, in hash order, from short snapshots; it only
suggests. Every deletion reads the blob's roots again inside the write transaction that deletes,
so a pin that arrived meanwhile wins. Then, in the order of the module's parts: expired transfers,
content doomed earlier, and content under ids whose writer died before it was visible.

A step holds the write lock of each environment for about `step_s`; readers never wait for it.
A sweep may stop after any step, or be killed: the next one finds what is left.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from blockstore import records
from blockstore.backing import Backing
from blockstore.catalog import Catalog
from blockstore.dag import Dag
from blockstore.dag_sweep import DagSweep
from blockstore.doomed import ClearStep, free_room
from blockstore.importing import flatten_woken
from blockstore.records import HASH_BYTES, BlobRow, RangeRow
from blockstore.roots import root_from
from durable import SLOTS, Environment, Table, Txn
from runtime.errors import BlobDamaged, EdgeError

_MARK_BLOBS: Final = 512  # blobs looked at in one snapshot: about 4 ms
_CLEAR_IDS: Final = 512  # doomed ids offered to one step; it does what its time allows
_SCAN_IDS: Final = 512  # ids of a dead range looked at in one snapshot
_CLOCK_EVERY: Final = 8


@dataclass(slots=True)
class SweepReport:
    """What a sweep has done so far."""

    looked_at: int = 0
    removed_blobs: int = 0
    removed_bytes: int = 0
    removed_blocks: int = 0
    expired_roots: int = 0
    expired_partials: int = 0
    orphans: int = 0
    cleared: int = 0
    unreadable: str = ""  # CID of a block that hides what it links to: no block was removed because of it


class Sweep:
    """One sweep over a store."""

    def __init__(self, backing: Backing, dag: Dag) -> None:
        self._backing = backing
        self._dag = dag
        self._catalog = backing.catalog
        self._to_clear: list[int] = []
        self.report = SweepReport()

    def steps(self) -> Iterator[SweepReport]:
        """Run the sweep; yields the report, the same object, after every step."""
        # what this process gave up before is on record now
        self._backing.writer.run(index=lambda _: None, frees=True)
        for part in (
            self._blocks,
            self._unrooted,
            self._partials,
            self._doomed,
            self._abandoned,
            self._doomed,
            self._room,
        ):
            for _ in part():
                yield self.report

    # Blocks that no DAG reaches

    def _blocks(self) -> Iterator[None]:
        sweep = DagSweep(self._backing, self._dag)
        for _ in sweep.steps():
            self.report.removed_blocks = sweep.dropped
            yield
        self.report.removed_blocks = sweep.dropped
        self.report.expired_roots += sweep.expired_roots
        self.report.unreadable = "" if sweep.unreadable is None else sweep.unreadable.text()
        flatten_woken(self._dag)

    # Blobs without roots

    def _unrooted(self) -> Iterator[None]:
        after = b""
        while True:
            suspects, after = self._mark(after)
            while suspects:
                suspects = self._take(suspects)
                yield
            if not after:
                return
            yield

    def _mark(self, after: bytes) -> tuple[list[bytes], bytes]:
        """Hashes above `after` with a root that is over or none that holds, and where to go on."""
        catalog, now_s = self._catalog, self._backing.clock.now_s()
        suspects: list[bytes] = []
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(catalog.blobs)
            found = cursor.set_range(after + b"\xff") if after else cursor.first()
            for _ in range(_MARK_BLOBS):
                if not found:
                    return suspects, b""
                root = cursor.key()[:HASH_BYTES]
                holds, over = False, False
                while found and cursor.key().startswith(root):
                    if len(cursor.key()) > HASH_BYTES:
                        held = self._holds(cursor.key(), cursor.value(), now_s)
                        holds, over = holds or held, over or not held
                    found = cursor.next()
                if over or not holds:
                    suspects.append(root)
                self.report.looked_at += 1
                after = root
        return suspects, after

    def _holds(self, key: bytes, value: bytes, now_s: float) -> bool:
        try:
            return root_from(key, records.root_row(key, value)).holds(now_s)
        except (BlobDamaged, ValueError):
            return True  # what it said is unknown, so it holds

    def _take(self, suspects: Sequence[bytes]) -> list[bytes]:
        """One step: remove the suspects that still nothing keeps; returns those there was no time for."""
        backing, catalog = self._backing, self._catalog
        step = ClearStep(backing, self._to_clear[:_CLEAR_IDS])
        removed: list[BlobRow] = []
        counts = [0, 0]  # suspects done, expired roots

        def index(txn: Txn) -> None:
            step.index(txn)
            removed.clear()
            counts[:] = [0, 0]
            now_s = backing.clock.now_s()
            stop_s = backing.clock.tick_s() + backing.settings.step_s
            for root in suspects:
                if counts[0] % _CLOCK_EVERY == _CLOCK_EVERY - 1 and backing.clock.tick_s() > stop_s:
                    return
                counts[0] += 1
                if catalog.is_held(txn, root, now_s):
                    counts[1] += self._drop_expired(txn, root, now_s)
                    continue
                with contextlib.suppress(BlobDamaged):  # a row that cannot be read is scrub's to report
                    row = catalog.blob(txn, root)
                    if row is not None:
                        counts[1] += catalog.withdraw(txn, root, row)
                        removed.append(row)

        backing.writer.run(bulk=step.bulk if step.left else None, index=index, frees=True)
        self._cleared(step)
        if removed:
            backing.board.bump()
            self._to_clear.extend(row.storage_id for row in removed)
        self.report.removed_blobs += len(removed)
        self.report.removed_bytes += sum(row.size_bytes for row in removed)
        self.report.expired_roots += counts[1]
        return list(suspects[counts[0] :])

    def _drop_expired(self, txn: Txn, root: bytes, now_s: float) -> int:
        try:
            over = [each for each in self._catalog.roots(txn, root) if not each.holds(now_s)]
        except (BlobDamaged, ValueError):
            return 0
        return sum(self._catalog.drop_root(txn, root, each) for each in over)

    # Transfers nobody came back to

    def _partials(self) -> Iterator[None]:
        backing, catalog = self._backing, self._catalog
        now_ms = backing.now_ms()
        with backing.index.reading() as txn:
            over = [root for root, row in _partial_rows(catalog, txn) if row.expires_ms <= now_ms]
        for root in over:
            dropped: list[int] = []

            def index(txn: Txn, root: bytes = root, dropped: list[int] = dropped) -> None:
                dropped.clear()
                row = catalog.partial(txn, root)
                if row is not None and row.expires_ms <= now_ms:
                    txn.delete(root, db=catalog.partials)
                    catalog.doom(txn, row.storage_id)
                    dropped.append(row.storage_id)

            backing.writer.run(index=index, frees=True)
            self.report.expired_partials += len(dropped)
            yield

    # Content nothing points at any more

    def _doomed(self) -> Iterator[None]:
        backing, catalog = self._backing, self._catalog
        self._to_clear = []
        while True:
            with backing.index.reading() as txn:
                ids = [records.id_of(key) for key in _keys(txn, catalog.doomed, b"", _CLEAR_IDS)]
            if not ids:
                return
            step = ClearStep(backing, ids)
            backing.writer.run(bulk=step.bulk, index=step.index, frees=True)
            self._cleared(step)
            yield

    def _cleared(self, step: ClearStep) -> None:
        step.after()
        done = step.cleared
        self.report.cleared += len(done)
        if done:
            gone = set(done)
            self._to_clear = [each for each in self._to_clear if each not in gone]

    def _room(self) -> Iterator[None]:
        """What a process that died between a commit and freeing the room behind it has left."""
        free_room(self._backing, self._backing.packs.firsts())
        yield

    # Content whose writer died

    def _abandoned(self) -> Iterator[None]:
        backing, catalog = self._backing, self._catalog
        with backing.index.reading() as txn:
            keys = _keys(txn, catalog.ranges, b"", 1 << 20)
            ranges = [(key, txn.get(key, db=catalog.ranges)) for key in keys]
        for key, value in ranges:
            if value is None:
                continue
            row = records.range_row(key, value)
            over = backing.ids.range_is_over(row)
            if over or backing.ids.is_own(row):
                yield from self._scan_range(records.id_of(key), row)
            if over:
                self._backing.packs.unlink_empty(range(records.id_of(key), row.stop, SLOTS))
                self._end_range(key)
                yield

        with backing.index.reading() as txn:
            in_use = {row.token for row in _range_rows(catalog, txn)}
        backing.ids.forget_dead(in_use)

    def _scan_range(self, start: int, row: RangeRow) -> Iterator[None]:
        tables: tuple[tuple[Environment, Table], ...] = (
            (self._backing.bulk, None),
            (self._backing.index, self._catalog.upper),
        )
        for environment, table in tables:
            at = start
            while at < row.stop:
                ids, at = _distinct_ids(environment, table, at, row.stop)
                self._doom_orphans(ids, row)
                yield
        for numbers in (self._backing.extents.numbers, self._backing.packs.numbers):
            for ids in numbers(start, row.stop):
                if ids:
                    self._doom_orphans(ids, row)
                    yield

    def _doom_orphans(self, ids: Sequence[int], row: RangeRow) -> None:
        orphans = self._orphans(ids, row)
        if orphans:
            self._doom(orphans, row)

    def _orphans(self, ids: Sequence[int], row: RangeRow) -> list[int]:
        backing = self._backing
        alone = [each for each in ids if backing.ids.is_abandoned(each, row)]  # before the snapshot below
        with backing.index.reading() as txn:
            return [each for each in alone if self._catalog.owner_of(txn, each) is None]

    def _doom(self, ids: Sequence[int], row: RangeRow) -> None:
        count = [0]

        def index(txn: Txn) -> None:
            count[0] = 0
            for each in ids:
                known = txn.get(records.id_key(each), db=self._catalog.doomed) is not None
                if not known and self._catalog.owner_of(txn, each) is None:
                    self._catalog.doom(txn, each)
                    count[0] += 1

        self._backing.writer.run(index=index, frees=True)
        self.report.orphans += count[0]

    def _end_range(self, key: bytes) -> None:
        """Forget the range of a dead process."""

        def index(txn: Txn) -> None:
            txn.delete(key, db=self._catalog.ranges)

        self._backing.writer.run(index=index, frees=True)


def _partial_rows(catalog: Catalog, txn: Txn) -> Iterator[tuple[bytes, records.PartialRow]]:
    for root in _keys(txn, catalog.partials, b"", 1 << 20):
        try:
            row = catalog.partial(txn, root)
        except EdgeError:
            continue
        if row is not None:
            yield root, row


def _range_rows(catalog: Catalog, txn: Txn) -> Iterator[RangeRow]:
    for key in _keys(txn, catalog.ranges, b"", 1 << 20):
        value = txn.get(key, db=catalog.ranges)
        if value is not None:
            yield records.range_row(key, value)


def _keys(txn: Txn, table: Table, start: bytes, limit: int) -> list[bytes]:
    cursor = txn.cursor(table)
    found = cursor.set_range(start) if start else cursor.first()
    keys: list[bytes] = []
    while found and len(keys) < limit:
        keys.append(cursor.key())
        found = cursor.next()
    return keys


def _distinct_ids(environment: Environment, table: Table, start: int, stop: int) -> tuple[list[int], int]:
    """Up to `_SCAN_IDS` different storage ids that have keys in [start, stop), and where to go on."""
    ids: list[int] = []
    with environment.reading() as txn:
        cursor = txn.cursor(table) if table is not None else txn.cursor()
        at = start
        while at < stop and len(ids) < _SCAN_IDS and cursor.set_range(records.id_key(at)):
            found = records.id_of(cursor.key())
            if found >= stop:
                return ids, stop
            ids.append(found)
            at = found + 1
        return ids, at if len(ids) == _SCAN_IDS else stop
