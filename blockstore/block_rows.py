"""Rows about IPFS blocks, and what may be done with them inside one transaction.

A block is a slice of a blob between a prefix and a suffix: `prefix + blob[offset:offset+length] + suffix`.
A leaf of a flattened file is a slice of the file's blob; any other block is a blob of its own, whole. Rows
are keyed by multihash, so the v0 and v1 names of a block are one block.

Invariants
 1. A row and its hold on the blob (a root of kind BLOCK behind the blob) are written and dropped in the
    same transaction; the blob's row is there when they are written. So a blob is kept exactly as long as
    a block or a flattened file needs it, by the same sweep as any other.
 2. A row's ordinal is never used twice: the sweep marks by ordinal, and rows made after it began are
    above all that it knows.
"""

import struct
from dataclasses import dataclass, replace
from typing import Final

from blockstore import records
from blockstore.catalog import Catalog
from blockstore.records import BlobState
from blockstore.roots import Root
from content.block import MAX_BLOCK_BYTES
from durable import Txn
from runtime.errors import BlobDamaged

_BLOCK: Final = struct.Struct("<B32sQIQQHH")
_FILE: Final = struct.Struct("<B32sQ")
_VERSION: Final = 1
_LINKS_TO_NOTHING: Final = 0x80  # in the byte of the version; what does not know it reads the block
_ORDINAL: Final = b"next-block-ordinal"
_SERIAL: Final = b"dag-root-serial"
# Framing of a leaf is 14 bytes at most as kubo writes it; what has more is kept as a block of its own
FRAME_BYTES_MAX: Final = 128
_SECOND_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class BlockRow:
    """Where a block's bytes lie. `touched_ms`: when it was last put or asked to stay.

    `is_leaf`: it is known to link to nothing, by whatever codec, so that its bytes need not be here to tell.
    """

    blob: bytes
    offset: int
    length: int
    prefix: bytes = b""
    suffix: bytes = b""
    ordinal: int = 0
    touched_ms: int = 0
    is_leaf: bool = False

    @property
    def size_bytes(self) -> int:
        """Length of the block."""
        return len(self.prefix) + self.length + len(self.suffix)


@dataclass(frozen=True, slots=True)
class FileRow:
    """The blob that is a whole UnixFS file."""

    blob: bytes
    size_bytes: int


def block_value(key: bytes, row: BlockRow) -> bytes:
    """Value of a row of `blocks`."""
    head = _BLOCK.pack(
        _VERSION | (_LINKS_TO_NOTHING if row.is_leaf else 0),
        row.blob,
        row.offset,
        row.length,
        row.ordinal,
        row.touched_ms,
        len(row.prefix),
        len(row.suffix),
    )
    return records.seal(key, head + row.prefix + row.suffix)


def block_row(key: bytes, value: bytes) -> BlockRow:
    """Read a row of `blocks`. Raises BlobDamaged."""
    body = records.opened(key, value, "block")
    try:
        version, blob, offset, length, ordinal, touched_ms, before, after = _BLOCK.unpack_from(body)
    except struct.error as error:
        raise BlobDamaged("a block row cannot be read", where=key.hex()[:80]) from error
    frame = body[_BLOCK.size :]
    prefix, suffix = frame[:before], frame[before : before + after]
    is_leaf = bool(version & _LINKS_TO_NOTHING)
    return BlockRow(blob, offset, length, prefix, suffix, ordinal, touched_ms, is_leaf)


def file_row(key: bytes, value: bytes) -> FileRow:
    """Read a row of `files`. Raises BlobDamaged."""
    _, blob, size = _FILE.unpack(records.opened(key, value, "file"))
    return FileRow(blob, size)


class BlockRows:
    """The tables `blocks` and `files` as operations inside one transaction."""

    def __init__(self, catalog: Catalog, stay_ms: int) -> None:
        """`stay_ms`: how long a block that was put stays without a root."""
        self._catalog = catalog
        self._stay_ms = stay_ms

    # Reading

    def block(self, txn: Txn, multihash: bytes) -> BlockRow | None:
        """The row of a block, whether its blob is here or not."""
        value = txn.get(multihash, db=self._catalog.blocks)
        return None if value is None else block_row(multihash, value)

    def file(self, txn: Txn, multihash: bytes) -> FileRow | None:
        """The flattened file whose root block this is."""
        value = txn.get(multihash, db=self._catalog.files)
        return None if value is None else file_row(multihash, value)

    def readable(self, txn: Txn, multihash: bytes) -> BlockRow | None:
        """As `block`; None also for a row that is damaged, which whoever has the block writes anew."""
        try:
            return self.block(txn, multihash)
        except BlobDamaged:
            return None

    def is_here(self, txn: Txn, row: BlockRow | FileRow | None) -> bool:
        """Whether the bytes that a row points at can be read: present and not in quarantine."""
        if row is None:
            return False
        try:
            blob = self._catalog.blob(txn, row.blob)
        except BlobDamaged:
            return False
        return (
            blob is not None
            and blob.state is BlobState.PRESENT
            and not self._catalog.damaged_segments(txn, blob.storage_id)
        )

    def whole_names(self, txn: Txn, blob: bytes) -> list[bytes]:
        """Multihashes of the files and blocks that are the whole of a blob. About 2 us a leaf in it."""
        row = self._catalog.blob(txn, blob)
        if row is None:
            return []
        found = []
        for multihash in self._catalog.block_names(txn, blob):
            file = self.file(txn, multihash)
            whole = file is not None and file.blob == blob
            if not whole and row.size_bytes <= MAX_BLOCK_BYTES:  # no block is larger
                block = self.block(txn, multihash)
                whole = block is not None and block.blob == blob and block.length == row.size_bytes
            if whole:
                found.append(multihash)
        return found

    def next_ordinal(self, txn: Txn) -> int:
        """The ordinal that the next new row will get."""
        value = txn.get(_ORDINAL, db=self._catalog.meta)
        return int.from_bytes(records.opened(_ORDINAL, value, "meta"), "big") if value else 1

    def serial(self, txn: Txn) -> int:
        """Counts the roots of DAGs that were ever added; a sweep that sees it move looks again."""
        value = txn.get(_SERIAL, db=self._catalog.meta)
        return int.from_bytes(records.opened(_SERIAL, value, "meta"), "big") if value else 0

    # Changing

    def put(self, txn: Txn, multihash: bytes, row: BlockRow, now_ms: int, *, moves: bool = False) -> bool:
        """Put a block on record, unless it is here; then it is touched. `moves`: point it elsewhere anyway.

        The blob of `row` is visible in this transaction. Returns whether the row is the given one now.
        """
        old = self.readable(txn, multihash)  # the hold of one that is damaged only keeps too much
        if old is not None and not moves and self.is_here(txn, old):
            self._touch(txn, multihash, old, now_ms)
            return False
        if old is not None and old.blob != row.blob:
            self._let_go(txn, multihash, old.blob)
        ordinal = old.ordinal if old is not None else self.take_ordinals(txn, 1)
        is_leaf = old is not None and old.is_leaf
        fresh = replace(row, ordinal=ordinal, touched_ms=now_ms, is_leaf=is_leaf)
        txn.put(multihash, block_value(multihash, fresh), db=self._catalog.blocks)
        self._hold(txn, multihash, row.blob, now_ms)
        return True

    def put_new(self, txn: Txn, multihash: bytes, row: BlockRow, ordinal: int, now_ms: int) -> bool:
        """Put a block on record that has no row yet, under an ordinal of `take_ordinals`; else do nothing.

        For a blob that is new in this transaction: the caller has put the hold on it with the blob's row.
        """
        fresh = BlockRow(row.blob, row.offset, row.length, row.prefix, row.suffix, ordinal, now_ms)
        value = block_value(multihash, fresh)
        return txn.put(multihash, value, overwrite=False, db=self._catalog.blocks)

    def put_file(self, txn: Txn, multihash: bytes, row: FileRow, now_ms: int) -> None:
        """Say that the file with this root block is the whole of a blob, and hold it."""
        try:
            old = self.file(txn, multihash)
        except BlobDamaged:
            old = None
        if old is not None and old.blob != row.blob:
            self._let_go(txn, multihash, old.blob)
        body = _FILE.pack(_VERSION, row.blob, row.size_bytes)
        txn.put(multihash, records.seal(multihash, body), db=self._catalog.files)
        self._hold(txn, multihash, row.blob, now_ms)

    def drop_file(self, txn: Txn, multihash: bytes) -> None:
        """Say no longer that this block is the root of a whole blob; its own bytes stay where they are."""
        file, row = self.file(txn, multihash), self.block(txn, multihash)
        if file is not None:
            txn.delete(multihash, db=self._catalog.files)
            if row is None or row.blob != file.blob:
                self._catalog.drop_root(txn, file.blob, Root.block(multihash))

    def touch(self, txn: Txn, multihash: bytes, now_ms: int) -> bool:
        """Ask a block to stay for a while; False when it is not here."""
        row = self.readable(txn, multihash)
        if row is None or not self.is_here(txn, row):
            return False
        self._touch(txn, multihash, row, now_ms)
        return True

    def note_leaf(self, txn: Txn, multihash: bytes) -> None:
        """Put on record that a block links to nothing; the caller has read it."""
        row = self.block(txn, multihash)
        if row is not None and not row.is_leaf:
            value = block_value(multihash, replace(row, is_leaf=True))
            txn.put(multihash, value, db=self._catalog.blocks)

    def drop(self, txn: Txn, multihash: bytes) -> None:
        """Forget a block, and the file it is the root of; both let go of their blobs."""
        row, file = self.block(txn, multihash), self.file(txn, multihash)
        txn.delete(multihash, db=self._catalog.blocks)
        txn.delete(multihash, db=self._catalog.files)
        for blob in {each.blob for each in (row, file) if each is not None}:
            self._catalog.drop_root(txn, blob, Root.block(multihash))

    def count_root(self, txn: Txn) -> None:
        """Note that a root of a DAG was added."""
        number = (self.serial(txn) + 1).to_bytes(8, "big")
        txn.put(_SERIAL, records.seal(_SERIAL, number), db=self._catalog.meta)

    def _touch(self, txn: Txn, multihash: bytes, row: BlockRow, now_ms: int) -> None:
        """A touch of an eighth of the stay ago is as good as one now, and saves the write."""
        if now_ms - row.touched_ms > self._stay_ms // 8:
            newer = replace(row, touched_ms=now_ms)
            txn.put(multihash, block_value(multihash, newer), db=self._catalog.blocks)

    def take_ordinals(self, txn: Txn, count: int) -> int:
        """The first of `count` ordinals in a row, which nobody else gets; they need not be used."""
        ordinal = self.next_ordinal(txn)
        following = (ordinal + count).to_bytes(8, "big")
        txn.put(_ORDINAL, records.seal(_ORDINAL, following), db=self._catalog.meta)
        return ordinal

    def _hold(self, txn: Txn, multihash: bytes, blob: bytes, now_ms: int) -> None:
        size = 0
        row = self._catalog.blob(txn, blob)
        if row is not None:
            size = row.size_bytes
        self._catalog.put_root(txn, blob, Root.block(multihash), size, now_ms / _SECOND_MS)

    def let_go_unused(self, txn: Txn, multihash: bytes, blob: bytes) -> None:
        """Drop the hold on `blob` when no row of this multihash points there: it came for a block that lies
        elsewhere, and nothing else would ever let it go.
        """
        if not self._pointing(txn, multihash, blob):
            self._catalog.drop_root(txn, blob, Root.block(multihash))

    def _let_go(self, txn: Txn, multihash: bytes, blob: bytes) -> None:
        """Drop the hold on `blob`, unless the other row of this multihash still points there."""
        if self._pointing(txn, multihash, blob) <= 1:
            self._catalog.drop_root(txn, blob, Root.block(multihash))

    def _pointing(self, txn: Txn, multihash: bytes, blob: bytes) -> int:
        """How many of the two rows of a multihash point at `blob`; one that is damaged may."""
        count = 0
        for table in (self.block, self.file):
            try:
                row = table(txn, multihash)
            except BlobDamaged:
                count += 1
            else:
                count += row is not None and row.blob == blob
        return count
