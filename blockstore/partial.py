"""A transfer that may stop and go on: verified ranges of a blob, in any order, that outlive a restart.

The content lies under its own storage id as it will lie in the end, segment by segment; the bitmap
in each segment's trailer says which groups are there. Added bytes gather in memory until their
segment is whole or another begins, so a crash takes back at most that one. Several processes may
add to one transfer: a segment is merged inside the write transaction. A segment of a large blob
moves to the extent when it is whole, and not before: what a row points at is never written again.

The caller has verified what it adds (`content.bao.decode`). Completing computes the whole tree
from the stored groups all the same, and a blob becomes visible only if its root is the name.
"""

import threading
from collections.abc import Iterator

from blockstore import records
from blockstore import segment as stored
from blockstore.backing import Backing
from blockstore.landing import Arrival, Landing, Put, is_whole, submit_landing
from blockstore.records import HASH_BYTES, BlobRow, PartialRow
from blockstore.roots import LOCAL_PIN, Root
from content.bao import _native
from content.bao.geometry import CV_BYTES, GROUP_BYTES, SEGMENT_BYTES, segment_bytes, segment_count
from durable import Change, Job, Txn
from runtime.errors import Conflict, EdgeError, StoreFull, Unverified, UsageError


class Partial:
    """One unfinished transfer, as one thread of one process sees it."""

    def __init__(self, backing: Backing, root: bytes, size_bytes: int) -> None:
        if len(root) != HASH_BYTES or size_bytes < 0:
            raise UsageError("a transfer needs a 32-byte hash and a size", where=root.hex())
        self.root = root
        self.size_bytes = size_bytes
        self._backing = backing
        self._whole = is_whole(backing, root)
        self._storage_id = 0
        self._have: dict[int, int] = {}  # bitmap a segment; only of segments something was added to
        self._number = -1
        self._data = bytearray()
        self._bitmap = 0
        self._renew_s = 0.0
        self._gone = False
        self._error: EdgeError | None = None
        if not self._whole:
            self._begin()
            self._load()

    def add(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Add verified bytes at `offset`, which is a multiple of 16 KiB; so is their length unless they end
        the blob. May wait for the writer. Raises ValueError, StoreFull, Conflict (dropped meanwhile).
        """
        with memoryview(data) as given, given.cast("B") as view:
            stop = offset + len(view)
            ends = stop == self.size_bytes
            if (
                offset < 0
                or offset % GROUP_BYTES
                or stop > self.size_bytes
                or not (ends or stop % GROUP_BYTES == 0)
            ):
                raise ValueError(f"[{offset}, {stop}) is not whole groups of {self.size_bytes} bytes")
            if self._whole:
                return
            at = offset
            while at < stop:
                number = at // SEGMENT_BYTES
                take = min(stop, (number + 1) * SEGMENT_BYTES) - at
                self._add(number, at - number * SEGMENT_BYTES, view[at - offset : at - offset + take])
                at += take

    def have(self) -> list[tuple[int, int]]:
        """The byte ranges [start, stop) that are here, joined and in order."""
        if self._whole:
            return [(0, self.size_bytes)]
        ranges: list[tuple[int, int]] = []
        for start, stop in self._groups():
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], stop)
            else:
                ranges.append((start, stop))
        return ranges

    def flush(self) -> None:
        """Wait until everything added is durable; renews the lease. Raises Conflict, StoreFull."""
        if self._whole:
            return
        self._hand_over()
        self._backing.writer.run(index=self._renew)  # behind everything handed over
        self._check()

    def complete(
        self,
        *,
        root: Root | None = LOCAL_PIN,
        content_type: str | None = None,
        quota_bytes: int | None = None,
    ) -> Put:
        """Make the blob visible, when all of it is here; waits until that is durable.

        Raises Conflict (ranges missing, or dropped meanwhile), Unverified (and drops everything),
        StoreFull, QuotaExceeded.
        """
        now_s = self._backing.clock.now_s()
        held_by = root or Root.lease(now_s + self._backing.settings.lease_s)
        if not self._whole:
            if self.size_bytes == 0:
                self._add(0, 0, memoryview(b""))
            self.flush()
            upper_nodes = self._proven_tree()
            return self._land(upper_nodes, Landing(held_by, content_type or "", quota_bytes))
        backing = self._backing

        def index(txn: Txn) -> None:
            row = backing.catalog.blob(txn, self.root)
            if row is None:
                raise Conflict("the blob was removed meanwhile", where=self.root.hex(), hint="begin again")
            backing.catalog.check_account(txn, self.root, row.size_bytes, held_by, quota_bytes)
            backing.catalog.put_root(txn, self.root, held_by, row.size_bytes, now_s)

        backing.writer.run(index=index)
        return Put(self.root, self.size_bytes, True)

    def discard(self) -> None:
        """Drop the transfer and all that was added, for every process."""
        catalog, root = self._backing.catalog, self.root

        def index(txn: Txn) -> None:
            row = catalog.partial(txn, root)
            if row is not None and row.storage_id == self._storage_id:
                txn.delete(root, db=catalog.partials)
                catalog.doom(txn, row.storage_id)

        if not self._whole:
            self._backing.writer.run(index=index, frees=True)
        self._have.clear()
        self._number, self._bitmap = -1, 0

    # Beginning

    def _begin(self) -> None:
        backing, catalog, root = self._backing, self._backing.catalog, self.root
        fresh = backing.ids.take()
        chosen = [fresh]

        def index(txn: Txn) -> None:
            row = catalog.partial(txn, root)
            if row is not None:
                if row.size_bytes != self.size_bytes:
                    raise Conflict(
                        f"a transfer of this blob was begun with {row.size_bytes} bytes",
                        where=root.hex(),
                        hint="one of the two sizes is wrong; discard the transfer to begin again",
                    )
                chosen[0] = row.storage_id
            else:
                self._check_quota(txn)
                chosen[0] = fresh
                key = records.id_key(fresh)
                txn.put(key, records.seal(key, root), db=catalog.owners)
            self._put_row(txn, chosen[0])

        try:
            backing.writer.run(index=index)
        finally:
            backing.ids.settle(fresh)
        self._storage_id = chosen[0]

    def _check_quota(self, txn: Txn) -> None:
        quota = self._backing.settings.quota_bytes
        if quota and self._backing.catalog.tally(txn).bytes_ + self.size_bytes > quota:
            raise StoreFull(
                f"the store's quota of {quota} bytes has no room for {self.size_bytes} more",
                where=self.root.hex(),
                hint="remove content and run gc, or raise store.quota_bytes",
            )

    def _put_row(self, txn: Txn, storage_id: int) -> None:
        lease_s = self._backing.settings.lease_s
        now_s = self._backing.clock.now_s()
        row = PartialRow(storage_id, self.size_bytes, int((now_s + lease_s) * 1000))
        txn.put(self.root, records.partial_value(self.root, row), db=self._backing.catalog.partials)
        self._renew_s = now_s + lease_s / 2

    def _load(self) -> None:
        """Learn from the stored trailers what is here; a segment that fails its checksums is not."""
        prefix = records.id_key(self._storage_id)
        with self._backing.bulk.reading() as txn:
            cursor = txn.cursor()
            found = cursor.set_range(prefix)
            numbers: list[int] = []
            while found and cursor.key().startswith(prefix):
                numbers.append(stored.KEY.unpack(cursor.key())[1])
                found = cursor.next()
        for number in numbers:
            with self._backing.bulk.reading() as txn:
                value = txn.get(stored.KEY.pack(self._storage_id, number))
            if value is not None and number < segment_count(self.size_bytes):
                self._have[number] = self._intact(number, value)

    # Adding

    def _bytes(self, number: int) -> int:
        return segment_bytes(self.size_bytes, number)

    def _seed(self, number: int) -> int:
        return stored.seed_of(self._storage_id, number)

    def _apart(self, number: int, value: bytes) -> bytes | None:
        """The data of a stored segment that lies in the extent, as far as it is to be had."""
        if not stored.lies_apart(value, self._bytes(number)):
            return None
        base = number * SEGMENT_BYTES
        return self._backing.extents.read(self._storage_id, base, base + self._bytes(number))

    def _intact(self, number: int, value: bytes) -> int:
        """The groups of a stored segment that are here; none when it fails its checksums."""
        size, seed = self._bytes(number), self._seed(number)
        whole = stored.data_intact(value, size, seed, self._apart(number, value))
        return stored.bitmap_of(value) if whole and stored.rest_intact(value, size, seed) else 0

    def _add(self, number: int, start: int, view: memoryview) -> None:
        if number != self._number:
            self._hand_over()
            self._number = number
            self._data = bytearray(self._bytes(number))
            self._bitmap = 0
        self._data[start : start + len(view)] = view
        first, stop = start // GROUP_BYTES, -(-(start + max(1, len(view))) // GROUP_BYTES)
        self._bitmap |= (1 << stop) - (1 << first)
        if self._bitmap == stored.full_bitmap(len(self._data)):
            self._hand_over()

    def _hand_over(self) -> None:
        """Give the segment in memory to the writer; waits only while the writer is behind."""
        self._check()
        if self._number < 0:
            return
        number, data, bitmap = self._number, self._data, self._bitmap
        renew = self._renew if self._backing.clock.now_s() > self._renew_s else None
        # Counted as if all of it went into the map, as it does until the segment is whole.
        job = Job(self._merge(number, data, bitmap), renew, len(data), urgent=False, done=self._stored)
        self._backing.writer.submit(job)
        self._have[number] = self._have.get(number, 0) | bitmap
        self._number, self._data, self._bitmap = -1, bytearray(), 0

    def _stored(self, error: EdgeError | None) -> None:
        if error is not None and self._error is None:
            self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._gone:
            raise Conflict("the transfer was dropped meanwhile", where=self.root.hex(), hint="begin again")

    def _renew(self, txn: Txn) -> None:
        row = self._backing.catalog.partial(txn, self.root)
        if row is not None and row.storage_id == self._storage_id:
            self._put_row(txn, self._storage_id)

    def _merge(self, number: int, added: bytearray, bitmap: int) -> Change:
        """The bulk change that joins `added` with what other calls and processes stored of the segment.

        It looks the transfer up under the bulk write lock: whoever drops it deletes content in a
        later bulk transaction, so nothing can be left behind.
        """
        backing, storage_id = self._backing, self._storage_id
        last = number == segment_count(self.size_bytes) - 1
        key, size = stored.KEY.pack(storage_id, number), len(added)
        apart = self.size_bytes > backing.settings.extent_above_bytes

        def merge(txn: Txn) -> None:
            with backing.index.reading() as index:
                row = backing.catalog.partial(index, self.root)
            if row is None or row.storage_id != storage_id:
                self._gone = True
                return
            data, have = bytearray(added), bitmap
            old = txn.get(key)
            old_bitmap = 0 if old is None else self._intact(number, old)
            if old_bitmap == stored.full_bitmap(size):
                return
            if old is not None:
                for start, stop in _runs(old_bitmap & ~bitmap, size):
                    data[start:stop] = old[start:stop]
                have |= old_bitmap
            nodes = bytes(stored.nodes_bytes(size))
            if have == stored.full_bitmap(size):
                _, nodes = _native.segment(data, number, last and number == 0)
                if apart:
                    backing.extents.write(storage_id, number * SEGMENT_BYTES, data)
                    txn.put(key, stored.sealed_apart(data, nodes, storage_id, number, last=last))
                    return
            txn.put(key, stored.sealed(data, nodes, storage_id, number, last=last, bitmap=have))

        return merge

    def _groups(self) -> Iterator[tuple[int, int]]:
        numbers = set(self._have) | ({self._number} if self._number >= 0 else set())
        for number in sorted(numbers):
            bitmap = self._have.get(number, 0) | (self._bitmap if number == self._number else 0)
            base = number * SEGMENT_BYTES
            for start, stop in _runs(bitmap, self._bytes(number)):
                if start < stop:
                    yield base + start, base + stop

    # Ending

    def _proven_tree(self) -> bytes:
        """The upper nodes, after the whole tree was computed from what is stored. Conflict, Unverified."""
        count = segment_count(self.size_bytes)
        cvs = bytearray()
        for number in range(count):
            value = self._segment(number)
            size = self._bytes(number)
            if value is None or self._intact(number, value) != stored.full_bitmap(size):
                self._have.pop(number, None)
                raise Conflict(
                    f"segment {number} is not here yet",
                    where=self.root.hex(),
                    hint="add what have() does not list",
                )
            nodes = stored.nodes_of(value, size)
            if nodes:
                cvs += _native.parent(nodes[:CV_BYTES], nodes[CV_BYTES : 2 * CV_BYTES], count == 1)
            else:
                data = self._apart(number, value) or value[:size]
                cvs += _native.segment(data, number, count == 1)[0]
        found, upper_nodes = (bytes(cvs), b"") if count == 1 else _native.upper(cvs)
        if found != self.root:
            self.discard()
            raise Unverified(f"what was added hashes to {found.hex()}", where=self.root.hex())
        return upper_nodes

    def _segment(self, number: int) -> bytes | None:
        with self._backing.bulk.reading() as txn:
            return txn.get(stored.KEY.pack(self._storage_id, number))

    def _land(self, upper_nodes: bytes, landing: Landing) -> Put:
        backing, catalog = self._backing, self._backing.catalog
        row = BlobRow(self._storage_id, self.size_bytes, backing.now_ms(), landing.content_type)
        arrived = threading.Event()
        answer: list[Put | EdgeError] = []

        def done(outcome: Put | EdgeError) -> None:
            answer.append(outcome)
            arrived.set()

        def broken(txn: Txn) -> EdgeError | None:
            there = catalog.partial(txn, self.root)
            if there is not None and there.storage_id == self._storage_id:
                return None
            return Conflict("the transfer was dropped meanwhile", where=self.root.hex(), hint="begin again")

        def drop_row(txn: Txn) -> None:
            txn.delete(self.root, db=catalog.partials)

        arrival = Arrival(self.root, row, upper_nodes, broken=broken, also=drop_row)
        submit_landing(backing, arrival, landing, done)
        arrived.wait()
        if isinstance(answer[0], EdgeError):
            raise answer[0]
        return answer[0]


def _runs(bitmap: int, size: int) -> Iterator[tuple[int, int]]:
    """Byte ranges of the groups whose bit is set, one a group; the last may be short."""
    group = 0
    while bitmap >> group:
        if bitmap >> group & 1:
            start = group * GROUP_BYTES
            yield start, max(start, min(size, start + GROUP_BYTES))
        group += 1
