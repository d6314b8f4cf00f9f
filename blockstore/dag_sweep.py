"""Taking away blocks that no root of a DAG reaches, in steps that never hold a lock for long.

Mark: from every root along the links of the blocks that are here, one bit a block, by ordinal: exact, and
125 KB for a million blocks. Then one pass over the rows: those that were there when the mark began, are not
marked, and were not put or asked for within the lease, are dropped in write transactions that look again:

 1. a root that was added meanwhile moves the serial: it is marked before anything more is dropped;
 2. a block that was put or touched meanwhile carries its time: it stays;
 3. a block that was put meanwhile has an ordinal above the mark: it stays.

Dropping a row drops its hold on a blob; the sweep of blobs that follows frees the bytes. A block that cannot
be read (damaged, evicted) hides what it links to, so then nothing is dropped at all. What was evicted as a
leaf says so in its row.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from blockstore.backing import Backing
from blockstore.block_rows import BlockRow, BlockRows, block_row
from blockstore.dag import Dag
from blockstore.dag_root import DagRoot
from blockstore.marks import Marks
from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.links import links
from durable import Txn
from runtime.errors import BadRequest, BlobDamaged, EdgeError

_MARK_BLOCKS: Final = 256  # blocks read between two steps: about 4 ms
_SCAN_ROWS: Final = 512  # rows looked at in one snapshot
_CLOCK_EVERY: Final = 8
_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))


class DagSweep:
    """One sweep over the blocks of a store. `steps` yields after each; may be given up after any."""

    def __init__(self, backing: Backing, dag: Dag) -> None:
        self._backing = backing
        self._dag = dag
        self._rows: BlockRows = dag.rows
        self._marks: dict[int, Marks] = {}  # by codec: the same bytes under another codec have other links
        self._marked_roots: set[bytes] = set()
        self._serial = -1
        self.unreadable: Cid | None = None  # a block that hides what it links to
        self.dropped = 0
        self._stays_ms: float = backing.settings.lease_s * 1000  # after it was put or asked for
        self.expired_roots = 0

    def steps(self) -> Iterator[None]:
        """Run the sweep."""
        with self._backing.index.reading() as txn:
            ceiling = self._rows.next_ordinal(txn)
            if txn.stat(self._backing.catalog.blocks)["entries"] == 0:
                return
        yield from self._drop_expired_roots()
        yield from self._mark_roots()
        if self.unreadable is None:
            yield from self._drop_unmarked(ceiling)
        yield from self._settle_waiting()

    def steps_for(self, multihashes: Iterable[bytes]) -> Iterator[None]:
        """Drop those of `multihashes` that no root reaches, at once: their lease over or not."""
        self._stays_ms = 0
        with self._backing.index.reading() as txn:
            ceiling = self._rows.next_ordinal(txn)
        yield from self._mark_roots()
        page: list[bytes] = []
        for multihash in multihashes:
            if self.unreadable is not None:
                return
            if not self._is_marked(multihash):
                page.append(multihash)
            if len(page) == _SCAN_ROWS:
                yield from self._drop_all(page, ceiling)
                page = []
        yield from self._drop_all(page, ceiling)

    def _drop_expired_roots(self) -> Iterator[None]:
        now_s = self._backing.clock.now_s()
        for each in self._dag.roots():
            if not each.root.holds(now_s):
                self.expired_roots += self._dag.unpin_expired(each)
                yield

    # Mark

    def _mark_roots(self) -> Iterator[None]:
        """Mark what every root reaches that has not been marked from yet."""
        with self._backing.index.reading() as txn:
            self._serial = self._rows.serial(txn)
        for each in self._dag.roots():
            if each.cid.raw not in self._marked_roots:
                self._marked_roots.add(each.cid.raw)
                yield from self._mark(each)

    def _mark(self, root: DagRoot) -> Iterator[None]:
        waiting = [root.cid]
        while waiting:
            batch = waiting[-_MARK_BLOCKS:]
            del waiting[-_MARK_BLOCKS:]
            for cid in self._newly_marked(batch):
                waiting += self._links(cid)
            yield

    def _newly_marked(self, batch: list[Cid]) -> list[Cid]:
        """Mark blocks in one snapshot; returns those that may have links and were not marked before.

        What is not here is passed over: nothing below it is known, and nothing is here because of it.
        """
        found = []
        with self._backing.index.reading() as txn:
            for cid in batch:
                if cid.is_identity:  # it is no row, and may link to what is
                    found += [] if cid.codec in _LEAVES else [cid]
                    continue
                try:
                    row = self._rows.block(txn, cid.multihash)
                except BlobDamaged:
                    self.unreadable = cid
                    continue
                if row is None:
                    continue
                is_new = self._marks.setdefault(cid.codec, Marks()).add(row.ordinal)
                if is_new and cid.codec not in _LEAVES and not row.is_leaf:
                    found.append(cid)
        return found

    def _links(self, cid: Cid) -> tuple[Cid, ...]:
        try:
            return links(cid, self._dag.read(cid))
        except (BlockMissing, BlobDamaged):
            self.unreadable = cid  # its row is here and its bytes are not: what it keeps cannot be told
            return ()
        except BadRequest:
            return ()  # verified, and not of its codec: it links to nothing

    # Sweep

    def _drop_unmarked(self, ceiling: int) -> Iterator[None]:
        after = b""
        while True:
            suspects, after = self._suspects(after, ceiling)
            yield from self._drop_all(suspects, ceiling)
            if not after or self.unreadable is not None:
                return
            yield

    def _drop_all(self, suspects: list[bytes], ceiling: int) -> Iterator[None]:
        while suspects:
            left = self._drop(suspects, ceiling)
            if left is None:
                yield from self._mark_roots()
                if self.unreadable is not None:
                    return
                suspects = [each for each in suspects if not self._is_marked(each)]
            else:
                suspects = left
            yield

    def _settle_waiting(self) -> Iterator[None]:
        """Look through the notes of files that lack a block."""
        after = [b""]

        def index(txn: Txn) -> None:
            after[:] = [self._dag.waiting.settle(txn, self._rows, after[0], _SCAN_ROWS)]

        while True:
            self._backing.writer.run(index=index, frees=True)
            yield
            if not after[0]:
                return

    def _suspects(self, after: bytes, ceiling: int) -> tuple[list[bytes], bytes]:
        found: list[bytes] = []
        now_ms = self._backing.now_ms()
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(self._backing.catalog.blocks)
            more = cursor.set_range(after + b"\0") if after else cursor.first()
            for _ in range(_SCAN_ROWS):
                if not more:
                    return found, b""
                key = after = cursor.key()
                try:
                    if self._may_go(block_row(key, cursor.value()), ceiling, now_ms):
                        found.append(key)
                except BlobDamaged:
                    pass  # a row that cannot be read keeps what it kept
                more = cursor.next()
        return found, after

    def _may_go(self, row: BlockRow, ceiling: int, now_ms: int) -> bool:
        over = row.touched_ms + self._stays_ms <= now_ms
        return row.ordinal < ceiling and over and not self._has_mark(row.ordinal)

    def _has_mark(self, ordinal: int) -> bool:
        return any(marks.has(ordinal) for marks in self._marks.values())

    def _is_marked(self, multihash: bytes) -> bool:
        with self._backing.index.reading() as txn:
            row = self._rows.block(txn, multihash)
        return row is None or self._has_mark(row.ordinal)

    def _drop(self, suspects: list[bytes], ceiling: int) -> list[bytes] | None:
        """Drop what may go; returns what there was no time for, None when a root came that is not marked."""
        backing = self._backing
        outcome: list[int | None] = [0, 0]  # suspects done (None: a root came), rows dropped

        def index(txn: Txn) -> None:
            outcome[:] = [0, 0]
            if self._rows.serial(txn) != self._serial:
                outcome[0] = None
                return
            now_ms = backing.now_ms()
            stop_s = backing.clock.tick_s() + backing.settings.step_s
            done = dropped = 0
            for multihash in suspects:
                if done % _CLOCK_EVERY == _CLOCK_EVERY - 1 and backing.clock.tick_s() > stop_s:
                    break
                done += 1
                try:
                    row = self._rows.block(txn, multihash)
                    if row is not None and self._may_go(row, ceiling, now_ms):
                        self._rows.drop(txn, multihash)
                        dropped += 1
                except EdgeError:
                    continue
            outcome[:] = [done, dropped]

        backing.writer.run(index=index, frees=True)
        if outcome[0] is None:
            return None
        if outcome[1]:
            self.dropped += outcome[1]
            backing.board.bump()
        return suspects[outcome[0] :]
