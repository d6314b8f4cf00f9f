"""Sets of an account's pins: a bitmap for each bucket of 256 ordinals. Rows of `pinstatus` and `pinterms`.

A bitmap answers what a list of rows would, in a hundredth of the rows: a set of a million pins is 4,000
rows, two sets are joined by `&`, and a set is counted by counting bits. Nothing is verified after it: a term
is a hash of 128 bits of what it stands for.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from struct import Struct
from typing import Final

from blockstore import records
from content.cid import Cid
from durable import Table, Txn
from pinning.pin import Wish

BUCKET_BITS: Final = 8
BUCKET: Final = 1 << BUCKET_BITS  # ordinals a bucket
EVERY: Final = (1 << BUCKET) - 1
TERM_BYTES: Final = 16
_NUMBER: Final = Struct(">I")
_HEAD: Final = Struct(">I16s")


def cid_term(cid: Cid) -> bytes:
    """Of a CID; CIDv0 and v1 of one block are one term, as kubo writes either for the other."""
    return _term(b"c", cid.as_v1().raw)


def name_term(name: str) -> bytes:
    """Of a whole name."""
    return _term(b"n", name.encode(errors="surrogatepass"))


def folded_term(name: str) -> bytes:
    """Of a whole name, whatever its case."""
    return _term(b"f", name.casefold().encode(errors="surrogatepass"))


def meta_term(key: str, value: str) -> bytes:
    """Of a pair of meta."""
    first, second = (part.encode(errors="surrogatepass") for part in (key, value))
    return _term(b"m", len(first).to_bytes(4, "little") + first + second)


def _term(kind: bytes, data: bytes) -> bytes:
    return blake2b(kind + data, digest_size=TERM_BYTES).digest()


def terms_of(wish: Wish) -> list[bytes]:
    """Every term a pin is found by."""
    terms = [cid_term(wish.cid)]
    if wish.name is not None:
        terms += (name_term(wish.name), folded_term(wish.name))
    terms += (meta_term(key, value) for key, value in wish.meta.items())
    return terms


class Bitmaps:
    """A table of bitmaps: keys are a prefix and the number of a bucket (u32 BE)."""

    def __init__(self, table: Table, what: str) -> None:
        """`what`: the word for a row of it, in errors."""
        self.table = table
        self._what = what

    def bits(self, txn: Txn, prefix: bytes, bucket: int) -> int:
        """The bits of one bucket; 0 without a row. About 1.5 us."""
        key = prefix + _NUMBER.pack(bucket)
        value = txn.get(key, db=self.table)
        return 0 if value is None else int.from_bytes(records.opened(key, value, self._what), "little")

    def set(self, txn: Txn, prefix: bytes, ordinals: Iterable[int]) -> None:
        """Put pins into the set."""
        for bucket, bits in _bits_of(ordinals).items():
            self._write(txn, prefix, bucket, self.bits(txn, prefix, bucket) | bits)

    def clear(self, txn: Txn, prefix: bytes, ordinals: Iterable[int]) -> None:
        """Take pins out of the set."""
        for bucket, bits in _bits_of(ordinals).items():
            self._write(txn, prefix, bucket, self.bits(txn, prefix, bucket) & ~bits)

    def _write(self, txn: Txn, prefix: bytes, bucket: int, bits: int) -> None:
        key = prefix + _NUMBER.pack(bucket)
        if bits:
            body = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
            txn.put(key, records.seal(key, body), db=self.table)
        else:
            txn.delete(key, db=self.table)

    def below(self, txn: Txn, prefix: bytes, top: int) -> Iterator[tuple[int, int]]:
        """(bucket, bits) of every row with bits, from bucket `top` downwards. About 1.5 us each."""
        for key, value in rows_below(txn, self.table, prefix, top):
            yield (
                int.from_bytes(key[-4:], "big"),
                int.from_bytes(records.opened(key, value, self._what), "little"),
            )


def _bits_of(ordinals: Iterable[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for ordinal in ordinals:
        bucket = ordinal >> BUCKET_BITS
        found[bucket] = found.get(bucket, 0) | 1 << (ordinal & (BUCKET - 1))
    return found


def rows_below(txn: Txn, table: Table, prefix: bytes, top: int) -> Iterator[tuple[bytes, bytes]]:
    """Rows whose key is `prefix` and a u32, from `top` downwards."""
    cursor = txn.cursor(table)
    last = prefix + _NUMBER.pack(top)
    found = cursor.set_range(last)
    if not (found and cursor.key() == last) and not (cursor.prev() if found else cursor.last()):
        return
    for key, value in cursor.iterprev():
        if not key.startswith(prefix):
            return
        yield key, value


def term_prefix(account: int, term: bytes) -> bytes:
    """Where the rows of a term begin."""
    return _HEAD.pack(account, term)


def slots_down(bits: int) -> Iterator[int]:
    """Numbers of the bits that are set, highest first."""
    while bits:
        slot = bits.bit_length() - 1
        yield slot
        bits ^= 1 << slot
