"""Everything a store knows by CID: blocks, flattened files, roots of DAGs, IPNS records.

Reads are one or two look-ups and a checked read of the blob the bytes lie in; nothing is hashed again,
because a row exists only for bytes that matched. A bounded memo of where blocks lie is good while the
board's generation stands.

Who calls: gateway (`read`, `slice`, `file`), import and export, retrieval, pinning.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from blockstore import format as store_format
from blockstore import records
from blockstore.backing import Backing
from blockstore.blob import Blob
from blockstore.block_rows import BlockRow, BlockRows
from blockstore.block_slice import Slice
from blockstore.dag_root import DagRoot, cid_key, dag_root, root_key
from blockstore.doomed import clear_soon
from blockstore.health import handle
from blockstore.ingest import Ingest
from blockstore.landings import Landings
from blockstore.records import BlobState
from blockstore.roots import Root
from blockstore.waiting import Waiting
from content.block import Block, BlockMissing
from content.cid import RAW, Cid
from content.multihash import IDENTITY
from durable import Txn
from runtime.errors import BlobDamaged, NotFound

_MEMO: Final = 65_536  # about 600 bytes each
_PAGE: Final = 256
_SECOND_MS: Final = 1000
_FRAGMENT: Final = "fragment"


class Dag:
    """A store by CID. All methods may be called from any thread."""

    def __init__(self, backing: Backing, add_feature: Callable[[int], None]) -> None:
        """`add_feature` marks the store on the disk before the first row of a kind is written."""
        self._backing = backing
        self._add_feature = add_feature
        self.rows = BlockRows(backing.catalog, int(backing.settings.lease_s * _SECOND_MS))
        self.waiting = Waiting(backing.catalog)
        self._memo: dict[bytes, Slice] = {}
        self._memo_generation = 0
        self._marked = threading.Event()

    # Reading

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block. Raises BlockMissing, BlobDamaged. About 8 us for a small one."""
        if cid.multihash[0] == IDENTITY:
            return cid.digest
        found = self.slice(cid)
        if found is None:
            raise BlockMissing(cid)
        try:
            return found.read()
        except NotFound:
            raise BlockMissing(cid) from None

    def read_sound(self, cid: Cid) -> bytes:
        """As `read`; a block that is damaged is missing, and so can be had again."""
        try:
            return self.read(cid)
        except BlobDamaged:
            raise BlockMissing(cid) from None

    def slice(self, cid: Cid) -> Slice | None:
        """Where a block lies; None when it is not here (identity CIDs are nowhere)."""
        generation = self._backing.board.generation()
        if generation != self._memo_generation:
            self._memo, self._memo_generation = {}, generation
        memo = self._memo
        found = memo.get(cid.multihash)
        if found is None:
            found = self.find(cid.multihash)
            if found is not None and not found.blob.damaged_segments:
                while len(memo) >= _MEMO:
                    del memo[next(iter(memo))]
                memo[cid.multihash] = found
        return found

    def find(self, multihash: bytes) -> Slice | None:
        """As `slice`, from the index and not from memory, which may know what was just taken. 8 us."""
        with self._backing.index.reading() as txn:
            row = self.rows.block(txn, multihash)
            blob = None if row is None else self._blob(txn, row.blob)
        if row is None or blob is None:
            return None
        return Slice(blob, row.offset, row.offset + row.length, row.prefix, row.suffix)

    def _blob(self, txn: Txn, root: bytes) -> Blob | None:
        catalog = self._backing.catalog
        row = catalog.blob(txn, root)
        if row is None or row.state is not BlobState.PRESENT:
            return None
        return handle(self._backing, root, row, catalog.damaged_segments(txn, row.storage_id))

    def has(self, cid: Cid) -> bool:
        """Whether the block can be read, as far as is known: not where its bytes are in quarantine."""
        return cid.is_identity or self.sound_slice(cid) is not None

    def is_known(self, cid: Cid) -> bool:
        """Whether the block is on record, whether its bytes can be read or not."""
        with self._backing.index.reading() as txn:
            return txn.get(cid.multihash, db=self._backing.catalog.blocks) is not None

    def size(self, cid: Cid) -> int | None:
        """Length of a block, None when it is not here."""
        if cid.is_identity:
            return len(cid.digest)
        found = self.slice(cid)
        return None if found is None else found.size_bytes

    def file(self, cid: Cid) -> Blob | None:
        """The blob that is the whole file `cid` stands for; None where there is none of that kind."""
        with self._backing.index.reading() as txn:
            row = self.rows.file(txn, cid.multihash)
            if row is not None:
                return self._blob(txn, row.blob)
        if cid.codec == RAW:
            found = self.slice(cid)
            if found is not None and found.start == 0 and found.stop == found.blob.size_bytes:
                return found.blob
        return None

    def was_file(self, cid: Cid) -> bool:
        """Whether it is on record that `cid` was a whole file here, evicted and damaged ones too."""
        with self._backing.index.reading() as txn:
            if self.rows.file(txn, cid.multihash) is not None:
                return True
            row = self.rows.block(txn, cid.multihash) if cid.codec == RAW else None
            blob = None if row is None else self._backing.catalog.blob(txn, row.blob)
            return row is not None and blob is not None and row.length == blob.size_bytes

    def whole_file(self, cid: Cid) -> Blob | None:
        """As `file`; None also where some of it is in quarantine."""
        try:
            blob = self.file(cid)
        except BlobDamaged:
            return None
        return None if blob is None or blob.damaged_segments else blob

    def sound_slice(self, cid: Cid) -> Slice | None:
        """As `slice`; None also where some of it is in quarantine."""
        try:
            found = self.slice(cid)
        except BlobDamaged:
            return None
        return None if found is None or found.is_damaged else found

    def settle(self) -> None:
        """Return when damage that was found until now is on record."""
        self._backing.writer.run()

    def whole_names(self, blob: bytes) -> list[bytes]:
        """Multihashes of all files and blocks that are the whole of a blob."""
        with self._backing.index.reading() as txn:
            return self.rows.whole_names(txn, blob)

    def arrivals(self) -> int:
        """A number that is another one when blocks came that were not here. About 3 us."""
        with self._backing.index.reading() as txn:
            return self.rows.next_ordinal(txn)

    # Putting

    def put(self, blocks: Sequence[Block]) -> None:
        """Store blocks that are not here, each as a blob of its own; durable when it returns.

        They stay for the store's lease, longer only under a root. Raises StoreFull.
        """
        waiting = Landings()
        for block in blocks:
            self.put_soon(block, waiting)
        waiting.wait()

    def put_soon(self, block: Block, landings: Landings, *, moves: bool = False) -> bool:
        """As `put` for one block, not waiting: `landings` collects how it ends. False when it is here."""
        if block.cid.is_identity:
            return False
        if not moves and self.touch(block.cid):
            return False
        self.mark_store()
        ingest = Ingest(self._backing, None, len(block.data))
        ingest.write(block.data)
        row = BlockRow(bytes(32), 0, len(block.data))
        multihash = block.cid.multihash

        def also(txn: Txn, root: bytes) -> None:
            if self.rows.put(txn, multihash, in_blob(row, root), self._backing.now_ms()):
                self.waiting.arrived(txn, multihash)
            else:
                self.rows.let_go_unused(txn, multihash, root)  # somebody else's commit came first

        ingest.finish_soon(landings.expect(), root=Root.block(multihash), also=also)
        return True

    def touch(self, cid: Cid) -> bool:
        """Whether the block is here; if so it stays for another lease. Cheap when it was touched lately."""
        with self._backing.index.reading() as txn:
            row = self.rows.readable(txn, cid.multihash)
            if row is None or not self.rows.is_here(txn, row):
                return False
            fresh = self._backing.now_ms() - row.touched_ms < self._backing.settings.lease_s * _SECOND_MS / 2
        if not fresh:
            touched: list[bool] = []

            def index(txn: Txn) -> None:
                touched[:] = [self.rows.touch(txn, cid.multihash, self._backing.now_ms())]

            self._backing.writer.run(index=index)
            return touched[0]
        return True

    def wait_for(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Note (missing block, root of the file that lacks it) pairs by multihash; durable on return."""
        if pairs:
            self.mark_store()
            self._backing.writer.run(index=lambda txn: self.waiting.note(txn, pairs))

    def now_ms(self) -> int:
        """Milliseconds since the epoch, by the store's clock."""
        return self._backing.now_ms()

    def fragment_lease(self) -> Root:
        """What keeps the pieces of a file until it is whole."""
        return Root.lease(self._backing.clock.now_s() + self._backing.settings.lease_s, _FRAGMENT)

    def blobs_of(self, txn: Txn, multihashes: Iterable[bytes]) -> set[bytes]:
        """The blobs in which these blocks, or the files they are roots of, lie."""
        found = set()
        for each in multihashes:
            rows = (self.rows.block(txn, each), self.rows.file(txn, each))
            found |= {row.blob for row in rows if row is not None}
        return found

    def release(self, txn: Txn, blobs: Iterable[bytes]) -> list[int]:
        """Remove those blobs that nothing keeps but a fragment's lease; returns the storage ids to clear."""
        catalog, now_s = self._backing.catalog, self._backing.clock.now_s()
        freed = []
        for blob in blobs:
            catalog.drop_root(txn, blob, Root.lease(0, _FRAGMENT))
            row = catalog.blob(txn, blob)
            if row is not None and not catalog.is_held(txn, blob, now_s):
                catalog.withdraw(txn, blob, row)
                freed.append(row.storage_id)
        return freed

    def freed(self, storage_ids: Sequence[int]) -> None:
        """What `release` removed is committed: void memoised decisions, then clear the content."""
        self._backing.board.bump()
        clear_soon(self._backing, storage_ids)

    def new_ingest(self, size_hint: int | None = None) -> Ingest:
        """A blob on its way in, for `flat` and `importing`."""
        return Ingest(self._backing, None, size_hint)

    def mark_store(self) -> None:
        """Say on the disk that blobs are held by blocks; once a store."""
        if not self._marked.is_set():
            self._add_feature(store_format.FEATURE_BLOCKS)
            self._marked.set()

    # Roots

    def pin(self, cid: Cid, root: Root) -> None:
        """Keep `cid` and all it links to; the DAG may still be incomplete. Durable when it returns."""
        self.mark_store()
        self._backing.writer.run(index=lambda txn: self.put_roots(txn, [DagRoot(cid, root)]))

    def put_roots(self, txn: Txn, roots: Iterable[DagRoot]) -> None:
        """`pin` as a part of a larger change; `mark_store` came before it."""
        now_s = self._backing.clock.now_s()
        for each in roots:
            key = root_key(each.cid, each.root)
            value = records.root_value(key, each.root.row(now_s, 0))
            txn.put(key, value, db=self._backing.catalog.dagroots)
        self.rows.count_root(txn)

    def unpin(self, cid: Cid, root: Root) -> bool:
        """Drop one root of a DAG; False when there was none. The next gc takes what nothing else keeps."""
        dropped = [False]

        def index(txn: Txn) -> None:
            dropped[0] = self.drop_root(txn, cid, root)

        self._backing.writer.run(index=index, frees=True)
        return dropped[0]

    def drop_root(self, txn: Txn, cid: Cid, root: Root) -> bool:
        """`unpin` as a part of a larger change."""
        return txn.delete(root_key(cid, root), db=self._backing.catalog.dagroots)

    def unpin_expired(self, found: DagRoot) -> bool:
        """Drop a root if it still is over; False when it was renewed or dropped meanwhile."""
        key = root_key(found.cid, found.root)
        dropped = [False]

        def index(txn: Txn) -> None:
            table, now_s = self._backing.catalog.dagroots, self._backing.clock.now_s()
            value = txn.get(key, db=table)
            over = value is not None and not dag_root(key, value).root.holds(now_s)
            dropped[0] = over and txn.delete(key, db=table)

        self._backing.writer.run(index=index, frees=True)
        return dropped[0]

    def roots(self, after: bytes = b"") -> Iterator[DagRoot]:
        """Every root of a DAG, expired ones too; holds no snapshot between two pages."""
        while page := self._root_page(after):
            for key, found in page:
                yield found
                after = key

    def _root_page(self, after: bytes) -> list[tuple[bytes, DagRoot]]:
        page: list[tuple[bytes, DagRoot]] = []
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(self._backing.catalog.dagroots)
            more = cursor.set_range(after + b"\0") if after else cursor.first()
            while more and len(page) < _PAGE:
                key = cursor.key()
                page.append((key, dag_root(key, cursor.value())))
                more = cursor.next()
        return page

    def roots_of(self, cid: Cid) -> list[Root]:
        """Why a DAG is kept; expired roots are not listed."""
        prefix = cid_key(cid)
        now_s = self._backing.clock.now_s()
        found = []
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(self._backing.catalog.dagroots)
            more = cursor.set_range(prefix)
            while more and cursor.key().startswith(prefix):
                root = dag_root(cursor.key(), cursor.value()).root
                if root.holds(now_s):
                    found.append(root)
                more = cursor.next()
        return found

    # Names

    def put_record(self, name: bytes, record: bytes) -> None:
        """Keep the newest record of an IPNS name (its multihash); the caller has verified it."""
        self.mark_store()

        def index(txn: Txn) -> None:
            txn.put(name, records.seal(name, record), db=self._backing.catalog.names)

        self._backing.writer.run(index=index)
        self._backing.board.bump()

    def record(self, name: bytes) -> bytes | None:
        """The record kept for an IPNS name."""
        with self._backing.index.reading() as txn:
            value = txn.get(name, db=self._backing.catalog.names)
        return None if value is None else records.opened(name, value, "name")

    def record_names(self) -> list[bytes]:
        """Multihashes of all IPNS names with a record."""
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(self._backing.catalog.names)
            found, more = [], cursor.first()
            while more:
                found.append(cursor.key())
                more = cursor.next()
        return found


def in_blob(row: BlockRow, blob: bytes) -> BlockRow:
    """The row, now that the blob's name is known."""
    return BlockRow(blob, row.offset, row.length, row.prefix, row.suffix)
