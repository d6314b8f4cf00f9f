"""Looking for damage before a reader meets it: scrub, verify, and the list of what was found."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from blockstore import records, upper
from blockstore.backing import CAUSE_TEXT, Backing, Cause, SegmentDamaged
from blockstore.blob import Blob
from blockstore.records import BlobRow, BlobState
from content.bao.geometry import SEGMENT_BYTES, segment_count
from durable import Txn
from runtime.errors import BlobDamaged, NotFound

_POSITION: Final = b"scrub-position"
_SAVE_EVERY_BYTES: Final = 1 << 30  # a scrub that is killed repeats at most about this much
_LISTED_MAX: Final = 1000  # damaged blobs a report names; it counts all


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing in quarantine. `segment` is None for the upper tree."""

    hash: bytes
    segment: int | None
    cause: str
    found_s: float


@dataclass(frozen=True, slots=True)
class Verified:
    """What a complete check of one blob found; `damaged_segments` as in `BlobStat`."""

    hash: bytes
    size_bytes: int
    segments: int
    damaged_segments: tuple[int, ...]

    @property
    def intact(self) -> bool:
        """Whether every byte matches the name."""
        return not self.damaged_segments


@dataclass(slots=True)
class ScrubReport:
    """What a scrub has done so far. `damaged_blobs` counts, `damaged` names the first thousand."""

    blobs: int = 0
    bytes_: int = 0
    damaged_blobs: int = 0
    damaged: list[bytes] = field(default_factory=list)


def handle(backing: Backing, root: bytes, row: BlobRow, damaged: tuple[int, ...] = ()) -> Blob:
    """A reading handle for a row."""
    created_s = row.created_ms / 1000
    return Blob(backing, root, row.storage_id, row.size_bytes, row.content_type, created_s, damaged)


def verify(backing: Backing, root: bytes) -> Verified:
    """Check every segment and the upper tree of a blob down to BLAKE3. Raises NotFound, BlobDamaged."""
    with backing.index.reading() as txn:
        row = backing.catalog.blob(txn, root)
    if row is None or row.state is not BlobState.PRESENT:
        raise NotFound("no bytes are stored under this hash", where=root.hex())
    blob = handle(backing, root, row)
    damaged: set[int] = set()
    for index in range(segment_count(row.size_bytes)):
        found = _check(blob, index)
        if found is not None:
            damaged.add(found)
    return Verified(root, row.size_bytes, segment_count(row.size_bytes), tuple(sorted(damaged)))


def _check(blob: Blob, index: int) -> int | None:
    """The number of what is damaged when segment `index` cannot be proven, else None."""
    try:
        blob.prove_segment(index)
    except SegmentDamaged as error:
        return error.segment
    return None


def damage(backing: Backing) -> list[Damage]:
    """Everything in quarantine, in the order it is stored."""
    catalog = backing.catalog
    found: list[Damage] = []
    with backing.index.reading() as txn:
        cursor = txn.cursor(catalog.damage)
        more = cursor.first()
        while more:
            storage_id, segment = upper.KEY.unpack(cursor.key())
            owner = catalog.owner_of(txn, storage_id)
            found_ms, cause = records.damage_row(cursor.key(), cursor.value())
            if owner is not None:
                number = None if segment == upper.UPPER_SEGMENT else segment
                found.append(Damage(owner, number, CAUSE_TEXT[Cause(cause)], found_ms / 1000))
            more = cursor.next()
    return found


class Scrub:
    """A pass over all stored content in the order it lies on the disk.

    Its place is on record: with `resume` it goes on where the last one stopped.
    """

    def __init__(self, backing: Backing, *, resume: bool = False) -> None:
        self._backing = backing
        self._resume = resume
        self.report = ScrubReport()

    def steps(self) -> Iterator[ScrubReport]:
        """Check everything; yields the report, the same object, every `scrub_step_bytes` or 256 blobs."""
        at = self._position() if self._resume else 0
        step_bytes = self._backing.settings.scrub_step_bytes
        done_bytes = saved_bytes = 0
        while page := self._owners(at):
            for storage_id, root in page:
                for bytes_ in self._blob(storage_id, root):
                    done_bytes += bytes_
                    if done_bytes >= step_bytes:
                        saved_bytes += done_bytes
                        done_bytes = 0
                        yield self.report
                at = storage_id + 1
            if saved_bytes >= _SAVE_EVERY_BYTES:
                saved_bytes = 0
                self._save(at)
            yield self.report
        self._save(0)

    def _owners(self, at: int) -> list[tuple[int, bytes]]:
        catalog = self._backing.catalog
        page: list[tuple[int, bytes]] = []
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(catalog.owners)
            more = cursor.set_range(records.id_key(at))
            while more and len(page) < 256:
                page.append((records.id_of(cursor.key()), cursor.value()[: records.HASH_BYTES]))
                more = cursor.next()
        return page

    def _blob(self, storage_id: int, root: bytes) -> Iterator[int]:
        """Check one blob, yielding the bytes of each segment."""
        backing, report = self._backing, self.report
        broken = False
        try:
            with backing.index.reading() as txn:
                row = backing.catalog.blob(txn, root)
                backing.catalog.roots(txn, root)
            if row is None or row.storage_id != storage_id or row.state is not BlobState.PRESENT:
                return
            blob = handle(backing, root, row)
            for index in range(segment_count(row.size_bytes)):
                broken |= _check(blob, index) is not None
                size = min(SEGMENT_BYTES, row.size_bytes - index * SEGMENT_BYTES)
                report.bytes_ += size
                yield size
        except BlobDamaged:
            broken = True  # a row of the index; the error named it, and nothing can point at it
        except NotFound:
            return  # removed while we looked
        report.blobs += 1
        if broken:
            report.damaged_blobs += 1
            if len(report.damaged) < _LISTED_MAX:
                report.damaged.append(root)

    def _position(self) -> int:
        with self._backing.index.reading() as txn:
            value = txn.get(_POSITION, db=self._backing.catalog.meta)
            try:
                return 0 if value is None else records.id_of(records.opened(_POSITION, value, "meta"))
            except BlobDamaged:
                return 0

    def _save(self, at: int) -> None:
        catalog = self._backing.catalog

        def index(txn: Txn) -> None:
            txn.put(_POSITION, records.seal(_POSITION, records.id_key(at)), db=catalog.meta)

        self._backing.writer.run(index=index)
