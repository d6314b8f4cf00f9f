"""Small files and blocks that land together: one change of the store for many of them.

A blob of at most one segment needs no stream of its own. The caller's threads hash and seal such blobs, a
bundle carries them to the writer as one job, and what can be worked out beforehand (names, checksums, rows)
is, so that the writer, which everything passes, has little left to do for each: about 15 us.

The data of larger ones among files that were read together goes to packs before that, from the thread that
read it: then the job carries a row each.

What becomes visible, when, and by which rows is what `ingest`, `landing` and `flat` say for single ones.
Called by `add`, from several threads, each with a bundle of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from blockstore import records
from blockstore import segment as stored
from blockstore.backing import Backing
from blockstore.block_rows import BlockRow, FileRow
from blockstore.dag import in_blob
from blockstore.landing import Put, give_up, is_whole_in
from blockstore.landings import Landings
from blockstore.records import BlobRow, RootKind, RootRow
from blockstore.roots import Root
from blockstore.store import Store
from content.bao import _native
from content.bao.geometry import SEGMENT_BYTES
from content.block import Block
from durable import SLOT_BYTES, SLOTS, Job, Txn, translated
from runtime.errors import EdgeError

# Room behind a file's bytes for what is sealed to them: a buffer made with it is never moved
SEAL_BYTES: Final = stored.value_bytes(SEGMENT_BYTES) - SEGMENT_BYTES
# Smaller ones are sent from LMDB's map in one native turn, and their pages are few (docs/decisions/0022)
PACK_ABOVE_BYTES: Final = 32 << 10
_PARCEL_BYTES: Final = 2048  # of memory for what is known of one blob until it is committed


@dataclass(frozen=True, slots=True)
class _Held:
    """Content in memory, alone."""

    data: bytearray
    nodes: bytes

    def value(self, storage_id: int) -> bytearray:
        """The stored value; the data is taken."""
        return stored.sealed(self.data, self.nodes, storage_id, 0, last=True)


@dataclass(frozen=True, slots=True)
class _Among:
    """Content of one of several files that were read together."""

    files: _native.SmallFiles
    place: int
    nodes: bytes

    def value(self, storage_id: int) -> bytearray:
        """The stored value, of a copy."""
        return stored.sealed(self.files.data(self.place), self.nodes, storage_id, 0, last=True)


_Content: TypeAlias = _Held | _Among
Value: TypeAlias = bytes | bytearray


@dataclass(frozen=True, slots=True)
class _Placed:
    """A block in a blob, and the row by which it holds the blob."""

    multihash: bytes
    row: BlockRow
    hold_key: bytes
    hold_value: bytes


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One blob, without its bytes."""

    blob: bytes
    row: BlobRow
    key: bytes
    blob_value: bytes
    placed: tuple[_Placed, ...]
    file: bytes | None

    def is_told_by(self, placed: _Placed) -> bool:
        """Whether the row of a block says by itself that the blob is the whole file."""
        row = placed.row
        return placed.multihash == self.file and row.length == self.row.size_bytes == row.size_bytes


class Bundle:
    """Blobs on their way in. One thread fills and submits it."""

    def __init__(self, store: Store, landings: Landings) -> None:
        self._store = store
        self._landings = landings
        self._parcels: list[_Parcel] = []
        self._contents: list[_Content] = []
        self._known: set[tuple[bytes, bytes | None]] = set()
        self._ids: list[int] = []
        self.held_bytes = 0

    def expect(self, count: int) -> None:
        """So many blobs are about to come: their ids are taken at once, and lie beside one another."""
        self._ids = self._store.backing.ids.take_many(count)[::-1]

    def put(self, data: bytearray, rows: Sequence[tuple[bytes, BlockRow]], file: bytes | None = None) -> None:
        """A blob of at most one segment; `data` is taken, not copied. Raises StoreFull.

        `rows`: multihashes of the blocks that lie in it, and where; one at least. `file`: multihash of the
        root of the UnixFS file that it is.
        """
        blob, nodes = _native.segment(data, 0, True)
        self._put(blob, len(data), rows, file, _Held(data, nodes))

    def put_read(
        self,
        files: _native.SmallFiles,
        place: int,
        blob: bytes,
        nodes: bytes,
        size_bytes: int,
        rows: Sequence[tuple[bytes, BlockRow]],
        file: bytes,
    ) -> None:
        """As `put`, of file `place` of those read together, whose BLAKE3 and nodes were told."""
        self._put(blob, size_bytes, rows, file, _Among(files, place, nodes))

    def _put(
        self,
        blob: bytes,
        size: int,
        rows: Sequence[tuple[bytes, BlockRow]],
        file: bytes | None,
        content: _Content,
    ) -> None:
        name = (blob, file or rows[0][0])
        if name in self._known:
            return
        self._known.add(name)
        backing = self._store.backing
        storage_id = self._ids.pop() if self._ids else backing.ids.take()
        now_s = backing.clock.now_s()
        row = BlobRow(storage_id, size, int(now_s * 1000))
        held = Root(RootKind.BLOCK).row(now_s, size)
        placed = tuple([_placed(multihash, in_blob(each, blob), held) for multihash, each in rows])
        key = stored.KEY.pack(storage_id, 0)
        blob_value = records.blob_value(blob, row)
        self._parcels.append(_Parcel(blob, row, key, blob_value, placed, file))
        self._contents.append(content)
        self.held_bytes += size

    def block(self, block: Block) -> None:
        """A block that is a blob of its own, unless it is here."""
        if block.cid.is_identity or self._store.dag.touch(block.cid):
            return
        if len(block.data) > SEGMENT_BYTES:
            self._store.dag.put_soon(block, self._landings)
            return
        data = bytearray(block.data)
        self.put(data, [(block.cid.multihash, BlockRow(bytes(32), 0, len(data)))])

    def submit(self, *, urgent: bool = False) -> None:
        """Send off what is in it; the landings learn how it ends. `urgent`: somebody waits for that.

        Waits while the store is behind. Raises Interrupted when it is closing.
        """
        if not self._parcels:
            if urgent:
                self._store.backing.writer.submit(Job())  # what others submitted lingers no longer
            return
        self._store.dag.mark_store()
        backing = self._store.backing
        spare: dict[bytes, _Content] = {}
        fresh: list[tuple[_Parcel, _Content]] = []
        with backing.index.reading() as txn:
            for each, content in zip(self._parcels, self._contents, strict=True):
                if is_whole_in(txn, backing.catalog, each.blob):
                    spare[each.key] = content
                else:
                    fresh.append((each, content))
        values = _in_packs(backing, fresh)
        slots = tuple(each.row.storage_id for each, _ in fresh if each.key in values)
        for each, content in fresh:
            if each.key not in values:
                values[each.key] = content.value(each.row.storage_id)
        shipment = _Shipment(self._store, self._landings, self._parcels, spare, slots)
        shipment.send(values, urgent=urgent, wait=True)
        backing.ids.settle(*self._ids)
        self._parcels, self._contents, self._known = [], [], set()
        self._ids, self.held_bytes = [], 0


def _in_packs(backing: Backing, fresh: Sequence[tuple[_Parcel, _Content]]) -> dict[bytes, Value]:
    """Write what belongs there to packs; the stored values of that, by key. Raises EdgeError."""
    todo = [
        (parcel, content)
        for parcel, content in fresh
        if isinstance(content, _Among) and parcel.row.size_bytes > PACK_ABOVE_BYTES
    ]
    if not todo:
        return {}
    numbers = [parcel.row.storage_id for parcel, _ in todo]
    packs = backing.packs.to_write(numbers, sum(parcel.row.size_bytes for parcel, _ in todo))
    if packs is None:
        return {}
    values: dict[bytes, Value] = {}
    try:
        for files in {content.files for _, content in todo}:
            those = [(parcel, content) for parcel, content in todo if content.files is files]
            places = [
                (
                    content.place,
                    packs[parcel.row.storage_id // SLOTS].fd,
                    parcel.row.storage_id % SLOTS * SLOT_BYTES,
                    stored.seed_of(parcel.row.storage_id, 0),
                )
                for parcel, content in those
            ]
            for (parcel, content), checksum in zip(
                those, files.store(places, backing.packs.synced), strict=True
            ):
                size, storage_id = parcel.row.size_bytes, parcel.row.storage_id
                values[parcel.key] = stored.sealed_packed(size, checksum, content.nodes, storage_id)
    except OSError as error:
        for number in numbers:
            give_up(backing, number)
        raise translated(error, "packs") from error
    backing.packs.wrote(numbers)
    return values


def _placed(multihash: bytes, row: BlockRow, held: RootRow) -> _Placed:
    key = records.root_key(row.blob, RootKind.BLOCK, multihash.hex())
    return _Placed(multihash, row, key, records.root_value(key, held))


class _Shipment:
    """A submitted bundle: its two changes, and what is to be done when they are committed.

    `spare`: content that was found in the store, by key; it is only sent if that vanishes. `slots`: ids
    whose data is in packs by now.
    """

    def __init__(
        self,
        store: Store,
        landings: Landings,
        parcels: Sequence[_Parcel],
        spare: dict[bytes, _Content],
        slots: Sequence[int] = (),
    ) -> None:
        self._store = store
        self._dag = store.dag
        self._backing = store.backing
        self._landings = landings
        self._parcels = parcels
        self._spare = spare
        self._slots = slots
        self._ended = landings.expect()
        self._lost: list[_Parcel] = []
        self._freed: list[int] = []
        self._replaced = False

    def send(self, values: dict[bytes, Value], *, urgent: bool, wait: bool) -> None:
        """Hand over `values`, what is not here by its key; they are let go of when they are committed."""
        held_bytes = sum(len(value) for value in values.values()) + len(self._parcels) * _PARCEL_BYTES
        held_bytes += sum(each.row.size_bytes for each in self._parcels if each.key in self._spare)

        def bulk(txn: Txn) -> None:
            self._backing.packs.check(self._slots)
            for key, value in values.items():
                txn.put(key, value)

        job = Job(bulk, self._index, held_bytes, urgent=urgent, done=self._done)
        try:
            self._backing.writer.submit(job, wait=wait)
        except EdgeError as error:
            self._ended(error)
            raise

    def _index(self, txn: Txn) -> None:
        self._lost, self._freed, self._replaced = [], [], False
        catalog = self._backing.catalog
        sent = [each for each in self._parcels if each.key not in self._spare]
        sizes = ((each.blob, each.row.size_bytes) for each in sent)
        catalog.check_room(txn, sizes, self._backing.settings.quota_bytes)
        ordinal = self._dag.rows.take_ordinals(txn, sum(len(each.placed) for each in sent))
        now_ms = self._dag.now_ms()
        awaited = self._dag.waiting.any(txn)
        count = bytes_ = 0
        for each in self._parcels:
            is_sent = each.key not in self._spare
            if is_sent and self._put_new(txn, each, ordinal, now_ms, awaited=awaited):
                ordinal += len(each.placed)
                count, bytes_ = count + 1, bytes_ + each.row.size_bytes
            else:
                self._add_to(txn, each, now_ms, is_sent=is_sent)
        catalog.count_blobs(txn, count, bytes_)

    def _put_new(self, txn: Txn, parcel: _Parcel, ordinal: int, now_ms: int, *, awaited: bool) -> bool:
        """A blob that nobody has yet, with what lies in it; False, and nothing done, when somebody has."""
        catalog, rows = self._backing.catalog, self._dag.rows
        if not txn.put(parcel.blob, parcel.blob_value, overwrite=False, db=catalog.blobs):
            return False
        id_key = records.id_key(parcel.row.storage_id)
        txn.put(id_key, records.seal(id_key, parcel.blob), db=catalog.owners)
        told = parcel.file is None
        for number, each in enumerate(parcel.placed, ordinal):
            if rows.put_new(txn, each.multihash, each.row, number, now_ms):
                txn.put(each.hold_key, each.hold_value, db=catalog.roots_table)
                told = told or parcel.is_told_by(each)
            else:
                rows.put(txn, each.multihash, each.row, now_ms)
            if awaited:
                self._dag.waiting.arrived(txn, each.multihash)
        if not told and parcel.file is not None:
            rows.put_file(txn, parcel.file, FileRow(parcel.blob, parcel.row.size_bytes), now_ms)
        return True

    def _add_to(self, txn: Txn, parcel: _Parcel, now_ms: int, *, is_sent: bool) -> None:
        """A blob that somebody has put before, perhaps a moment ago: only what is known of it grows."""
        catalog, rows = self._backing.catalog, self._dag.rows
        held_by = Root.block(parcel.file or parcel.placed[0].multihash)
        size, now_s = parcel.row.size_bytes, self._backing.clock.now_s()
        if is_sent:
            admission = catalog.admit(
                txn, parcel.blob, parcel.row, held_by, now_s, quota_bytes=0, account_quota_bytes=None
            )
            self._freed += admission.freed
            self._replaced = self._replaced or admission.replaced
        elif not is_whole_in(txn, catalog, parcel.blob):
            self._lost.append(parcel)
            return
        told = parcel.file is None
        for each in parcel.placed:
            if rows.put(txn, each.multihash, each.row, now_ms):
                self._dag.waiting.arrived(txn, each.multihash)
            if parcel.is_told_by(each):
                block = rows.block(txn, each.multihash)
                told = block is not None and block.blob == parcel.blob
        if not told and parcel.file is not None:
            rows.put_file(txn, parcel.file, FileRow(parcel.blob, size), now_ms)

    def _done(self, error: EdgeError | None) -> None:
        if error is not None:
            for each in self._parcels:
                give_up(self._backing, each.row.storage_id)
        else:
            lost = {each.row.storage_id for each in self._lost}
            self._backing.ids.settle(*{each.row.storage_id for each in self._parcels} - lost)
            if self._replaced:
                self._backing.board.bump()
            if self._freed:
                self._dag.freed(self._freed)
            self._send_lost()
        self._ended(error or Put(self._parcels[0].blob, self._parcels[0].row.size_bytes, False))

    def _send_lost(self) -> None:
        """What was here and went away meanwhile is sent after all."""
        if not self._lost:
            return
        values: dict[bytes, Value] = {
            each.key: self._spare[each.key].value(each.row.storage_id) for each in self._lost
        }
        again = _Shipment(self._store, self._landings, self._lost, {})
        again.send(values, urgent=True, wait=False)
