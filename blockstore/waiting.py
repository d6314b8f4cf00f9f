"""Files that lack a block: noted by the block, so that its arrival makes the file whole.

A file whose blocks come in pieces (two CARs, a fetch that broke off) is flattened when the last of them is
here, whichever process brings it. A row `missing || file` says that the file's walk stopped at that block.
The process that stores the block finds the row by its prefix and remembers the file until somebody flattens
it (`importing.flatten_woken`); what a dead process had remembered is found again by the sweep (`settle`).
"""

from collections.abc import Iterable

from blockstore import records
from blockstore.block_rows import BlockRows
from blockstore.catalog import Catalog
from content import multihash
from durable import Txn


class Waiting:
    """The table `waiting`, and the files this process has woken."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._woken: set[bytes] = set()

    def note(self, txn: Txn, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Note (missing block, root of the file) pairs, by multihash."""
        for missing, file in pairs:
            key = missing + file
            txn.put(key, records.seal(key, b""), db=self._catalog.waiting)

    def any(self, txn: Txn) -> bool:
        """Whether any file lacks a block; where none does, arrivals need not be told. About 1 us."""
        return txn.stat(self._catalog.waiting)["entries"] > 0

    def arrived(self, txn: Txn, block: bytes) -> None:
        """A block is new here: the files that lacked it are looked at again. About 1 us when none did."""
        cursor = txn.cursor(self._catalog.waiting)
        more = cursor.set_range(block)
        while more and cursor.key().startswith(block):
            self._woken.add(cursor.key()[len(block) :])
            more = cursor.next()

    def take_woken(self) -> list[bytes]:
        """Roots of files that were woken here since the last call."""
        woken, self._woken = self._woken, set()
        return list(woken)

    def settle(self, txn: Txn, rows: BlockRows, after: bytes, count: int) -> bytes:
        """Look at `count` notes above `after`: drop those of files that are whole or gone, wake those whose
        block is here. Returns where to go on, b"" at the end.
        """
        cursor = txn.cursor(self._catalog.waiting)
        more = cursor.set_range(after + b"\0") if after else cursor.first()
        keys: list[bytes] = []
        while more and len(keys) < count:
            keys.append(cursor.key())
            more = cursor.next()
        for key in keys:
            _, _, end = multihash.read(key, 0)
            missing, file = key[:end], key[end:]
            is_open = rows.file(txn, file) is None and rows.is_here(txn, rows.block(txn, file))
            if is_open and rows.is_here(txn, rows.block(txn, missing)):
                self._woken.add(file)
                is_open = False
            if not is_open:
                txn.delete(key, db=self._catalog.waiting)
        return keys[-1] if more else b""
