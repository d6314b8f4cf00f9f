"""A store: opening it, and everything one can ask of it. The words callers use; the work is elsewhere.

One `Store` a process and data folder; any number of processes. Calls block for a commit where
they say so; none holds a transaction when it returns. All methods may be called from any thread.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from blockstore import format as store_format
from blockstore.backing import Backing
from blockstore.blob import Blob
from blockstore.catalog import Catalog
from blockstore.checked import CheckedMemo
from blockstore.dag import Dag
from blockstore.doomed import clear_soon
from blockstore.health import Damage, Scrub, ScrubReport, Verified, damage, handle, verify
from blockstore.ids import StorageIds
from blockstore.index_rows import IndexRows
from blockstore.ingest import Ingest
from blockstore.landing import Put
from blockstore.leaf_notes import note_leaves_of
from blockstore.origin_book import OriginBook
from blockstore.partial import Partial
from blockstore.records import HASH_BYTES, TABLES, BlobRow, BlobState, RootKind
from blockstore.roots import LOCAL_PIN, Root
from blockstore.settings import StoreSettings
from blockstore.stat import BlobStat, StoreUsage, page_of, stat_of, usage_of
from blockstore.sweep import Sweep, SweepReport
from content.bao.geometry import SEGMENT_BYTES
from durable import Durability, Environment, Extents, GroupWriter, Packs, Txn, reserve_file, translated
from runtime.board import Board
from runtime.clock import Clock, SystemClock
from runtime.errors import BlobDamaged, Conflict, EdgeError, NotFound

_DEFAULT_SETTINGS: Final = StoreSettings()
_SYSTEM_CLOCK: Final = SystemClock()


class Store:
    """An open store."""

    def __init__(self, backing: Backing, fmt: store_format.Format) -> None:
        self.backing = backing
        self.board = backing.board
        self.settings = backing.settings
        self.format = fmt
        self.dag = Dag(backing, self._add_feature)
        self.origins = OriginBook(backing)
        self.index = IndexRows(backing)

    @classmethod
    def open(
        cls,
        data: Path,
        settings: StoreSettings = _DEFAULT_SETTINGS,
        clock: Clock = _SYSTEM_CLOCK,
        *,
        create: bool = True,
    ) -> "Store":
        """Open the store in folder `data`, making it when missing and `create`.

        Raises NewerFormat, BlobDamaged, UsageError (also when this process has it open), StoreFull.
        """
        data = Path(data)
        fmt = store_format.read_or_create(data, create=create, now_ms=int(clock.now_s() * 1000))
        opened: list[Environment] = []
        try:
            (data / "run").mkdir(mode=0o700, exist_ok=True)
            opened.append(
                Environment.open(
                    data / "index",
                    map_bytes=settings.index_map_bytes,
                    tables=TABLES,
                    durability=settings.durability,
                    lazy_meta=True,
                    max_readers=settings.max_readers,
                )
            )
            opened.append(
                Environment.open(
                    data / "bulk",
                    map_bytes=settings.bulk_map_bytes,
                    durability=settings.durability,
                    max_readers=settings.max_readers,
                )
            )
            board = Board(data / "run" / "board")
            reserve_file(data / "run" / "board", 0)
        except (OSError, EdgeError) as error:
            for environment in opened:
                environment.close()
            raise translated(error, os.fspath(data)) from error
        return cls(_backing(data, settings, clock, board, opened[0], opened[1]), fmt)

    def _add_feature(self, feature: int) -> None:
        if not self.format.needed_features & feature:
            self.format = store_format.add_feature(self.backing.index.path.parent, feature)

    def close(self) -> None:
        """Commit what is queued and close. No other thread may still be reading."""
        backing = self.backing
        backing.writer.close()
        backing.ids.close()
        backing.extents.close()
        backing.packs.close()
        backing.bulk.close()
        backing.index.close()
        backing.board.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # Reading

    def stat(self, root: bytes) -> BlobStat | None:
        """What is known of a blob, None when nothing. BlobDamaged when its row cannot be read."""
        with self.backing.index.reading() as txn:
            row = self.backing.catalog.blob(txn, root)
            return None if row is None else stat_of(self.backing.catalog, txn, root, row)

    def list(self, after: bytes = b"") -> Iterator[BlobStat]:
        """Every blob in hash order from just above `after`; holds no snapshot between two of them."""
        page = page_of(self.backing, after)
        while page:
            yield from page
            page = page_of(self.backing, page[-1].hash)

    def blob(self, root: bytes) -> Blob:
        """A handle on a present blob; 5 us. Raises NotFound (also when evicted), BlobDamaged (its row)."""
        backing = self.backing
        with backing.index.reading() as txn:
            row = backing.catalog.blob(txn, root)
            damaged = () if row is None else backing.catalog.damaged_segments(txn, row.storage_id)
        if row is None:
            raise NotFound("nothing is stored under this hash", where=root.hex())
        if row.state is not BlobState.PRESENT:
            raise NotFound("the blob was evicted from this store", where=root.hex(), hint="put it again")
        return handle(backing, root, row, damaged)

    def remembers(self, root: bytes) -> bool:
        """Whether a blob is on record, its bytes here, evicted or damaged; not after `rm` and gc. 3 us."""
        with self.backing.index.reading() as txn:
            try:
                return self.backing.catalog.blob(txn, root) is not None
            except BlobDamaged:
                return True

    def roots(self, root: bytes) -> Sequence[Root]:
        """Why a blob is kept; expired roots are not listed."""
        now_s = self.backing.clock.now_s()
        with self.backing.index.reading() as txn:
            return [each for each in self.backing.catalog.roots(txn, root) if each.holds(now_s)]

    def account_bytes(self, account: str) -> int:
        """Bytes that an account's roots hold here, each blob counted once; what its quota limits."""
        with self.backing.index.reading() as txn:
            return self.backing.catalog.tally(txn, account).bytes_

    # Putting

    def ingest(self, *, expected: bytes | None = None, size_hint: int | None = None) -> Ingest:
        """Begin a blob. `expected`: its name, else Unverified at the end. Raises StoreFull (quota)."""
        return Ingest(self.backing, expected, size_hint)

    def put_bytes(
        self, data: bytes, *, root: Root | None = LOCAL_PIN, content_type: str | None = None, pin: bool = True
    ) -> Put:
        """Store `data` and wait until it is durable."""
        with self.ingest(size_hint=len(data)) as ingest:
            ingest.write(data)
            return ingest.finish(root=root if pin else None, content_type=content_type)

    def put_file(
        self,
        path: Path | IO[bytes],
        *,
        root: Root | None = LOCAL_PIN,
        content_type: str | None = None,
        pin: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> Put:
        """Store a file, or an open binary file read to its end; `progress` hears the bytes so far.

        Raises UsageError when it cannot be read, StoreFull.
        """
        if not isinstance(path, (str, os.PathLike)):
            return self._put_stream(path, root if pin else None, content_type, progress)
        try:
            with open(path, "rb", buffering=0) as file:
                return self._put_stream(file, root if pin else None, content_type, progress)
        except OSError as error:
            raise translated(error, os.fspath(path)) from error

    def _put_stream(
        self,
        file: IO[bytes],
        root: Root | None,
        content_type: str | None,
        progress: Callable[[int], None] | None,
    ) -> Put:
        buffer = bytearray(4 * SEGMENT_BYTES)
        readinto: Callable[[bytearray], int | None] = file.readinto  # type: ignore[attr-defined]
        with self.ingest() as ingest, memoryview(buffer) as view:
            while got := readinto(buffer):
                ingest.write(view[:got])
                if progress is not None:
                    progress(ingest.size_bytes)
            return ingest.finish(root=root, content_type=content_type)

    def partial(self, root: bytes, size_bytes: int) -> Partial:
        """Begin or go on with a transfer whose ranges arrive verified, in any order.

        Raises Conflict when it was begun with another size, StoreFull.
        """
        return Partial(self.backing, root, size_bytes)

    # Keeping and letting go

    def pin(self, root: bytes, name: str = "") -> None:
        """Keep a blob under a local pin called `name`. Raises NotFound."""
        self.add_root(root, Root.pin(name))

    def unpin(self, root: bytes, name: str | None = None) -> int:
        """Remove the local pin called `name`, or all local pins; returns how many there were."""
        catalog = self.backing.catalog
        dropped = [0]

        def index(txn: Txn) -> None:
            pins = [each for each in catalog.roots(txn, root) if each.kind is RootKind.PIN]
            chosen = [each for each in pins if name is None or each.owner == name]
            dropped[0] = sum(catalog.drop_root(txn, root, each) for each in chosen)

        self.backing.writer.run(index=index, frees=True)
        return dropped[0]

    def add_root(self, root: bytes, held_by: Root, *, quota_bytes: int | None = None) -> None:
        """Add or renew a root of a blob. Raises NotFound, QuotaExceeded (the account's `quota_bytes`)."""
        backing = self.backing

        def index(txn: Txn) -> None:
            row = _needed(backing, txn, root)
            backing.catalog.check_account(txn, root, row.size_bytes, held_by, quota_bytes)
            backing.catalog.put_root(txn, root, held_by, row.size_bytes, backing.clock.now_s())

        backing.writer.run(index=index)

    def drop_root(self, root: bytes, held_by: Root) -> bool:
        """Remove the root of that kind and owner; False when there was none."""
        dropped = [False]

        def index(txn: Txn) -> None:
            dropped[0] = self.backing.catalog.drop_root(txn, root, held_by)

        self.backing.writer.run(index=index, frees=True)
        return dropped[0]

    def rm(self, root: bytes, force: bool = False) -> None:
        """Remove a blob with its local pins and leases; when this returns no process serves it.

        Its space is freed right after. Raises NotFound; Conflict while an account holds it, unless `force`.
        """
        backing = self.backing
        freed: list[int] = []

        def index(txn: Txn) -> None:
            freed.clear()
            try:
                row: BlobRow | None = _needed(backing, txn, root)
            except BlobDamaged:
                row = None  # its row cannot be read: removing is the way out
            if not force:
                _refuse_if_held(backing, txn, root)
            backing.catalog.withdraw(txn, root, row)
            if row is not None:
                freed.append(row.storage_id)

        backing.writer.run(index=index, frees=True)
        self.board.bump()
        clear_soon(backing, freed)

    def evict(self, root: bytes) -> None:
        """Drop the bytes of a blob, keep its name, type and roots. Raises NotFound."""
        backing = self.backing
        note_leaves_of(backing, self.dag, root)
        freed: list[int] = []

        def index(txn: Txn) -> None:
            freed.clear()
            row = _needed(backing, txn, root)
            if row.state is BlobState.PRESENT:
                backing.catalog.evict(txn, root, row)
                freed.append(row.storage_id)

        backing.writer.run(index=index, frees=True)
        self.board.bump()
        clear_soon(backing, freed)

    # Looking after itself

    def sweep_steps(self) -> Iterator[SweepReport]:
        """Remove what nothing keeps, one short step at a time; yields the running report after each.

        May be given up after any step. Never blocks readers; writers wait for about `step_s`.
        """
        return Sweep(self.backing, self.dag).steps()

    def sweep(self) -> SweepReport:
        """A whole sweep."""
        report = SweepReport()
        for report in self.sweep_steps():  # noqa: B007  the last report is the result
            pass
        return report

    def scrub_steps(self, *, resume: bool = False) -> Iterator[ScrubReport]:
        """Check all content down to BLAKE3; `resume` goes on where the last scrub stopped."""
        return Scrub(self.backing, resume=resume).steps()

    def damage(self) -> Sequence[Damage]:
        """Everything in quarantine."""
        return damage(self.backing)

    def verify(self, root: bytes) -> Verified:
        """Check one blob down to BLAKE3, all of it from the disk. Raises NotFound, BlobDamaged (its row)."""
        return verify(self.backing, root)

    def usage(self) -> StoreUsage:
        """How much is stored, and how full the environments are."""
        return usage_of(self.backing)


def _backing(
    data: Path, settings: StoreSettings, clock: Clock, board: Board, index: Environment, bulk: Environment
) -> Backing:
    catalog = Catalog(index.tables)
    extents = Extents(
        data / "extents",
        synced=settings.durability is not Durability.NONE,
        announce=functools.partial(store_format.add_feature, data, store_format.FEATURE_EXTENTS),
    )
    packs = Packs(
        data / "packs",
        synced=settings.durability is not Durability.NONE,
        announce=functools.partial(store_format.add_feature, data, store_format.FEATURE_PACKS),
    )
    writer = GroupWriter(
        bulk,
        index,
        extents,
        packs,
        clock,
        commit_bytes=settings.commit_bytes,
        backlog_bytes=settings.backlog_bytes,
        linger_s=settings.linger_s,
    )
    half = settings.checked_memo_bytes // 2
    return Backing(
        settings=settings,
        clock=clock,
        board=board,
        bulk=bulk,
        index=index,
        extents=extents,
        packs=packs,
        writer=writer,
        catalog=catalog,
        ids=StorageIds(writer, catalog, data / "run", clock),
        checked=CheckedMemo(half),
        checked_nodes=CheckedMemo(half),
    )


def _needed(backing: Backing, txn: Txn, root: bytes) -> BlobRow:
    row = backing.catalog.blob(txn, root) if len(root) == HASH_BYTES else None
    if row is None:
        raise NotFound("nothing is stored under this hash", where=root.hex())
    return row


def _refuse_if_held(backing: Backing, txn: Txn, root: bytes) -> None:
    now_s = backing.clock.now_s()
    for each in backing.catalog.roots(txn, root):
        if each.kind is RootKind.ACCOUNT and each.holds(now_s):
            raise Conflict(
                f"account {each.owner} holds this blob", where=root.hex(), hint="unpin it there, or use force"
            )
        if each.kind is RootKind.BLOCK:
            raise Conflict(
                "a block or file known by CID lies in this blob",
                where=root.hex(),
                hint="unpin its DAG and run gc, or use force",
            )
