"""A late signed statement of each pin's availability, kept with the pin and gone with it.

A newer one takes its place once a minute at most: asking for proofs must not make the store commit each time.

A row of `pinproofs`: request id -> the statement's block as it stands in the proof (docs/formats/proof.md),
sealed as all rows are. Bounded by the number of pins; a statement has at most 64 places, about 10 KiB.
"""

from collections.abc import Sequence

from blockstore import Store, records
from content.block import Block
from durable import Txn
from pinning import rows
from pinning.proof import made_ms_of
from runtime.errors import BadRequest, BlobDamaged

TABLE = "pinproofs"
_EVERY_MS = 60_000


class Proofs:
    """The statements of a store. Any thread; `keep` waits for its commit."""

    def __init__(self, store: Store) -> None:
        self._index = store.index
        self._table = store.index.table(TABLE)
        self._ids = store.index.table("pinids")

    def keep(self, request_ids: Sequence[str], statement: Block, made_ms: int) -> None:
        """Keep what was proven of these pins, but for those that are gone or have one of this minute."""
        with self._index.reading() as txn:
            old = [each for each in request_ids if self._is_old(txn, each, made_ms)]
        if not old:
            return

        def change(txn: Txn) -> None:
            for request_id in old:
                created, key = rows.created_of(request_id), request_id.encode()
                if created is not None and txn.get(created, db=self._ids) is not None:
                    txn.put(key, records.seal(key, statement.data), db=self._table)

        self._index.change(change)

    def _is_old(self, txn: Txn, request_id: str, now_ms: int) -> bool:
        key = request_id.encode()
        value = txn.get(key, db=self._table)
        try:
            kept_ms = None if value is None else made_ms_of(records.opened(key, value, "proof"))
        except (BadRequest, BlobDamaged):
            return True
        return kept_ms is None or abs(now_ms - kept_ms) >= _EVERY_MS

    def of(self, request_id: str) -> bytes | None:
        """The statement's block that is kept, None when nothing was proven yet. Raises BlobDamaged."""
        key = request_id.encode()
        if rows.created_of(request_id) is None:
            return None
        with self._index.reading() as txn:
            value = txn.get(key, db=self._table)
            return None if value is None else records.opened(key, bytes(value), "proof")
