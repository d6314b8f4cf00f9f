"""What the worker has to do, by account and time, and which pins end when. Tables `pinqueue`, `pinexpiry`.

A pin that is queued or being fetched has a row in the queue; one nobody fetches at the moment is due again,
so a worker that died leaves nothing behind that has to be set right.
"""

import heapq
import math
from collections.abc import Collection, Iterator, Mapping
from struct import Struct
from typing import Final

from blockstore import records
from durable import Table, Txn
from pinning.rows import Place

_DUE: Final = Struct(">IQQ")
_ACCOUNT: Final = Struct(">I")
_EXPIRY: Final = Struct(">QIQ")
_SECOND_MS: Final = 1000
_NUMBER_MAX: Final = (1 << 32) - 1
_TIME_MAX: Final = (1 << 64) - 1


def _due_key(place: Place, next_try_s: float) -> bytes:
    return _DUE.pack(place.account, _milliseconds(next_try_s), place.ordinal)


def _milliseconds(at_s: float) -> int:
    """Rounded up, so that nothing is due early; 0: at once."""
    return min(_TIME_MAX, math.ceil(at_s * _SECOND_MS)) if at_s > 0 else 0


class Queue:
    """The table `pinqueue` as operations inside one transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, txn: Txn, place: Place, next_try_s: float) -> None:
        """A pin waits for its turn, from `next_try_s` on."""
        key = _due_key(place, next_try_s)
        txn.put(key, records.seal(key, b""), db=self._table)

    def drop(self, txn: Txn, place: Place, next_try_s: float) -> None:
        """A pin waits no more."""
        txn.delete(_due_key(place, next_try_s), db=self._table)

    def is_empty(self, txn: Txn) -> bool:
        """Whether no pin waits for a turn, now or later."""
        return not txn.cursor(self._table).first()

    def due(self, txn: Txn, now_s: float, limit: int, busy: Collection[Place], after: int) -> list[Place]:
        """Places whose turn it is, accounts with the fewest in hand first, then in a ring behind `after`.

        Looks at each account with anything queued, until `limit` of them have nothing in hand: 4 us each.
        """
        in_hand: dict[int, int] = {}
        for place in busy:
            in_hand[place.account] = in_hand.get(place.account, 0) + 1
        now_ms = int(now_s * _SECOND_MS)
        turns: list[tuple[int, int, Iterator[Place]]] = []
        idle = 0
        for account in self._accounts(txn, after):
            waiting = self._of_account(txn, account, now_ms, limit, busy, in_hand)
            if waiting:
                turns.append((in_hand.get(account, 0), len(turns), iter(waiting)))
                idle += account not in in_hand
            if idle == limit:
                break
        return _taken_in_turn(turns, limit)

    def _accounts(self, txn: Txn, after: int) -> Iterator[int]:
        """Accounts with rows, in a ring that begins behind `after`."""
        for first, last in ((after + 1, _NUMBER_MAX), (0, after)):
            cursor = txn.cursor(self._table)
            more = first <= _NUMBER_MAX and cursor.set_range(_ACCOUNT.pack(first))
            while more:
                account = int(_ACCOUNT.unpack_from(cursor.key())[0])
                if account > last:
                    break
                yield account
                more = account < _NUMBER_MAX and cursor.set_range(_ACCOUNT.pack(account + 1))

    def _of_account(
        self,
        txn: Txn,
        account: int,
        now_ms: int,
        limit: int,
        busy: Collection[Place],
        in_hand: Mapping[int, int],
    ) -> list[Place]:
        """The oldest that are due: of those never tried, and of those to be tried again."""
        found = [
            place
            for first_ms, last_ms in ((0, 0), (1, now_ms))
            for place in self._between(txn, account, first_ms, last_ms, limit + in_hand.get(account, 0))
            if place not in busy
        ]
        return sorted(found, key=lambda place: place.ordinal)[:limit]

    def _between(self, txn: Txn, account: int, first_ms: int, last_ms: int, count: int) -> Iterator[Place]:
        cursor = txn.cursor(self._table)
        more = cursor.set_range(_DUE.pack(account, first_ms, 0))
        while more and count:
            key = cursor.key()
            whose, due_ms, ordinal = _DUE.unpack(key)
            if whose != account or due_ms > last_ms:
                return
            records.opened(key, cursor.value(), "pin queue")
            yield Place(account, ordinal)
            count -= 1
            more = cursor.next()


def _taken_in_turn(turns: list[tuple[int, int, Iterator[Place]]], limit: int) -> list[Place]:
    heapq.heapify(turns)
    chosen: list[Place] = []
    while turns and len(chosen) < limit:
        in_hand, turn, waiting = turns[0]
        place = next(waiting, None)
        if place is None:
            heapq.heappop(turns)
            continue
        chosen.append(place)
        heapq.heapreplace(turns, (in_hand + 1, turn, waiting))
    return chosen


class Expiry:
    """The table `pinexpiry` as operations inside one transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, txn: Txn, place: Place, expires_s: float | None) -> None:
        """A pin ends then; None: never."""
        if expires_s is not None:
            key = _EXPIRY.pack(_milliseconds(expires_s), place.account, place.ordinal)
            txn.put(key, records.seal(key, b""), db=self._table)

    def drop(self, txn: Txn, place: Place, expires_s: float | None) -> None:
        """It is gone."""
        if expires_s is not None:
            txn.delete(_EXPIRY.pack(_milliseconds(expires_s), place.account, place.ordinal), db=self._table)

    def over(self, txn: Txn, now_s: float, limit: int) -> list[Place]:
        """Pins whose time is over, the longest over first."""
        cursor = txn.cursor(self._table)
        found: list[Place] = []
        more, now_ms = cursor.first(), int(now_s * _SECOND_MS)
        while more and len(found) < limit:
            key = cursor.key()
            expires_ms, account, ordinal = _EXPIRY.unpack(key)
            if expires_ms > now_ms:
                break
            records.opened(key, cursor.value(), "pin expiry")
            found.append(Place(account, ordinal))
            more = cursor.next()
        return found
