"""The index as operations inside one transaction: blobs, owners, roots, tallies, doomed content.

Nothing here opens or commits: `durable.commit` gives the transaction and orders the commits.
Everything that makes content visible or takes it away goes through `admit` and `withdraw`, so
that the tallies, the owners and the roots can never disagree with the blobs.

Who calls: ingest, partial, store, sweep, quarantine (writes, on the writer thread); reads from anywhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from blockstore import records, upper
from blockstore.records import BlobRow, BlobState, PartialRow, RootKind, Tally
from blockstore.roots import Root, root_from
from durable import Table, Txn
from runtime.errors import BlobDamaged, QuotaExceeded, StoreFull


@dataclass(frozen=True, slots=True)
class Admission:
    """How a blob came in: `already` there whole, or new; `replaced` a broken copy; ids now doomed."""

    already: bool
    replaced: bool
    freed: tuple[int, ...]


_TOTAL: Final = b"total"
_NOTHING: Final = Tally(0, 0)


class Catalog:
    """The tables of the index and what may be done with them."""

    def __init__(self, tables: dict[str, Table]) -> None:
        self.blobs = tables["blobs"]
        self.owners = tables["owners"]
        self.upper = tables["upper"]
        self.roots_table = self.blobs  # the same table: a put then dirties one page of it, not two
        self.partials = tables["partials"]
        self.doomed = tables["doomed"]
        self.damage = tables["damage"]
        self.ranges = tables["ranges"]
        self.usage = tables["usage"]
        self.meta = tables["meta"]
        self.blocks = tables["blocks"]
        self.files = tables["files"]
        self.dagroots = tables["dagroots"]
        self.names = tables["names"]
        self.waiting = tables["waiting"]
        self.origins = tables["origins"]

    # Reading

    def blob(self, txn: Txn, root: bytes) -> BlobRow | None:
        """The row of a blob. BlobDamaged when it does not match its checksum."""
        value = txn.get(root, db=self.blobs)
        return None if value is None else records.blob_row(root, value)

    def partial(self, txn: Txn, root: bytes) -> PartialRow | None:
        """The row of an unfinished transfer."""
        value = txn.get(root, db=self.partials)
        return None if value is None else records.partial_row(root, value)

    def roots(self, txn: Txn, root: bytes) -> list[Root]:
        """All roots of a blob, expired ones too."""
        return [root_from(key, records.root_row(key, value)) for key, value in self._root_rows(txn, root)]

    def block_names(self, txn: Txn, root: bytes) -> Iterator[bytes]:
        """Multihashes of the blocks and files that hold a blob. About 1 us each."""
        prefix = root + bytes((RootKind.BLOCK,))
        cursor = txn.cursor(self.roots_table)
        found = cursor.set_range(prefix)
        while found and (key := cursor.key()).startswith(prefix):
            yield bytes.fromhex(key[len(prefix) :].decode("ascii"))
            found = cursor.next()

    def is_held(self, txn: Txn, root: bytes, now_s: float) -> bool:
        """Whether anything keeps the blob. A root that cannot be read holds: what it said is unknown."""
        for key, value in self._root_rows(txn, root):
            try:
                if root_from(key, records.root_row(key, value)).holds(now_s):
                    return True
            except (BlobDamaged, ValueError):
                return True
        return False

    def _root_rows(self, txn: Txn, root: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = txn.cursor(self.roots_table)
        found = cursor.set_range(root + b"\0")
        while found and cursor.key().startswith(root):
            yield cursor.key(), cursor.value()
            found = cursor.next()

    def damaged_segments(self, txn: Txn, storage_id: int) -> tuple[int, ...]:
        """Segments in quarantine, `upper.UPPER_SEGMENT` for the upper tree."""
        prefix = records.id_key(storage_id)
        cursor = txn.cursor(self.damage)
        found, numbers = cursor.set_range(prefix), []
        while found and cursor.key().startswith(prefix):
            numbers.append(int.from_bytes(cursor.key()[8:12], "big"))
            found = cursor.next()
        return tuple(numbers)

    def tally(self, txn: Txn, account: str | None = None) -> Tally:
        """Blobs of the store and bytes of those present; or blobs and bytes of one account's roots."""
        key = _TOTAL if account is None else b"a/" + account.encode()
        return self._tally(txn, key)

    def _tally(self, txn: Txn, key: bytes) -> Tally:
        """An unreadable tally counts from zero: a number for limits must not make the store unusable."""
        value = txn.get(key, db=self.usage)
        try:
            return _NOTHING if value is None else records.tally_row(key, value)
        except BlobDamaged:
            return _NOTHING

    def owner_of(self, txn: Txn, storage_id: int) -> bytes | None:
        """Hash of the blob or partial that really owns `storage_id`; None when nothing does."""
        key = records.id_key(storage_id)
        value = txn.get(key, db=self.owners)
        if value is None:
            return None
        try:
            root = records.opened(key, value, "owner")
            row = self.blob(txn, root)
            if row is not None and row.storage_id == storage_id and row.state is BlobState.PRESENT:
                return root
            partial = self.partial(txn, root)
        except BlobDamaged:
            return value[:-8]  # unreadable is not unowned: nothing is deleted on a guess
        return root if partial is not None and partial.storage_id == storage_id else None

    def is_in_a_range(self, txn: Txn, storage_id: int) -> bool:
        """Whether a process that has not ended, or was not swept up yet, has taken this id."""
        key = records.id_key(storage_id)
        cursor = txn.cursor(self.ranges)
        found = cursor.set_range(key)
        if not (found and cursor.key() == key) and not (cursor.prev() if found else cursor.last()):
            return False
        try:
            return storage_id < records.range_row(cursor.key(), cursor.value()).stop
        except BlobDamaged:
            return True  # what it said is unknown, so it holds

    # Changing (writer thread)

    def admit(
        self,
        txn: Txn,
        root: bytes,
        row: BlobRow,
        held_by: Root,
        now_s: float,
        *,
        quota_bytes: int,
        account_quota_bytes: int | None,
    ) -> Admission:
        """Make a blob whose segments are committed visible, and held by `held_by`.

        When it was there whole, `row` loses and its storage id is doomed; a damaged or evicted
        copy loses to `row`. Raises StoreFull, QuotaExceeded, before any change.
        """
        try:
            old = self.blob(txn, root)
        except BlobDamaged:
            old = BlobRow(0, row.size_bytes, row.created_ms, row.content_type)  # unreadable: id 0
        whole = (
            old is not None
            and old.state is BlobState.PRESENT
            and old.storage_id not in (0, row.storage_id)
            and not self.damaged_segments(txn, old.storage_id)
        )
        total = self.tally(txn)
        grows = row.size_bytes if old is None or old.state is BlobState.EVICTED else 0
        if quota_bytes and grows and total.bytes_ + grows > quota_bytes:
            raise StoreFull(
                f"the store's quota of {quota_bytes} bytes has no room for {row.size_bytes} more",
                where=root.hex(),
                hint="remove content and run gc, or raise store.quota_bytes",
            )
        self.check_account(txn, root, row.size_bytes, held_by, account_quota_bytes)
        freed = row.storage_id if whole else old.storage_id if old is not None else 0
        if whole:
            self.doom(txn, row.storage_id)
        else:
            if freed:
                self._forget_content(txn, freed)
            self._count(txn, _TOTAL, int(old is None), grows)
            if old is not None:
                kept_type = row.content_type or old.content_type
                row = replace(row, created_ms=old.created_ms, content_type=kept_type)
            txn.put(root, records.blob_value(root, row), db=self.blobs)
            key = records.id_key(row.storage_id)
            txn.put(key, records.seal(key, root), db=self.owners)
        self.put_root(txn, root, held_by, row.size_bytes, now_s)
        return Admission(whole, old is not None and not whole, (freed,) if freed else ())

    def check_room(self, txn: Txn, arrivals: Iterable[tuple[bytes, int]], quota_bytes: int) -> None:
        """StoreFull when blobs of these (hash, size) would take the store above its quota (0: none)."""
        if not quota_bytes:
            return
        sizes = {root: size for root, size in arrivals if txn.get(root, db=self.blobs) is None}
        if self.tally(txn).bytes_ + sum(sizes.values()) > quota_bytes:
            raise StoreFull(
                f"the store's quota of {quota_bytes} bytes has no room for {sum(sizes.values())} more",
                hint="remove content and run gc, or raise store.quota_bytes",
            )

    def count_blobs(self, txn: Txn, count: int, bytes_: int) -> None:
        """Add to the tally of the store what was put on record without `admit`."""
        if count:
            self._count(txn, _TOTAL, count, bytes_)

    def withdraw(self, txn: Txn, root: bytes, row: BlobRow | None) -> int:
        """Make a blob invisible, with its roots; its segments are doomed. Returns how many roots it had.

        `row` None: it could not be read; the sweep of abandoned ids then finds its content.
        """
        keys = [key for key, _ in self._root_rows(txn, root)]
        for key in keys:
            self._drop_root_row(txn, key)
        txn.delete(root, db=self.blobs)
        if row is not None:
            self._count(txn, _TOTAL, -1, -row.size_bytes if row.state is BlobState.PRESENT else 0)
            self._forget_content(txn, row.storage_id)
        return len(keys)

    def evict(self, txn: Txn, root: bytes, row: BlobRow) -> None:
        """Forget the bytes of a present blob and keep its row and roots."""
        self._forget_content(txn, row.storage_id)
        self._count(txn, _TOTAL, 0, -row.size_bytes)
        gone = replace(row, state=BlobState.EVICTED)
        txn.put(root, records.blob_value(root, gone), db=self.blobs)

    def _forget_content(self, txn: Txn, storage_id: int) -> None:
        for segment in self.damaged_segments(txn, storage_id):
            txn.delete(upper.KEY.pack(storage_id, segment), db=self.damage)
        self.doom(txn, storage_id)

    def doom(self, txn: Txn, storage_id: int) -> None:
        """Hand the content of `storage_id` to whoever sweeps; nothing may point at it any more."""
        key = records.id_key(storage_id)
        txn.delete(key, db=self.owners)
        txn.put(key, b"\x01", db=self.doomed)

    def put_root(self, txn: Txn, root: bytes, held_by: Root, size_bytes: int, now_s: float) -> None:
        """Add or renew a root."""
        key = records.root_key(root, held_by.kind, held_by.owner)
        known = txn.get(key, db=self.roots_table) is not None
        if held_by.kind is RootKind.ACCOUNT and not known:
            self._count(txn, b"a/" + held_by.owner.encode(), 1, size_bytes)
        txn.put(key, records.root_value(key, held_by.row(now_s, size_bytes)), db=self.roots_table)

    def drop_root(self, txn: Txn, root: bytes, held_by: Root) -> bool:
        """Remove a root; False when there was none."""
        return self._drop_root_row(txn, records.root_key(root, held_by.kind, held_by.owner))

    def _drop_root_row(self, txn: Txn, key: bytes) -> bool:
        value = txn.get(key, db=self.roots_table)
        if value is None:
            return False
        if key[records.HASH_BYTES] == RootKind.ACCOUNT:
            size = self._root_size(key, value)
            self._count(txn, b"a/" + key[records.HASH_BYTES + 1 :], -1, -size)
        return txn.delete(key, db=self.roots_table)

    def _root_size(self, key: bytes, value: bytes) -> int:
        try:
            return records.root_row(key, value).size_bytes
        except BlobDamaged:
            return 0

    def check_account(self, txn: Txn, root: bytes, size_bytes: int, held_by: Root, quota: int | None) -> None:
        """QuotaExceeded when an account root for this blob would take the account above `quota` bytes."""
        if held_by.kind is not RootKind.ACCOUNT or quota is None:
            return
        if txn.get(records.root_key(root, held_by.kind, held_by.owner), db=self.roots_table) is not None:
            return
        used = self.tally(txn, held_by.owner).bytes_
        if used + size_bytes > quota:
            raise QuotaExceeded(
                f"the account holds {used} bytes; {size_bytes} more would pass its quota of {quota}",
                where=held_by.owner,
                hint="unpin something of this account, or raise the token's quota",
            )

    def _count(self, txn: Txn, key: bytes, count: int, bytes_: int) -> None:
        old = self._tally(txn, key)
        new = Tally(max(0, old.count + count), max(0, old.bytes_ + bytes_))
        txn.put(key, records.tally_value(key, new), db=self.usage)
