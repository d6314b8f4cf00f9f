"""All rows of pins as operations inside one transaction: a pin comes, changes and goes with every row it has.

So a pin, what it is found by, what it counts for and the root that keeps its blocks are never seen apart.
Nothing here opens or commits. What is read before a change may be refused; a row that cannot be read in the
middle of one ends the whole transaction (`Torn`), because half a change must not be committed.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from blockstore import Root, Store, records
from blockstore.dag_root import DagRoot
from durable import Txn
from pinning import bitmaps, rows
from pinning.accounts import Account, Accounts, Tally
from pinning.bitmaps import BUCKET_BITS, Bitmaps
from pinning.names import Names
from pinning.pin import Pin, Status
from pinning.queue import Expiry, Queue
from pinning.rows import Place
from pinning.statuses import Statuses
from runtime.errors import BadRequest, BlobDamaged, EdgeError

_CREATED: Final = b"pin-created"
_CHANGES: Final = b"pin-changes"
_FEW: Final = 16  # pins of a bucket that are read faster one by one than by walking over the others
_WAITS: Final = frozenset((Status.QUEUED, Status.PINNING))


class Torn(Exception):
    """A row could not be read in the middle of a change."""


class PinTable:
    """The tables `pin…` of a store."""

    def __init__(self, store: Store) -> None:
        index = store.index
        self._dag = store.dag
        self._pins = index.table("pins")
        self._ids = index.table("pinids")
        self._work = index.table("pinwork")
        self._proofs = index.table("pinproofs")
        self._meta = index.table("meta")
        self.accounts = Accounts(index.table("pinaccounts"))
        self.statuses = Statuses(index.table("pinstatus"))
        self.terms = Bitmaps(index.table("pinterms"), "pin term")
        self.names = Names(index.table("pinnames"))
        self.queue = Queue(index.table("pinqueue"))
        self.expiry = Expiry(index.table("pinexpiry"))

    # Reading

    def find(self, txn: Txn, request_id: str) -> tuple[Place, Pin] | None:
        """A pin by its request id, whoever's it is."""
        key = rows.created_of(request_id)
        value = None if key is None else txn.get(key, db=self._ids)
        if key is None or value is None:
            return None
        place = rows.place_row(key, value)
        pin = self.get(txn, place, self.accounts.get(txn, place.account).name)
        return None if pin is None or pin.request_id != request_id else (place, pin)

    def get(self, txn: Txn, place: Place, account: str) -> Pin | None:
        """A pin by its place, with how far its walk is; `account`: the name. About 5 us."""
        key = place.key
        value = txn.get(key, db=self._pins)
        if value is None:
            return None
        pin = rows.pin_row(account, key, value)
        return self._with_work(txn, key, pin) if rows.may_have_work(value) else pin

    def _with_work(self, txn: Txn, key: bytes, pin: Pin) -> Pin:
        return rows.with_progress(pin, txn.get(key, db=self._work), key)

    def down(self, txn: Txn, account: Account, low: int, high: int, limit: int) -> tuple[list[Pin], int]:
        """The newest `limit` pins with ordinals in [low, high), and the lowest of theirs. About 3 us each."""
        cursor = txn.cursor(self._pins)
        first = Place(account.number, low).key
        found: list[Pin] = []
        if not (cursor.prev() if cursor.set_range(Place(account.number, high).key) else cursor.last()):
            return found, low
        name, read, may_have_work = account.name, rows.pin_row, rows.may_have_work
        pinned = rows.STATUS_NUMBERS[Status.PINNED]  # nearly all; the call for each would cost a tenth of it
        for key, value in islice(cursor.iterprev(), limit):
            if key < first:
                return found, low
            pin = read(name, key, value)
            if value[1] != pinned and may_have_work(value):
                pin = self._with_work(txn, key, pin)
            found.append(pin)
        return found, rows.place_of(key).ordinal

    def chosen_down(self, txn: Txn, account: Account, bucket: int, bits: int, limit: int) -> list[Pin]:
        """The newest `limit` of the pins of a bucket that `bits` chooses. About 4 us each."""
        number, start = account.number, bucket << BUCKET_BITS
        if bits.bit_count() < _FEW:
            slots = islice(bitmaps.slots_down(bits), limit)
            pins = (self.get(txn, Place(number, start + slot), account.name) for slot in slots)
            return [pin for pin in pins if pin is not None]
        found: list[Pin] = []
        cursor = txn.cursor(self._pins)
        first, high = Place(number, start).key, Place(number, start + bits.bit_length()).key
        if not (cursor.prev() if cursor.set_range(high) else cursor.last()):
            return found
        name, read, may_have_work = account.name, rows.pin_row, rows.may_have_work
        for key, value in cursor.iterprev():
            if key < first or len(found) == limit:
                break
            if bits >> key[-1] & 1:
                pin = read(name, key, value)
                found.append(self._with_work(txn, key, pin) if may_have_work(value) else pin)
        return found

    def before(self, txn: Txn, account: Account, created_ns: int) -> int:
        """The ordinal that divides an account's pins: created before `created_ns`, and not. About 30 us."""
        cursor = txn.cursor(self._pins)
        low, high = 0, account.next_ordinal
        while low < high:  # all below `low` are before, none from `high` on
            middle = (low + high) // 2
            found = cursor.set_range(Place(account.number, middle).key)
            place = rows.place_of(cursor.key()) if found else None
            if place is None or place.account != account.number or place.ordinal >= high:
                high = middle
            elif rows.created_ns_of(cursor.value()) < created_ns:
                low = place.ordinal + 1
            else:
                high = middle
        return low

    def ordinal_of(self, txn: Txn, pin: Pin) -> int:
        """The ordinal of a pin that is here."""
        key = rows.created_key(pin.created_ns)
        value = txn.get(key, db=self._ids)
        if value is None:
            raise BlobDamaged("a pin's row in the table of ids is missing", where=pin.request_id)
        return rows.place_row(key, value).ordinal

    def places_down(
        self, txn: Txn, after_ns: int | None, before_ns: int, limit: int
    ) -> list[tuple[int, Place]]:
        """(created, place) of the newest `limit` pins of all accounts created within these bounds."""
        cursor = txn.cursor(self._ids)
        found: list[tuple[int, Place]] = []
        if before_ns <= 0:
            return found
        start = rows.created_key(min(before_ns, (1 << 64) - 1))
        if not (cursor.prev() if cursor.set_range(start) else cursor.last()):
            return found
        for key, value in cursor.iterprev():
            created_ns = int.from_bytes(key, "big")
            if len(found) == limit or (after_ns is not None and created_ns <= after_ns):
                break
            found.append((created_ns, rows.place_row(key, value)))
        return found

    def changes(self, txn: Txn) -> int:
        """Counts pins that came, were replaced or went."""
        return self._number(txn, _CHANGES)

    def work(self, txn: Txn, place: Place) -> bytes:
        """The cursor that was noted last; empty when there is none."""
        value = txn.get(place.key, db=self._work)
        return b"" if value is None else rows.work_row(place.key, value)[1]

    def tally(self, txn: Txn, account: Account) -> Tally:
        """How many pins and origins an account has. About 2 us, and once counted in a store of before."""
        known = self.accounts.tally(txn, account.number)
        if known is not None:
            return known
        has = {
            each: self.statuses.count(txn, account.number, each, 0, account.next_ordinal) for each in Status
        }
        return Tally(sum(has[each] for each in _WAITS), sum(has.values()))

    # Changing

    def count(self, txn: Txn, account: Account, *, pins: int = 0, waiting: int = 0, origins: int = 0) -> None:
        """Note how many more an account has; comes before the change of statuses that it stands for."""
        has = self.tally(txn, account)
        more = Tally(max(0, has.open + waiting), max(0, has.pins + pins), has.origins + origins)
        self.accounts.put_tally(txn, account.number, more)

    def take_created(self, txn: Txn, now_s: float, count: int) -> range:
        """`count` times in a row, nanoseconds since the epoch, above those of every pin before."""
        first = max(int(now_s * 1_000_000_000), self._number(txn, _CREATED) + 1)
        taken = range(first, first + count)
        self._put_number(txn, _CREATED, taken[-1])
        return taken

    def insert(self, txn: Txn, account: Account, status: Status, pins: Sequence[Pin]) -> None:
        """Pins come, oldest first and all with this status, with the roots that keep their blocks.

        About 80 us for one and 40 us each for many, which share rows.
        """
        if account.next_ordinal + len(pins) > rows.ORDINALS_MAX:
            raise BadRequest("this account has had as many pins as an account can", where=account.name)
        places = [Place(account.number, account.next_ordinal + index) for index in range(len(pins))]
        self.count(txn, account, pins=len(pins), waiting=len(pins) if status in _WAITS else 0)
        self.accounts.put(txn, replace(account, next_ordinal=account.next_ordinal + len(pins)))
        terms: dict[bytes, list[int]] = {}
        for place, pin in zip(places, pins, strict=True):
            self._write(txn, place, pin)
            key = rows.created_key(pin.created_ns)
            txn.put(key, rows.place_value(key, place), db=self._ids)
            for term in bitmaps.terms_of(pin.wish):
                terms.setdefault(term, []).append(place.ordinal)
            self.expiry.add(txn, place, pin.wish.expires_s)
            if status in _WAITS:
                self.queue.add(txn, place, pin.next_try_s)
            if status is Status.PINNED:
                self._weigh(txn, place, pin, 1)
        for term, ordinals in terms.items():
            self.terms.set(txn, bitmaps.term_prefix(account.number, term), ordinals)
        self.statuses.add(txn, account.number, status, [place.ordinal for place in places])
        called = zip(places, pins, strict=True)
        names = {place.ordinal: pin.wish.name for place, pin in called if pin.wish.name}
        self.names.put(txn, account.number, names)
        self._dag.put_roots(txn, [DagRoot(pin.wish.cid, root_of(pin)) for pin in pins])
        self.count_change(txn)

    def delete(self, txn: Txn, place: Place, pin: Pin) -> None:
        """A pin goes, and lets go of its blocks."""
        account = self.accounts.get(txn, place.account)
        self.count(txn, account, pins=-1, waiting=-(pin.status in _WAITS))
        for table, key in ((self._pins, place.key), (self._work, place.key)):
            txn.delete(key, db=table)
        txn.delete(rows.created_key(pin.created_ns), db=self._ids)
        txn.delete(pin.request_id.encode(), db=self._proofs)
        self.statuses.drop(txn, place.account, pin.status, [place.ordinal])
        for term in bitmaps.terms_of(pin.wish):
            self.terms.clear(txn, bitmaps.term_prefix(place.account, term), [place.ordinal])
        if pin.wish.name:
            self.names.put(txn, place.account, {place.ordinal: ""})
        self.expiry.drop(txn, place, pin.wish.expires_s)
        if pin.status in _WAITS:
            self.queue.drop(txn, place, pin.next_try_s)
        if pin.status is Status.PINNED:
            self._weigh(txn, place, pin, -1)
        self._dag.drop_root(txn, pin.wish.cid, root_of(pin))
        self.count_change(txn)

    def update(self, txn: Txn, place: Place, old: Pin, new: Pin) -> None:
        """What became of a pin: status, details, sizes, tries. Its wish does not change."""
        self._write(txn, place, new)
        if old.status is not new.status:
            waiting = (new.status in _WAITS) - (old.status in _WAITS)
            if old.status is Status.PINNED:
                self._weigh(txn, place, old, -1)
            if waiting:
                self.count(txn, self.accounts.get(txn, place.account), waiting=waiting)
            self.statuses.drop(txn, place.account, old.status, [place.ordinal])
            self.statuses.add(txn, place.account, new.status, [place.ordinal])
        if old.status in _WAITS:
            self.queue.drop(txn, place, old.next_try_s)
        if new.status in _WAITS:
            self.queue.add(txn, place, new.next_try_s)
        else:
            txn.delete(place.key, db=self._work)
        if new.status is Status.PINNED:
            self._weigh(txn, place, new, 1)
        if new.status is Status.FAILED:
            self._dag.drop_root(txn, new.wish.cid, root_of(new))

    def put_work(self, txn: Txn, place: Place, value: bytes) -> None:
        """Note how far a walk is, if its pin is here still and waits for it."""
        pin = txn.get(place.key, db=self._pins)
        if pin is not None and rows.is_open(pin):
            txn.put(place.key, value, db=self._work)

    def count_change(self, txn: Txn) -> None:
        """Tell the workers of all processes that there is something to look at."""
        self._put_number(txn, _CHANGES, self._number(txn, _CHANGES) + 1)

    def added_bytes(self, txn: Txn, place: Place, pin: Pin, dag_bytes: int) -> int:
        """What the account would have more if this pin were pinned with so many bytes."""
        count, _ = self.accounts.size(txn, place.account, bitmaps.cid_term(pin.wish.cid))
        return 0 if count else dag_bytes

    def freed_bytes(self, txn: Txn, place: Place, pin: Pin) -> int:
        """What the account would have less without this pin."""
        if pin.status is not Status.PINNED:
            return 0
        count, bytes_ = self.accounts.size(txn, place.account, bitmaps.cid_term(pin.wish.cid))
        return bytes_ if count == 1 else 0

    def _weigh(self, txn: Txn, place: Place, pin: Pin, change: int) -> None:
        """Count the bytes of a root once, for as long as any pin of the account has it pinned."""
        term = bitmaps.cid_term(pin.wish.cid)
        count, bytes_ = self.accounts.size(txn, place.account, term)
        if not count:
            bytes_ = pin.dag_bytes or 0
        self.accounts.put_size(txn, place.account, term, count + change, bytes_)
        if not (count and count + change):
            account = self.accounts.get(txn, place.account)
            left = max(0, account.bytes_ + change * bytes_)
            self.accounts.put(txn, replace(account, bytes_=left))

    def _write(self, txn: Txn, place: Place, pin: Pin) -> None:
        txn.put(place.key, rows.pin_value(place.key, pin), db=self._pins)

    def _number(self, txn: Txn, key: bytes) -> int:
        value = txn.get(key, db=self._meta)
        return 0 if value is None else int.from_bytes(records.opened(key, value, "meta"), "big")

    def _put_number(self, txn: Txn, key: bytes, number: int) -> None:
        txn.put(key, records.seal(key, number.to_bytes(8, "big")), db=self._meta)


def root_of(pin: Pin) -> Root:
    """What keeps the blocks of a pin; one over is taken by gc even when nobody ran `expire`."""
    return Root.account(f"{pin.account}/{pin.request_id}", pin.wish.name or "", pin.wish.expires_s)


@contextlib.contextmanager
def whole() -> Iterator[None]:
    """Around the writes of a change: a refusal in there must not leave half of it behind."""
    try:
        yield
    except EdgeError as fault:
        raise Torn(fault.message) from fault
