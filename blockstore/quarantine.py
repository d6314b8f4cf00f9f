"""What is in quarantine, for who brings it back: damaged blobs a page at a time, and blocks that are lost.

Reads of the index only; nothing here is damaged further or healed. Called by `origins.healing`.
"""

from typing import Final

from blockstore import upper
from blockstore.block_rows import BlockRow
from blockstore.dag import Dag
from blockstore.dag_removal import spellings
from blockstore.store import Store
from content.bao.geometry import SEGMENT_BYTES
from content.cid import DAG_CBOR, DAG_JSON, DAG_PB, RAW, Cid
from runtime.errors import BlobDamaged, NotFound

_ROWS_A_LOOK: Final = 1024
_LINKING: Final = (DAG_PB, DAG_CBOR, DAG_JSON)


def damaged_blobs(store: Store, after: bytes) -> tuple[list[bytes], bytes]:
    """Hashes of some damaged blobs, each once, and where to go on; b"" at the end. About 2 ms."""
    catalog = store.backing.catalog
    found: dict[bytes, None] = {}
    with store.backing.index.reading() as txn:
        cursor = txn.cursor(catalog.damage)
        more = cursor.set_range(after + b"\0") if after else cursor.first()
        for _ in range(_ROWS_A_LOOK):
            if not more:
                return list(found), b""
            after = cursor.key()
            storage_id, _ = upper.KEY.unpack(after)
            owner = catalog.owner_of(txn, storage_id)
            if owner is not None:
                found[owner] = None
            more = cursor.next()
    return list(found), after


def is_whole(store: Store, root: bytes) -> bool:
    """Whether a blob is here and nothing of it is in quarantine."""
    try:
        return not store.blob(root).damaged_segments
    except (NotFound, BlobDamaged):
        return False


def names_within(store: Store, root: bytes) -> list[bytes]:
    """Multihashes of all files and blocks that hold a blob, whose own row is not read. 1 us each."""
    with store.backing.index.reading() as txn:
        return list(store.backing.catalog.block_names(txn, root))


def damaged_blocks(store: Store, root: bytes) -> list[Cid]:
    """Blocks that lie, all or in part, where this blob is damaged. About 10 us for each that lies in it.

    Their codec is on record only of files and of roots; all others are named as raw. Raises NotFound.
    """
    damaged = set(store.blob(root).damaged_segments)
    found = []
    for name in names_within(store, root):
        try:
            with store.backing.index.reading() as txn:
                row = store.dag.rows.block(txn, name)
                is_file = store.dag.rows.file(txn, name) is not None
        except BlobDamaged:
            continue
        if row is not None and row.blob == root and _is_lost(row, damaged):
            is_node = is_file or row.prefix or row.suffix
            found.append(Cid.v1(DAG_PB, name) if is_node else _as_root(store.dag, name))
    return found


def _as_root(dag: Dag, name: bytes) -> Cid:
    """The CID under which this block is the root of a DAG that is kept, else as a raw block."""
    for codec in _LINKING:
        if any(dag.roots_of(each) for each in spellings(Cid.v1(codec, name))):
            return Cid.v1(codec, name)
    return Cid.v1(RAW, name)


def _is_lost(row: BlockRow, damaged: set[int]) -> bool:
    if upper.UPPER_SEGMENT in damaged:
        return True
    first, last = row.offset // SEGMENT_BYTES, max(row.offset, row.offset + row.length - 1) // SEGMENT_BYTES
    return not damaged.isdisjoint(range(first, last + 1))  # a block has nine at most, a blob any number
