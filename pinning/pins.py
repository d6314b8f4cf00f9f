"""The pins of a store: `PinBook` for those who ask for them, `PinWork` for the worker that brings them here.

Each change is one transaction of the index through the store's group writer: adding a pin costs one sync of
the index, shared with whatever else is committed then. Reads hold a snapshot for some milliseconds at most
and none between two pages. One `Pins` a process and store; any thread; calls block but for those named
`…_soon`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from blockstore import Store
from blockstore.origin_address import all_named
from durable import Txn
from pinning import rows
from pinning.accounts import Account
from pinning.limits import PinLimits, check_count, check_more, check_quota, may_note
from pinning.moves import OPEN, Moves
from pinning.pin import LIMIT_MAX, Filter, Match, Page, Pin, PinUsage, Progress, Status, Wish
from pinning.ports import End
from pinning.rows import Place
from pinning.search import Search, matches
from pinning.size import check_here
from pinning.soon import Noted
from pinning.table import PinTable, whole
from runtime.errors import BadRequest, EdgeError, NotFound

BATCH_MAX: Final = 1000  # pins added in one change: some 50 ms of the write lock
STREAM_PAGE: Final = 64  # pins read in one snapshot; more of them outlive the collector's first look
_NEVER_NS: Final = (1 << 64) - 1
_INEXACT: Final = frozenset((Match.PARTIAL, Match.IPARTIAL))
Change: TypeAlias = Callable[[Txn], None]
Done: TypeAlias = Callable[[Pin | EdgeError], None]


class Pins:
    """The pins of an open store."""

    def __init__(self, store: Store, limits: PinLimits | None = None) -> None:
        """`limits`: of each account; None for none."""
        self._store, self._limits = store, limits or PinLimits()
        self._index = store.index
        self.table = PinTable(store)
        self._turn = 0  # the account that was served last
        self._noted = Noted(store.index, self.table)
        self._moves = Moves(store.index, self.table)

    # Asking for pins

    def add(self, account: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        """Accept a pin: queued, and its root keeps every block of it from gc, once this returns.

        Raises QuotaExceeded when the account is at its quota or one of its limits already, BadRequest naming
        the field, StoreFull.
        """
        return self.add_many(account, [wish], quota_bytes=quota_bytes)[0]

    def add_many(self, account: str, wishes: Sequence[Wish], *, quota_bytes: int | None = None) -> list[Pin]:
        """Accept up to BATCH_MAX pins in one commit, all or none, created in their order."""
        change, made = self._adding(account, wishes, quota_bytes)
        self._index.change(change)
        return made

    def add_soon(self, account: str, wish: Wish, done: Done, *, quota_bytes: int | None = None) -> None:
        """`add` for an event loop: `done` hears on the writer thread of the pin, or why there is none.

        Raises BadRequest at once.
        """
        change, made = self._adding(account, [wish], quota_bytes)
        self._index.change_soon(change, lambda error: done(made[0] if error is None else error))

    def _adding(
        self, account: str, wishes: Sequence[Wish], quota_bytes: int | None
    ) -> tuple[Change, list[Pin]]:
        if not 0 < len(wishes) <= BATCH_MAX:
            raise BadRequest(f"1 to {BATCH_MAX} pins are added at once", where="pins")
        for wish in wishes:
            rows.checked_wish(wish)
        rows.checked_account(account)
        self._refuse_too_large(account, wishes, quota_bytes)
        tokens = os.urandom(rows.TOKEN_BYTES * len(wishes))
        made: list[Pin] = []
        self._store.dag.mark_store()

        def change(txn: Txn) -> None:
            who = self.table.accounts.find(txn, account)
            self._check_quota(txn, who, quota_bytes, 0)
            tally, more = self.table.tally(txn, who), len(wishes)
            check_count(self._limits, account, tally, more=more, more_open=more)
            with whole():
                made[:] = self._new(txn, who, wishes, tokens)
                self.table.insert(txn, who, Status.QUEUED, made)

        return change, made

    def _new(self, txn: Txn, account: Account, wishes: Sequence[Wish], tokens: bytes) -> list[Pin]:
        """Pins for wishes, and their origins on record."""
        now_s, made = self._index.now_s(), []
        times = self.table.take_created(txn, now_s, len(wishes))
        for index, (created_ns, wish) in enumerate(zip(times, wishes, strict=True)):
            token = tokens[rows.TOKEN_BYTES * index :][: rows.TOKEN_BYTES]
            request_id = rows.request_id(created_ns, token)
            made.append(Pin(request_id, account.name, created_ns, Status.QUEUED, wish))
            self._note_origins(txn, account, wish, now_s)
        return made

    def _note_origins(self, txn: Txn, account: Account, wish: Wish, now_s: float) -> None:
        for origin in all_named(wish.origins, account.name, now_s):
            if not may_note(self._limits, self.table.tally(txn, account)):
                return
            if self._store.origins.note(txn, wish.cid.multihash, origin):
                self.table.count(txn, account, origins=1)

    def replace(self, account: str, request_id: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        """A new pin in place of an old one, in one commit: shared blocks stay kept.

        A pinned one with the same CID is pinned at once. Raises NotFound, QuotaExceeded, BadRequest.
        """
        change, made = self._replacing(account, request_id, wish, quota_bytes)
        self._index.change(change)
        return made[0]

    def replace_soon(
        self, account: str, request_id: str, wish: Wish, done: Done, *, quota_bytes: int | None = None
    ) -> None:
        """`replace` for an event loop, as `add_soon`."""
        change, made = self._replacing(account, request_id, wish, quota_bytes)
        self._index.change_soon(change, lambda error: done(made[0] if error is None else error))

    def _replacing(
        self, account: str, request_id: str, wish: Wish, quota_bytes: int | None
    ) -> tuple[Change, list[Pin]]:
        rows.checked_wish(wish)
        token = os.urandom(rows.TOKEN_BYTES)
        made: list[Pin] = []

        def change(txn: Txn) -> None:
            place, old = self._own(txn, account, request_id)
            who = self.table.accounts.get(txn, place.account)
            self._check_quota(txn, who, quota_bytes, self.table.freed_bytes(txn, place, old))
            stays = old.status is Status.PINNED and old.wish.cid == wish.cid
            more_open = int(not stays and old.status not in OPEN)
            check_count(self._limits, account, self.table.tally(txn, who), more=0, more_open=more_open)
            with whole():
                [new] = self._new(txn, who, [wish], token)
                if stays:
                    # all of it is here and was kept until this commit
                    sizes = replace(new, dag_bytes=old.dag_bytes, raw_bytes=old.raw_bytes)
                    new = replace(sizes, status=Status.PINNED)
                self.table.insert(txn, who, new.status, [new])
                self.table.delete(txn, place, old)
                made[:] = [new]

        return change, made

    def remove(self, account: str, request_id: str) -> None:
        """Let go; the next gc takes what nothing else keeps. Durable on return. Raises NotFound."""
        self._index.change(self._removing(account, request_id), frees=True)

    def remove_soon(self, account: str, request_id: str, done: Callable[[EdgeError | None], None]) -> None:
        """`remove` for an event loop: `done` hears on the writer thread how it ended."""
        self._index.change_soon(self._removing(account, request_id), done, frees=True)

    def _removing(self, account: str, request_id: str) -> Change:
        def change(txn: Txn) -> None:
            place, pin = self._own(txn, account, request_id)
            with whole():
                self.table.delete(txn, place, pin)

        return change

    def _own(self, txn: Txn, account: str, request_id: str) -> tuple[Place, Pin]:
        found = self.table.find(txn, request_id)
        if found is None or found[1].account != account:
            raise NotFound("there is no pin with this request id", where=request_id[:64])
        return found

    def _refuse_too_large(self, account: str, wishes: Sequence[Wish], quota_bytes: int | None) -> None:
        """Refuse what is here already and larger than what is left."""
        if quota_bytes is None:
            return
        room_bytes = quota_bytes - self.usage(account).bytes_
        for wish in wishes:
            same = Filter(cids=(wish.cid,), statuses=frozenset((Status.PINNED,)))
            if not self.page(account, same, 1).pins:  # else it is counted already
                check_here(wish.cid, self._store.dag, room_bytes)

    def _check_quota(self, txn: Txn, account: Account, quota_bytes: int | None, freed_bytes: int) -> None:
        if quota_bytes is not None:
            check_quota(account.name, self._used_bytes(txn, account) - freed_bytes, quota_bytes)

    def _used_bytes(self, txn: Txn, account: Account) -> int:
        return account.bytes_ + self._index.account_bytes(txn, account.name)

    # Looking

    def get(self, account: str, request_id: str) -> Pin:
        """One pin. Raises NotFound. About 15 us."""
        with self._index.reading() as txn:
            return self._own(txn, account, request_id)[1]

    def page(self, account: str, wanted: Filter, limit: int) -> Page:
        """The newest `limit` (1 to LIMIT_MAX) matching pins, and how many match. Holds no snapshot after."""
        if not 0 < limit <= LIMIT_MAX:
            raise BadRequest(f"a page has 1 to {LIMIT_MAX} pins", where="limit")
        is_exact = not wanted.meta and (wanted.name is None or wanted.match not in _INEXACT)
        with self._index.reading() as txn:
            search = self._search(txn, account, wanted)
            if search is None:
                return Page(0, ())
            counting = not search.is_counted
            step = search.step(txn, search.top, limit, counting=counting)
            count = step.count if counting else search.count(txn)
        pins = step.pins
        while counting and step.top is not None and (is_exact or count <= limit):
            with self._index.reading() as txn:
                step = search.step(txn, step.top, limit - len(pins), counting=True)
            pins += step.pins
            count += step.count
        # a pin that came or went between two snapshots may be in one and not in the other
        return Page(max(count, len(pins)), tuple(pins))

    def stream(self, account: str | None, wanted: Filter) -> Iterator[Pin]:
        """All matching pins, newest first; no snapshot between pages. None: of every account."""
        if account is None:
            yield from self._stream_all(wanted)
            return
        with self._index.reading() as txn:
            search = self._search(txn, account, wanted)
        top = None if search is None else search.top
        while search is not None and top is not None:
            self._index.give_way()
            with self._index.reading() as txn:
                step = search.step(txn, top, STREAM_PAGE, counting=False)
            yield from step.pins
            top = step.top

    def _search(self, txn: Txn, account: str, wanted: Filter) -> Search | None:
        """None when nothing can match."""
        number = self.table.accounts.number(txn, account)
        if number is None:
            return None
        who = self.table.accounts.get(txn, number)
        low, high = 0, who.next_ordinal
        if wanted.after_ns is not None:
            low = self.table.before(txn, who, wanted.after_ns + 1)
        if wanted.before_ns is not None:
            high = self.table.before(txn, who, wanted.before_ns)
        return Search(self.table, who, wanted, low, high) if low < high else None

    def _stream_all(self, wanted: Filter) -> Iterator[Pin]:
        before_ns = _NEVER_NS if wanted.before_ns is None else wanted.before_ns
        names: dict[int, str] = {}
        while True:
            page: list[Pin] = []
            with self._index.reading() as txn:
                places = self.table.places_down(txn, wanted.after_ns, before_ns, STREAM_PAGE)
                for before_ns, place in places:  # noqa: B007  the last one is where the next page begins
                    if place.account not in names:
                        names[place.account] = self.table.accounts.get(txn, place.account).name
                    pin = self.table.get(txn, place, names[place.account])
                    if pin is not None and matches(pin, wanted):
                        page.append(pin)
            if not places:
                return
            yield from page

    def usage(self, account: str) -> PinUsage:
        """What the account has, and the bytes its quota counts: roots it has pinned, and blobs it has put."""
        with self._index.reading() as txn:
            who = self.table.accounts.find(txn, account)
            count = self.table.statuses.count
            pins = {status: count(txn, who.number, status, 0, who.next_ordinal) for status in Status}
            return PinUsage(pins, self._used_bytes(txn, who))

    def totals(self) -> PinUsage:
        """What all accounts have together; no snapshot between pages. About 20 us an account."""
        pins, bytes_, above = dict.fromkeys(Status, 0), 0, 0
        while True:
            with self._index.reading() as txn:
                page = self.table.accounts.some(txn, above, STREAM_PAGE)
                for who in page:
                    bytes_ += who.bytes_
                    for status in Status:
                        pins[status] += self.table.statuses.total(txn, who.number, status)
            if not page:
                return PinUsage(pins, bytes_)
            above = page[-1].number

    # The worker's side

    def due(self, now_s: float, limit: int, busy: Sequence[str] = ()) -> list[Pin]:
        """Queued and interrupted pins whose turn it is, without request ids in `busy`; at most `limit`.

        Accounts take turns, those with the fewest in `busy` first; oldest first within an account.
        """
        with self._index.reading() as txn:
            held = [self.table.find(txn, request_id) for request_id in busy]
            in_hand = {found[0] for found in held if found is not None}
            places = self.table.queue.due(txn, now_s, limit, in_hand, self._turn)
            found = [
                self.table.get(txn, place, self.table.accounts.get(txn, place.account).name)
                for place in places
            ]
        if places:
            self._turn = places[-1].account
        return [pin for pin in found if pin is not None]

    def waits(self) -> bool:
        """Whether any pin waits for the worker, now or later; 3 us."""
        with self._index.reading() as txn:
            return not self.table.queue.is_empty(txn)

    def changes(self) -> int:
        """A number that is another one after pins were accepted, replaced or removed; 3 us. Any process."""
        with self._index.reading() as txn:
            return self.table.changes(txn)

    def is_counted(self, request_id: str) -> bool:
        """Whether the account has this root pinned already, so that its bytes count no more. About 20 us."""
        with self._index.reading() as txn:
            found = self.table.find(txn, request_id)
            return found is not None and not self.table.added_bytes(txn, *found, dag_bytes=1)

    def begin(self, request_id: str) -> Pin | None:
        """Mark as pinning; None when it was removed meanwhile, or needs nothing any more."""
        return self._moves.moved(request_id, lambda pin: replace(pin, status=Status.PINNING))

    def progress(self, request_id: str, progress: Progress, cursor: bytes) -> bool:
        """Note how far it is; `cursor` (at most 64 KiB) is what the walk goes on from. False when it is gone.

        Not waited for: it is written with the next commit, at the latest after `store.linger_s`.
        """
        with self._index.reading() as txn:
            found = self.table.find(txn, request_id)
        if found is None or found[1].status not in OPEN:
            return False
        self._noted.note(found[0], rows.work_value(found[0].key, progress, cursor))
        return True

    def cursor(self, request_id: str) -> bytes:
        """What `progress` kept last; empty when nothing."""
        with self._index.reading() as txn:
            found = self.table.find(txn, request_id)
            return b"" if found is None else self.table.work(txn, found[0])

    def pinned(
        self, request_id: str, dag_bytes: int, raw_bytes: int, *, quota_bytes: int | None = None
    ) -> bool:
        """All of it is here. False when it is gone. Raises QuotaExceeded (the pin is then to be failed)."""

        def refuse(txn: Txn, place: Place, pin: Pin) -> None:
            if quota_bytes is not None:
                more = self.table.added_bytes(txn, place, pin, dag_bytes)
                used = self._used_bytes(txn, self.table.accounts.get(txn, place.account))
                check_more(pin.account, used, more, quota_bytes)

        def become(pin: Pin) -> Pin:
            sizes = replace(pin, dag_bytes=dag_bytes, raw_bytes=raw_bytes)
            return replace(sizes, status=Status.PINNED, details="", next_try_s=0.0)

        moved = self._moves.moved(request_id, become, refuse)
        if moved is not None:
            self._store.origins.sized(moved.wish.cid.multihash, dag_bytes)
        return moved is not None

    def retry(self, request_id: str, details: str, next_try_s: float) -> bool:
        """This try ended; queue it again for `next_try_s`. False when it is gone."""
        return self.ended([(request_id, details, next_try_s)]) == 1

    def failed(self, request_id: str, details: str) -> bool:
        """Given up, and why. What has arrived stays until gc finds it unkept. False when it is gone."""
        return self.ended([(request_id, details, None)]) == 1

    def ended(self, ends: Sequence[End]) -> int:
        """`retry` or `failed` for many in one commit, at most BATCH_MAX; how many were there."""
        return self._moves.ended(ends)

    def expire(self, now_s: float, limit: int) -> int:
        """Remove pins whose time is over, at most `limit`; how many. Without a commit when there are none."""
        return self._moves.expire(now_s, limit)
