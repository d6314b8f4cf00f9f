"""Names of 256 pins as one text: a part of a name is found in a million pins by searching 4,000 texts.

Two texts a bucket: names as they are, and casefolded. Names are UTF-8, and between two is a byte that UTF-8
never has: what is looked for cannot lie across two names, and what stands before it tells whose name it is.
"""

from collections.abc import Iterator, Mapping
from struct import Struct
from typing import Final

from blockstore import records
from durable import Table, Txn
from pinning.bitmaps import BUCKET, rows_below

RAW: Final = 0
FOLDED: Final = 1
_BETWEEN: Final = b"\xff"
_HEAD: Final = Struct(">IB")
_NUMBER: Final = Struct(">I")
_WHAT: Final = "pin names"


class Names:
    """The table `pinnames` as operations inside one transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, txn: Txn, account: int, names: Mapping[int, str]) -> None:
        """Say what pins are called, by ordinal; one called "" is not found by a part of its name."""
        buckets: dict[int, dict[int, str]] = {}
        for ordinal, name in names.items():
            buckets.setdefault(ordinal // BUCKET, {})[ordinal % BUCKET] = name
        for bucket, slots in buckets.items():
            for form in (RAW, FOLDED):
                key = _HEAD.pack(account, form) + _NUMBER.pack(bucket)
                self._put(txn, key, {slot: part_of(name, form) for slot, name in slots.items()})

    def _put(self, txn: Txn, key: bytes, slots: Mapping[int, bytes]) -> None:
        value = txn.get(key, db=self._table)
        text = b"" if value is None else records.opened(key, value, _WHAT)
        names = text.split(_BETWEEN)
        names += [b""] * (max(slots) + 1 - len(names))
        for slot, data in slots.items():
            names[slot] = data
        text = _BETWEEN.join(names).rstrip(_BETWEEN)
        if text:
            txn.put(key, records.seal(key, text), db=self._table)
        else:
            txn.delete(key, db=self._table)

    def bits(self, txn: Txn, account: int, form: int, bucket: int, part: bytes) -> int:
        """Pins of one bucket with `part` in their name."""
        key = _HEAD.pack(account, form) + _NUMBER.pack(bucket)
        value = txn.get(key, db=self._table)
        return 0 if value is None else _found(records.opened(key, value, _WHAT), part)

    def named(self, txn: Txn, account: int, bucket: int) -> int:
        """Pins of one bucket that have a name, and not an empty one. About 10 us."""
        key = _HEAD.pack(account, RAW) + _NUMBER.pack(bucket)
        value = txn.get(key, db=self._table)
        texts = () if value is None else records.opened(key, value, _WHAT).split(_BETWEEN)
        return sum(1 << slot for slot, text in enumerate(texts) if text)

    def below(self, txn: Txn, account: int, form: int, top: int, part: bytes) -> Iterator[tuple[int, int]]:
        """(bucket, pins with `part` in their name) from bucket `top` downwards; also those without any."""
        for key, value in rows_below(txn, self._table, _HEAD.pack(account, form), top):
            yield int.from_bytes(key[-4:], "big"), _found(records.opened(key, value, _WHAT), part)


def part_of(name: str, form: int) -> bytes:
    """What is looked for, as it would stand in a text."""
    return (name.casefold() if form else name).encode(errors="surrogatepass")


def _found(text: bytes, part: bytes) -> int:
    bits = 0
    at = text.find(part)
    while at >= 0:
        bits |= 1 << text.count(_BETWEEN, 0, at)
        end = text.find(_BETWEEN, at)
        at = -1 if end < 0 else text.find(part, end + 1)
    return bits
