"""What the index tells about blobs, as values: one, or pages of them in hash order."""

from dataclasses import dataclass
from typing import Final

from blockstore.backing import Backing
from blockstore.catalog import Catalog
from blockstore.records import HASH_BYTES, BlobRow, blob_row
from blockstore.roots import Root
from durable import Txn
from runtime.errors import BlobDamaged

PAGE: Final = 256  # blobs listed from one snapshot: about 3 ms


@dataclass(frozen=True, slots=True)
class BlobStat:
    """What is known of one blob.

    `state` is present, evicted or, in listings, damaged: its row is unreadable. `damaged_segments`
    holds 2**32-1 for a damaged upper tree.
    """

    hash: bytes
    storage_id: int
    size_bytes: int
    created_s: float
    content_type: str
    state: str
    damaged_segments: tuple[int, ...]
    roots: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class StoreUsage:
    """How much is stored. File sizes are what the disk gives; free pages inside them are reused first."""

    blobs: int
    bytes_: int
    quota_bytes: int
    partials: int
    damaged_segments: int
    doomed: int
    index_used_bytes: int
    index_free_bytes: int
    index_map_bytes: int
    bulk_used_bytes: int
    bulk_free_bytes: int
    bulk_map_bytes: int
    readers: int


def usage_of(backing: Backing) -> StoreUsage:
    """The totals of an open store."""
    catalog = backing.catalog
    index, bulk = backing.index.use(), backing.bulk.use()
    with backing.index.reading() as txn:
        total = catalog.tally(txn)
        return StoreUsage(
            blobs=total.count,
            bytes_=total.bytes_,
            quota_bytes=backing.settings.quota_bytes,
            partials=txn.stat(catalog.partials)["entries"],
            damaged_segments=txn.stat(catalog.damage)["entries"],
            doomed=txn.stat(catalog.doomed)["entries"],
            index_used_bytes=index.used_bytes,
            index_free_bytes=index.free_bytes,
            index_map_bytes=index.map_bytes,
            bulk_used_bytes=bulk.used_bytes,
            bulk_free_bytes=bulk.free_bytes,
            bulk_map_bytes=bulk.map_bytes,
            readers=index.readers + bulk.readers,
        )


def stat_of(catalog: Catalog, txn: Txn, root: bytes, row: BlobRow) -> BlobStat:
    """The value for one row."""
    return BlobStat(
        root,
        row.storage_id,
        row.size_bytes,
        row.created_ms / 1000,
        row.content_type,
        row.state.name.lower(),
        catalog.damaged_segments(txn, row.storage_id),
        tuple(catalog.roots(txn, root)),
    )


def _stat_or_damage(catalog: Catalog, txn: Txn, root: bytes, value: bytes) -> BlobStat:
    """One unreadable row does not end a listing: it is listed as damaged."""
    try:
        return stat_of(catalog, txn, root, blob_row(root, value))
    except BlobDamaged:
        return BlobStat(root, 0, 0, 0.0, "", "damaged", (), ())


def page_of(backing: Backing, after: bytes) -> list[BlobStat]:
    """The next blobs above `after` in hash order, from one short snapshot; empty at the end."""
    catalog = backing.catalog
    page: list[BlobStat] = []
    with backing.index.reading() as txn:
        cursor = txn.cursor(catalog.blobs)
        found = cursor.set_range(after) if after else cursor.first()
        while found and len(page) < PAGE:
            root = cursor.key()
            if len(root) == HASH_BYTES and root != after:
                page.append(_stat_or_damage(catalog, txn, root, cursor.value()))
            found = cursor.next()
    return page
