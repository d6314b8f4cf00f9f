"""What becomes of pins, each change of status with all its rows in one commit. Used by `pinning.pins`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from blockstore.index_rows import IndexRows
from durable import Txn
from pinning.pin import Pin, Status
from pinning.ports import End
from pinning.rows import Place
from pinning.table import PinTable, whole

OPEN: Final = frozenset((Status.QUEUED, Status.PINNING))
Refuse: TypeAlias = Callable[[Txn, Place, Pin], None]


class Moves:
    """Changes that the worker makes. Any thread; each waits for its commit."""

    def __init__(self, index: IndexRows, table: PinTable) -> None:
        self._index, self._table = index, table

    def moved(
        self, request_id: str, become: Callable[[Pin], Pin], refuse: Refuse | None = None
    ) -> Pin | None:
        """Move a pin that is queued or pinning; None when there is none. Raises what `refuse` does."""
        moved: list[Pin | None] = [None]

        def change(txn: Txn) -> None:
            moved[0] = self._move(txn, request_id, become, refuse)

        self._index.change(change, frees=True)
        return moved[0]

    def ended(self, ends: Sequence[End]) -> int:
        """Tries ended without all of it; how many of these pins were there."""
        count = [0]

        def change(txn: Txn) -> None:
            moved = [self._move(txn, each[0], partial(_after, each)) for each in ends]
            count[0] = len(moved) - moved.count(None)

        self._index.change(change, frees=True)
        return count[0]

    def expire(self, now_s: float, limit: int) -> int:
        """Remove pins whose time is over, at most `limit`; how many. Without a commit when there are none."""
        with self._index.reading() as txn:
            if not self._table.expiry.over(txn, now_s, 1):
                return 0
        count = [0]

        def change(txn: Txn) -> None:
            with whole():
                places = self._table.expiry.over(txn, now_s, limit)
                for place in places:
                    pin = self._table.get(txn, place, self._table.accounts.get(txn, place.account).name)
                    if pin is not None:
                        self._table.delete(txn, place, pin)
            count[0] = len(places)

        self._index.change(change, frees=True)
        return count[0]

    def _move(
        self, txn: Txn, request_id: str, become: Callable[[Pin], Pin], refuse: Refuse | None = None
    ) -> Pin | None:
        found = self._table.find(txn, request_id)
        if found is None or found[1].status not in OPEN:
            return None
        place, old = found
        if refuse is not None:
            refuse(txn, place, old)
        new = become(old)
        with whole():
            self._table.update(txn, place, old, new)
        return new


def _after(end: End, pin: Pin) -> Pin:
    """The pin after a try that ended without all of it."""
    _, details, next_try_s = end
    status = Status.FAILED if next_try_s is None else Status.QUEUED
    moved = replace(pin, status=status, details=details, next_try_s=next_try_s or 0.0)
    return replace(moved, attempts=pin.attempts + 1)
