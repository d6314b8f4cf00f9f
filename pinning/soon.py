"""How far walks are: the last note of each pin, written with the others' and not waited for."""

import threading

from blockstore.index_rows import IndexRows
from durable import Txn
from pinning.rows import Place
from pinning.table import PinTable
from runtime.errors import EdgeError


class Noted:
    """Notes that wait for a commit; one a pin, so as many as walks are under way."""

    def __init__(self, index: IndexRows, table: PinTable) -> None:
        self._index = index
        self._table = table
        self._waiting: dict[Place, bytes] = {}
        self._lock = threading.Lock()

    def note(self, place: Place, value: bytes) -> None:
        """Write `value` into a walk's row with the next commit. Raises Interrupted once the store closes."""
        with self._lock:
            is_first = not self._waiting
            self._waiting[place] = value
        if is_first:
            taken: dict[Place, bytes] = {}

            def change(txn: Txn) -> None:
                with self._lock:
                    taken.update(self._waiting)
                    self._waiting.clear()
                for each, note in taken.items():
                    self._table.put_work(txn, each, note)

            self._index.change_soon(change, _forget, urgent=False)


def _forget(_error: EdgeError | None) -> None:
    """A note that was lost costs a step of its walk, not more."""
