"""What is to be evicted and links to nothing says so in its row, so that a sweep need not read it.

A sweep reads each block that by its codec may have links, as leaves that are dag-pb, and keeps everything
while one of them is not here.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from blockstore.backing import Backing
from blockstore.dag import Dag
from content.block import BlockMissing
from content.cid import RAW, Cid
from content.links import links_to_nothing
from durable import Txn
from runtime.errors import BlobDamaged

_ROWS_A_STEP: Final = 512  # about 5 ms of write lock


def note_leaves(backing: Backing, dag: Dag, leaves: Sequence[bytes]) -> None:
    """Put on record that these blocks link to nothing; the caller has read them. 10 us each."""
    for start in range(0, len(leaves), _ROWS_A_STEP):

        def index(txn: Txn, page: Sequence[bytes] = leaves[start : start + _ROWS_A_STEP]) -> None:
            for each in page:
                dag.rows.note_leaf(txn, each)

        backing.writer.run(index=index)


def note_leaves_of(backing: Backing, dag: Dag, blob: bytes) -> None:
    """As `note_leaves`, of all blocks that lie in a blob. Reads those that may have links."""
    with backing.index.reading() as txn:
        names = list(backing.catalog.block_names(txn, blob))
    note_leaves(backing, dag, list(_leaves(backing, dag, blob, names)))


def _leaves(backing: Backing, dag: Dag, blob: bytes, names: Sequence[bytes]) -> Iterator[bytes]:
    for name in names:
        try:
            with backing.index.reading() as txn:
                row = dag.rows.block(txn, name)
            if row is None or row.blob != blob or row.is_leaf:
                continue
            found = dag.find(name)
            # What is neither framed nor the whole of the blob is a raw leaf of a larger file
            if found is None or not (row.prefix or row.suffix or row.length == found.blob.size_bytes):
                continue
            if links_to_nothing(name, dag.read(Cid.v1(RAW, name))):
                yield name
        except (BlockMissing, BlobDamaged):
            continue  # what it links to is not known, and is not said
