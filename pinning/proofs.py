"""The newest signed statement of each pin's availability, kept with the pin and gone with it.

A row of `pinproofs`: request id -> the statement's block as it stands in the proof (docs/formats/proof.md),
sealed as all rows are. Bounded by the number of pins; a statement has at most 64 places, about 10 KiB.
"""

from collections.abc import Sequence

from blockstore import Store, records
from content.block import Block
from durable import Txn
from pinning import rows

TABLE = "pinproofs"


class Proofs:
    """The statements of a store. Any thread; `keep` waits for its commit."""

    def __init__(self, store: Store) -> None:
        self._index = store.index
        self._table = store.index.table(TABLE)
        self._ids = store.index.table("pinids")

    def keep(self, request_ids: Sequence[str], statement: Block) -> None:
        """Keep what was proven last of these pins, but for those that are gone."""

        def change(txn: Txn) -> None:
            for request_id in request_ids:
                created, key = rows.created_of(request_id), request_id.encode()
                if created is not None and txn.get(created, db=self._ids) is not None:
                    txn.put(key, records.seal(key, statement.data), db=self._table)

        self._index.change(change)

    def of(self, request_id: str) -> bytes | None:
        """The statement's block, None when nothing was proven yet. Raises BlobDamaged."""
        key = request_id.encode()
        if rows.created_of(request_id) is None:
            return None
        with self._index.reading() as txn:
            value = txn.get(key, db=self._table)
            return None if value is None else records.opened(key, bytes(value), "proof")
