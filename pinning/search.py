"""Which pins of an account a filter means: bitmaps of 256 ordinals joined by `&`, from the newest down.

Conditions that few pins meet drive (CIDs, a whole name, meta), then a part of a name, then the status; the
others are looked up for the buckets that are left. A step looks at a bounded number of buckets, so no
snapshot is held for longer than some milliseconds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import Final, TypeAlias

from durable import Txn
from pinning import bitmaps, names
from pinning.accounts import Account
from pinning.bitmaps import BUCKET, BUCKET_BITS, EVERY
from pinning.pin import Filter, Match, Pin, Status
from pinning.statuses import status_prefix
from pinning.table import PinTable

STEP_BUCKETS: Final = 512  # looked at in one snapshot: 1 to 5 ms
_FORMS: Final = {Match.PARTIAL: names.RAW, Match.IPARTIAL: names.FOLDED}
Buckets: TypeAlias = Iterator[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step found, newest first; how many it counted; where to go on, None at the end."""

    pins: list[Pin]
    count: int
    top: int | None


@dataclass(frozen=True, slots=True)
class _Condition:
    """`below(txn, bucket)`: buckets from there down; `bits(txn, bucket)`: of one bucket."""

    below: Callable[[Txn, int], Buckets]
    bits: Callable[[Txn, int], int]


class Search:
    """One filter over the pins of one account with ordinals in [low, high)."""

    def __init__(self, table: PinTable, account: Account, wanted: Filter, low: int, high: int) -> None:
        self._table = table
        self._account = account
        self._low = low
        self.top = high
        self._statuses = wanted.statuses if len(wanted.statuses) < len(Status) else frozenset()
        wants_unnamed = wanted.name == "" and wanted.match not in _FORMS
        self._conditions = self._planned(wanted, wants_unnamed)
        only_status = len(self._conditions) == 1 and bool(self._statuses) and not wants_unnamed
        self.is_counted = only_status or not self._conditions  # `count` knows without looking

    def count(self, txn: Txn) -> int:
        """How many match, where nothing but status and time is asked for. At most 1 ms a status."""
        return sum(
            self._table.statuses.count(txn, self._account.number, status, self._low, self.top)
            for status in self._statuses or Status
        )

    def step(self, txn: Txn, top: int, limit: int, *, counting: bool) -> Step:
        """The next `limit` pins below ordinal `top`; `counting`: and go on behind them."""
        if not self._conditions:
            pins, lowest = self._table.down(txn, self._account, self._low, top, limit)
            return Step(pins, len(pins), lowest if len(pins) == limit and lowest > self._low else None)
        first, *others = self._conditions
        pins, count = [], 0
        for seen, (bucket, found) in enumerate(first.below(txn, (top - 1) >> BUCKET_BITS)):
            if bucket < self._low >> BUCKET_BITS:
                return Step(pins, count, None)
            if seen == STEP_BUCKETS:
                return Step(pins, count, (bucket + 1) << BUCKET_BITS)
            bits = found & self._within(bucket, top)
            for each in others:
                if not bits:
                    break
                bits &= each.bits(txn, bucket)
            if bits:
                count += bits.bit_count()
                if len(pins) < limit:
                    pins += self._table.chosen_down(txn, self._account, bucket, bits, limit - len(pins))
                if len(pins) == limit and not counting:
                    return Step(pins, count, self._table.ordinal_of(txn, pins[-1]))
        return Step(pins, count, None)

    def _within(self, bucket: int, top: int) -> int:
        start = bucket << BUCKET_BITS
        bits = EVERY if top >= start + BUCKET else (1 << (top - start)) - 1
        return bits >> (self._low - start) << (self._low - start) if self._low > start else bits

    # Which conditions, and in which order

    def _planned(self, wanted: Filter, wants_unnamed: bool) -> list[_Condition]:
        chosen = []
        if wanted.cids:
            chosen.append(self._any_term([bitmaps.cid_term(cid) for cid in wanted.cids]))
        if wanted.name and wanted.match is Match.EXACT:
            chosen.append(self._any_term([bitmaps.name_term(wanted.name)]))
        if wanted.name and wanted.match is Match.IEXACT:
            chosen.append(self._any_term([bitmaps.folded_term(wanted.name)]))
        chosen += (self._any_term([bitmaps.meta_term(*pair)]) for pair in wanted.meta.items())
        if wanted.name and wanted.match in _FORMS:
            chosen.append(self._part(wanted.name, _FORMS[wanted.match]))
        if self._statuses or wants_unnamed:
            prefixes = [status_prefix(self._account.number, each) for each in self._statuses or Status]
            standing = _any_of(self._table.statuses.bitmaps, prefixes)
            chosen.append(self._unnamed(standing) if wants_unnamed else standing)
        return chosen

    def _unnamed(self, standing: _Condition) -> _Condition:
        """Of the pins of a condition those whose name is empty, or that have none."""
        number, named = self._account.number, self._table.names.named

        def below(txn: Txn, top: int) -> Buckets:
            for bucket, found in standing.below(txn, top):
                yield bucket, found & ~named(txn, number, bucket)

        return _Condition(below, lambda txn, at: standing.bits(txn, at) & ~named(txn, number, at))

    def _any_term(self, terms: Sequence[bytes]) -> _Condition:
        prefixes = [bitmaps.term_prefix(self._account.number, term) for term in set(terms)]
        return _any_of(self._table.terms, prefixes)

    def _part(self, name: str, form: int) -> _Condition:
        part, number, table = names.part_of(name, form), self._account.number, self._table.names
        return _Condition(
            lambda txn, top: table.below(txn, number, form, top, part),
            lambda txn, bucket: table.bits(txn, number, form, bucket, part),
        )


def _any_of(table: bitmaps.Bitmaps, prefixes: list[bytes]) -> _Condition:
    def below(txn: Txn, top: int) -> Buckets:
        each = [table.below(txn, prefix, top) for prefix in prefixes]
        if len(each) == 1:
            yield from each[0]
            return
        for bucket, same in groupby(merge(*each, reverse=True), key=lambda pair: pair[0]):
            joined = 0
            for _, found in same:
                joined |= found
            yield bucket, joined

    def bits(txn: Txn, bucket: int) -> int:
        joined = 0
        for prefix in prefixes:
            joined |= table.bits(txn, prefix, bucket)
        return joined

    return _Condition(below, bits)


def matches(pin: Pin, wanted: Filter) -> bool:
    """Whether one pin is meant. What `Search` finds by its rows, said about the pin itself."""
    if wanted.cids and pin.wish.cid.as_v1() not in [cid.as_v1() for cid in wanted.cids]:
        return False
    if wanted.statuses and pin.status not in wanted.statuses:
        return False
    if wanted.before_ns is not None and pin.created_ns >= wanted.before_ns:
        return False
    if wanted.after_ns is not None and pin.created_ns <= wanted.after_ns:
        return False
    if any(pin.wish.meta.get(key) != value for key, value in wanted.meta.items()):
        return False
    return wanted.name is None or _name_matches(pin.wish.name, wanted.name, wanted.match)


def _name_matches(name: str | None, wanted: str, match: Match) -> bool:
    if not wanted:
        return match in _FORMS or not name  # every name has nothing in it; no name is as an empty one
    if name is None:
        return False
    if match in (Match.IEXACT, Match.IPARTIAL):
        name, wanted = name.casefold(), wanted.casefold()
    return wanted in name if match in _FORMS else wanted == name
