"""A file that becomes one blob, with the blocks it is known by as slices of it.

Bytes are written once, in order; leaves say where in them they lie. When the blob lands, the rows of its
leaves, of its inner nodes and of the file come in the same change, so a file is visible by every name at
once or not at all. Called by `add` (which builds the leaves) and by `importing` (which receives them).
"""

from dataclasses import dataclass, field
from typing import Final

from blockstore.block_rows import FRAME_BYTES_MAX, BlockRow, FileRow
from blockstore.dag import Dag, in_blob
from blockstore.ingest import Ingest
from blockstore.landing import Put
from blockstore.landings import Landings
from blockstore.roots import Root
from content.block import Block
from content.cid import Cid
from durable import Txn
from runtime.errors import EdgeError, TooLarge

# 30 bytes of digest and offsets in memory and a row each in one index change: 64 GiB at 256 KiB a leaf
MAX_LEAVES: Final = 1 << 18


@dataclass(slots=True)
class Flat:
    """One file on its way in. One thread writes; `finish_soon` or `abort` ends it."""

    dag: Dag
    ingest: Ingest
    landings: Landings
    moves: bool = False  # rows of leaves that lie elsewhere are pointed here
    parts: set[bytes] = field(default_factory=set)  # inner nodes that may have been taken for files before
    _leaves: dict[bytes, BlockRow] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self.ingest.size_bytes

    @property
    def leaf_count(self) -> int:
        """Different leaves so far."""
        return len(self._leaves)

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes of the file. Waits while the store is behind. Raises StoreFull."""
        self.ingest.write(data)

    def leaf(
        self, multihash: bytes, offset: int, length: int, prefix: bytes = b"", suffix: bytes = b""
    ) -> None:
        """A leaf whose payload is bytes [offset, offset + length). Equal leaves are one row."""
        if multihash in self._leaves:
            return
        if len(self._leaves) >= MAX_LEAVES:
            raise TooLarge(f"a file of more than {MAX_LEAVES} leaves cannot be kept as one")
        self._leaves[multihash] = BlockRow(bytes(32), offset, length, prefix, suffix)

    def has_leaf(self, multihash: bytes) -> bool:
        """Whether this leaf was given already."""
        return multihash in self._leaves

    def inner(self, block: Block) -> None:
        """An inner node of the file: a block of its own."""
        self.dag.put_soon(block, self.landings)

    def finish_soon(self, root: Cid | None) -> None:
        """End the file; `landings` learns how. `root`: CID of the whole, None where it is only a fragment."""
        dag, leaves, size, moves = self.dag, self._leaves, self.size_bytes, self.moves
        parts = self.parts.union(leaves) - {root.multihash} if moves and root is not None else set()
        dag.mark_store()
        freed: list[int] = []

        def also(txn: Txn, blob: bytes) -> None:
            freed.clear()
            now_ms = dag.now_ms()
            left = dag.blobs_of(txn, parts) - {blob}
            for part in parts:
                dag.rows.drop_file(txn, part)
            for multihash, row in leaves.items():
                if dag.rows.put(txn, multihash, in_blob(row, blob), now_ms, moves=moves):
                    dag.waiting.arrived(txn, multihash)
            if root is not None:
                dag.rows.put_file(txn, root.multihash, FileRow(blob, size), now_ms)
            freed.extend(dag.release(txn, left))

        ended = self.landings.expect()

        def done(outcome: Put | EdgeError) -> None:
            if freed and not isinstance(outcome, EdgeError):
                dag.freed(freed)
            ended(outcome)

        held_by = Root.block(root.multihash) if root is not None else dag.fragment_lease()
        self.ingest.finish_soon(done, root=held_by, also=also)

    def abort(self) -> None:
        """Give the file up."""
        self.ingest.abort()


def fits_row(prefix: bytes, suffix: bytes) -> bool:
    """Whether a leaf's framing is small enough to keep beside a slice."""
    return len(prefix) + len(suffix) <= FRAME_BYTES_MAX
