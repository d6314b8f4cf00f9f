"""Who has pins: a number for each account, the next ordinal of its pins, and what its limits count.

One table, `pinaccounts`, of four kinds of rows by the first byte of the key: accounts by number, numbers by
name, for each root an account has pinned how many pins it has there, so that its bytes count once, and how
many pins and origins it has.
"""

import struct
from dataclasses import dataclass
from typing import Final

from blockstore import records
from durable import Table, Txn
from runtime.errors import BadRequest, BlobDamaged

_NUMBERS: Final = b"\x00"
_NAMES: Final = b"\x01"
_SIZES: Final = b"\x02"
_TALLIES: Final = b"\x03"
_NUMBER: Final = struct.Struct(">I")
_ACCOUNT: Final = struct.Struct("<QQ")
_SIZE: Final = struct.Struct("<QQ")
_TALLY: Final = struct.Struct("<QQQ")
_NUMBER_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Account:
    """`next_ordinal`: of its next pin. `bytes_`: of the different roots it has pinned."""

    number: int
    name: str
    next_ordinal: int = 0
    bytes_: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Pins of an account that are queued or pinning; its pins; rows of origins that its pins made."""

    open: int = 0
    pins: int = 0
    origins: int = 0


class Accounts:
    """The table as operations inside one transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def number(self, txn: Txn, name: str) -> int | None:
        """The number of an account; None when it never had a pin. About 2 us."""
        key = _NAMES + name.encode()
        value = txn.get(key, db=self._table)
        if value is None:
            return None
        return int(_NUMBER.unpack(records.opened(key, value, "pin account"))[0])

    def get(self, txn: Txn, number: int) -> Account:
        """An account by its number. Raises BlobDamaged, also when it has no row."""
        key = _NUMBERS + _NUMBER.pack(number)
        value = txn.get(key, db=self._table)
        if value is None:
            raise BlobDamaged(f"the row of pin account {number} is missing")
        body = records.opened(key, value, "pin account")
        next_ordinal, bytes_ = _ACCOUNT.unpack_from(body)
        return Account(number, body[_ACCOUNT.size :].decode(), next_ordinal, bytes_)

    def some(self, txn: Txn, above: int, limit: int) -> list[Account]:
        """Accounts with the lowest numbers above `above`, at most `limit`. About 5 us each."""
        cursor = txn.cursor(self._table)
        found: list[Account] = []
        more = cursor.set_range(_NUMBERS + _NUMBER.pack(min(above + 1, _NUMBER_MAX)))
        while more and len(found) < limit and (key := cursor.key()).startswith(_NUMBERS):
            found.append(self.get(txn, int(_NUMBER.unpack(key[1:])[0])))
            more = cursor.next()
        return found

    def find(self, txn: Txn, name: str) -> Account:
        """The account of that name; one not on record yet has the number it would get."""
        number = self.number(txn, name)
        return Account(self._next_number(txn), name) if number is None else self.get(txn, number)

    def _next_number(self, txn: Txn) -> int:
        cursor = txn.cursor(self._table)
        found = cursor.prev() if cursor.set_range(_NAMES) else cursor.last()
        if not found or not cursor.key().startswith(_NUMBERS):
            return 1
        number = int(_NUMBER.unpack(cursor.key()[1:])[0]) + 1
        if number > _NUMBER_MAX:
            raise BadRequest("no account can be added", where="account")
        return number

    def put(self, txn: Txn, account: Account) -> None:
        """Write an account."""
        number, name = _NUMBER.pack(account.number), account.name.encode()
        key = _NAMES + name
        if txn.get(key, db=self._table) is None:
            txn.put(key, records.seal(key, number), db=self._table)
        key = _NUMBERS + number
        body = _ACCOUNT.pack(account.next_ordinal, account.bytes_) + name
        txn.put(key, records.seal(key, body), db=self._table)

    # Roots an account has pinned, by the term of their CID

    def size(self, txn: Txn, number: int, term: bytes) -> tuple[int, int]:
        """(pinned pins, bytes) of one root of an account; (0, 0) when it has none."""
        key = _SIZES + _NUMBER.pack(number) + term
        value = txn.get(key, db=self._table)
        if value is None:
            return 0, 0
        count, bytes_ = _SIZE.unpack(records.opened(key, value, "pin size"))
        return count, bytes_

    def put_size(self, txn: Txn, number: int, term: bytes, count: int, bytes_: int) -> None:
        """Write it; a count of zero removes the row."""
        key = _SIZES + _NUMBER.pack(number) + term
        if count:
            txn.put(key, records.seal(key, _SIZE.pack(count, bytes_)), db=self._table)
        else:
            txn.delete(key, db=self._table)

    # How much an account has

    def tally(self, txn: Txn, number: int) -> Tally | None:
        """What was counted of an account; None before anything was: see `PinTable.tally`. About 2 us."""
        key = _TALLIES + _NUMBER.pack(number)
        value = txn.get(key, db=self._table)
        return None if value is None else Tally(*_TALLY.unpack(records.opened(key, value, "pin tally")))

    def put_tally(self, txn: Txn, number: int, tally: Tally) -> None:
        """Write it."""
        key = _TALLIES + _NUMBER.pack(number)
        body = _TALLY.pack(tally.open, tally.pins, tally.origins)
        txn.put(key, records.seal(key, body), db=self._table)
