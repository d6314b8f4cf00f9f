"""What the native hot path is told of a blob, so that it can be sent without a Python frame.

The path repeats what `Blob.lend` does on every read but the first (native/src/hot.rs): a transaction,
the value, its length, its XXH3. So only a blob whose first segment was proven to BLAKE3 since this
process opened the store gets an entry, and the entry dies with the board's generation. What lies in a slot
of a pack is copied out first, while its pack is open. A blob that lies in an extent leaves by `sendfile`,
turn by turn (native/src/large.rs), as far as `Blob.lend` found it proven and the extent is open.
"""

from blockstore import segment as stored
from blockstore.blob import Blob
from blockstore.store import Store
from content.bao._native import HotEntry, HotPath, LargeEntry
from content.bao.geometry import SEGMENT_BYTES
from durable import slot_of

Entry = HotEntry | LargeEntry


def hot_path(store: Store, entries: dict[bytes, Entry]) -> HotPath:
    """The path over `store`; it looks targets up in `entries`, which its maker fills and bounds."""
    backing = store.backing
    return HotPath(
        entries, store.board.words, backing.bulk.begin_views, backing.packs.opened, backing.extents.opened
    )


def hot_entry(store: Store, blob: Blob, generation: int, head: bytes, hit: object) -> Entry | None:
    """An entry that sends `head` and the first segment of `blob`; None when it may not have one (yet).

    `generation` is the board's before `blob` was looked up; `hit` is what the path hands back.
    """
    first_bytes = min(blob.size_bytes, SEGMENT_BYTES)
    is_whole, lies_apart = blob.size_bytes == first_bytes, blob.lies_apart
    if blob.size_bytes == 0 or not store.backing.checked.has(blob.storage_id, 0):
        return None
    if lies_apart is None:
        return None
    if lies_apart and not is_whole:
        return LargeEntry(generation, head, blob.storage_id, blob.size_bytes, hit)
    return HotEntry(
        generation,
        head,
        stored.KEY.pack(blob.storage_id, 0),
        stored.seed_of(blob.storage_id, 0),
        first_bytes,
        stored.value_bytes(first_bytes) - (first_bytes if lies_apart else 0),
        is_whole,
        hit,
        slot_of(blob.storage_id) if lies_apart else None,
    )
