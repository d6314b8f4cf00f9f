"""Where everything that ever came here came from. Nothing removes a row but a better one of the same name.

Rows are apart from blobs, blocks and roots, and neither unpin, evict, rm, the sweep nor the scrub looks at
them. `note` belongs inside the change that makes content visible, so that both are there or neither; what is
learned by fetching goes through `note_soon`, `succeeded`, `failed` and `sized`, which join what waits into
one change.

Who calls: pinning, importing and upload (`note`), fetching (the rest), people (`of`, `all`, `merge`).
"""

import contextlib
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final, TypeVar

from blockstore import origin_lines, origin_rows
from blockstore.backing import Backing
from blockstore.origin import OPERATOR, Origin
from durable import Job, Txn
from runtime.errors import BadRequest, BlobDamaged, EdgeError, Interrupted

log = logging.getLogger("fleek.origins")

_PAGE: Final = 256
_BATCH: Final = 256  # names of an import in one change: some milliseconds of the write lock
# What waits for the writer, about 500 bytes each. More than a commit's time of fetches is never there
_SOON_MAX: Final = 8192
# A source that works is not worth a commit again within this time
_FRESH_S: Final = 60.0
# The last eighth of the index is for content: what anonymous readers make us fetch must not fill it
_KEPT_OF_MAP: Final = 8

_Soon = tuple[bytes, str]  # name, address
_K = TypeVar("_K")
_V = TypeVar("_V")
BLAKE3_PREFIX: Final = b"\x1e\x20"


def blob_name(root: bytes) -> bytes:
    """The name under which origins of a blob are kept: the multihash of its BLAKE3 root."""
    return BLAKE3_PREFIX + root


@dataclass(frozen=True, slots=True)
class Merge:
    """What became of a merge: rows that are new, that are known (and may have told more), without room."""

    added: int = 0
    known: int = 0
    refused: int = 0


class OriginBook:
    """The table `origins`. All methods may be called from any thread."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._table = backing.catalog.origins
        self._lock = threading.Lock()
        self._notes: dict[bytes, tuple[bytes, Origin]] = {}  # by row key
        self._marks: dict[_Soon, tuple[float, float]] = {}  # last success, last failure
        self._said: dict[_Soon, float] = {}
        self._sizes: dict[bytes, int] = {}  # of DAGs, by name
        self._is_queued = False

    # Reading

    def of(self, name: bytes, account: str | None = None) -> list[Origin]:
        """Origins of a name (a multihash), best first; of all accounts, or of one. Rows that are damaged are
        left out. About 3 us and 4 us a row.
        """
        with self._backing.index.reading() as txn:
            found = self._rows(txn, name)
        mine = [each for _, each in found if each is not None and account in (None, each.account)]
        return sorted(mine, key=origin_rows.worth, reverse=True)

    def all(self, after: bytes = b"", account: str | None = None) -> Iterator[tuple[bytes, Origin]]:
        """(name, origin) in the order of names, of those above `after`; no snapshot between pages."""
        return chain.from_iterable(self.pages(after, account))

    def pages(self, after: bytes = b"", account: str | None = None) -> Iterator[list[tuple[bytes, Origin]]]:
        """`all` in steps of so many rows, 1 ms each; of one account there may be none in a page."""
        key = after + b"\xff" * (origin_rows.MARK_BYTES + 1) if after else b""
        while page := self._page(key):
            key = page[-1][0]
            readable = ((origin_rows.name_of(at), _readable(at, value)) for at, value in page)
            yield [(at, row) for at, row in readable if row is not None and account in (None, row.account)]

    def export(self, account: str | None = None) -> Iterator[bytes]:
        """Everything, a line of JSON an origin; `merge` takes what `origin_lines.parsed` reads."""
        return (origin_lines.line(name, origin) for name, origin in self.all(account=account))

    # Changing

    def note(self, txn: Txn, name: bytes, origin: Origin) -> bool:
        """Note an origin of a name within a change of the index; whether that made a row.

        No row is made for what is none, has one already, or finds no room. `origin` is cleaned of secrets
        first; what an account names is left out when the index is nearly full, for nothing ever takes it away
        again. Never raises for what it is given. About 30 us.
        """
        cleaned = _cleaned(origin)
        if cleaned is None or not origin_rows.is_name(name):
            return False
        if origin.account != OPERATOR and not self._has_room(txn):
            return False
        return self._put(txn, name, cleaned) is True

    def _has_room(self, txn: Txn) -> bool:
        """Whether the index may grow by what outsiders make us note."""
        map_bytes = self._backing.settings.index_map_bytes
        return self._backing.index.room_bytes(txn) > map_bytes // _KEPT_OF_MAP

    def noting(self, origin: Origin) -> Callable[[Txn, bytes], None]:
        """What notes `origin` of a blob in the change that makes it visible: `also` of `Ingest.finish`."""
        cleaned = _cleaned(origin)

        def also(txn: Txn, root: bytes) -> None:
            if cleaned is not None:
                self._put(txn, blob_name(root), cleaned)

        return also

    def note_soon(self, name: bytes, origin: Origin) -> None:
        """As `note`, with one of the next commits; not waited for. Left out when the index is nearly full."""
        cleaned = _cleaned(origin)
        if cleaned is None or not origin_rows.is_name(name):
            return
        key = origin_rows.row_key(name, cleaned)
        with self._lock:
            if len(self._notes) >= _SOON_MAX:
                return
            known = self._notes.get(key)
            self._notes[key] = (name, cleaned if known is None else origin_rows.merged(known[1], cleaned))
        self._queue()

    def succeeded(self, name: bytes, address: str, now_s: float) -> None:
        """Content under `name` came from `address`. Cheap; written once a minute at most, with others."""
        self._mark((name, address), now_s, 0.0)

    def failed(self, name: bytes, address: str, now_s: float) -> None:
        """`address` did not give what is under `name`. As `succeeded`."""
        self._mark((name, address), 0.0, now_s)

    def sized(self, name: bytes, dag_bytes: int) -> None:
        """All of the DAG `name` is here: so much is what gateways and other nodes gave of it.

        As `succeeded`; without a change when every row knows it. 5 us and 4 a row.
        """
        with self._lock:
            waits = bool(self._notes or self._marks)  # what rows do not say yet
            full = len(self._sizes) >= _SOON_MAX
        if full or not (waits or any(origin_rows.lacks_size(each) for each in self.of(name))):
            return
        with self._lock:
            self._sizes[name] = dag_bytes
        self._queue()

    def merge(self, rows: Iterable[tuple[bytes, Origin]]) -> Merge:
        """Take in what another store, or an export, knows. Nothing known here is lost; durable on return.

        Raises BadRequest for a row that is none; those before it may have been taken.
        """
        counts = Merge()
        batch: list[tuple[bytes, Origin]] = []
        for name, origin in rows:
            if not origin_rows.is_name(name):
                raise BadRequest("origins are kept under a multihash", where=name.hex()[:80])
            batch.append((name, origin_rows.cleaned(origin)))
            if len(batch) == _BATCH:
                counts = self._merged(counts, batch)
                batch = []
        return self._merged(counts, batch) if batch else counts

    def flush(self) -> None:
        """Wait until what was noted and marked so far is committed. Raises StoreFull."""
        arrived = threading.Event()
        failure: list[EdgeError] = []

        def done(error: EdgeError | None) -> None:
            if error is not None:
                failure.append(error)
            arrived.set()

        self._submit(urgent=True, also=done)
        arrived.wait()
        if failure:
            raise failure[0]

    # One transaction

    def _rows(self, txn: Txn, name: bytes) -> list[tuple[bytes, Origin | None]]:
        """All rows of a name, None for one that cannot be read. Names are prefix-free, as multihashes are."""
        cursor, found = txn.cursor(self._table), []
        more = bool(name) and cursor.set_range(name)
        while more and (key := cursor.key()).startswith(name):
            found.append((key, _readable(key, cursor.value())))
            more = cursor.next()
        return found

    def _page(self, above: bytes) -> list[tuple[bytes, bytes]]:
        page: list[tuple[bytes, bytes]] = []
        with self._backing.index.reading() as txn:
            cursor = txn.cursor(self._table)
            more = cursor.set_range(above + b"\0") if above else cursor.first()
            while more and len(page) < _PAGE:
                page.append((cursor.key(), cursor.value()))
                more = cursor.next()
        return page

    def _put(self, txn: Txn, name: bytes, origin: Origin) -> bool | None:
        """Write a clean origin. Whether its row is new; None when others leave it no room."""
        key = origin_rows.row_key(name, origin)
        value = txn.get(key, db=self._table)
        old = None if value is None else _readable(key, value)
        if old is not None:
            wider = origin_rows.merged(old, origin)
            if wider != old:
                txn.put(key, origin_rows.row_value(key, wider), db=self._table)
            return False
        known = [(each, found) for each, found in self._rows(txn, name) if each != key]
        for each, found in known:
            if found is None:
                txn.delete(each, db=self._table)  # says nothing any more
        readable = [found for _, found in known if found is not None]
        worst = origin_rows.loser([*readable, origin])
        if worst is origin:
            return None
        if worst is not None:
            txn.delete(origin_rows.row_key(name, worst), db=self._table)
        txn.put(key, origin_rows.row_value(key, origin), db=self._table)
        return True

    def _merged(self, before: Merge, batch: list[tuple[bytes, Origin]]) -> Merge:
        became: list[bool | None] = []

        def index(txn: Txn) -> None:
            became[:] = [self._put(txn, name, origin) for name, origin in batch]

        self._backing.writer.run(index=index)
        counts = (became.count(True), became.count(False), became.count(None))
        return Merge(before.added + counts[0], before.known + counts[1], before.refused + counts[2])

    # What can wait

    def _mark(self, about: _Soon, success_s: float, failure_s: float) -> None:
        with self._lock:
            if success_s:
                if success_s - self._said.get(about, -math.inf) < _FRESH_S:
                    return
                while len(self._said) >= _SOON_MAX:
                    del self._said[next(iter(self._said))]
                self._said[about] = success_s
            else:
                self._said.pop(about, None)
            if len(self._marks) >= _SOON_MAX:
                return
            before = self._marks.get(about, (0.0, 0.0))
            self._marks[about] = (max(before[0], success_s), max(before[1], failure_s))
        self._queue()

    def _queue(self) -> None:
        with self._lock:
            if self._is_queued:
                return
            self._is_queued = True
        with contextlib.suppress(Interrupted):  # the store is closing
            self._submit(urgent=False)

    def _submit(self, *, urgent: bool, also: Callable[[EdgeError | None], None] | None = None) -> None:
        taken = _Taken()

        def index(txn: Txn) -> None:
            with self._lock:
                self._is_queued = False
                taken.notes, taken.marks = dict(self._notes), dict(self._marks)
                taken.sizes = dict(self._sizes)
            self._write(txn, taken)

        def done(error: EdgeError | None) -> None:
            self._written(taken, error)
            if also is not None:
                also(error)

        self._backing.writer.submit(Job(index=index, urgent=urgent, done=done), wait=urgent)

    def _write(self, txn: Txn, taken: "_Taken") -> None:
        has_room = self._has_room(txn)
        for key, (name, origin) in taken.notes.items():
            if has_room or txn.get(key, db=self._table) is not None:
                self._put(txn, name, origin)
        for (name, address), (success_s, failure_s) in taken.marks.items():
            for _, found in self._rows(txn, name):
                if found is not None and found.address == address:
                    self._put(txn, name, _marked(found, success_s, failure_s))
        for name, dag_bytes in taken.sizes.items():
            for _, found in self._rows(txn, name):
                if found is not None and origin_rows.lacks_size(found):
                    self._put(txn, name, replace(found, size_bytes=dag_bytes))

    def _written(self, taken: "_Taken", error: EdgeError | None) -> None:
        """Forget what is on the disk now, unless more was said of it meanwhile; what is not waits on."""
        if error is not None:
            log.warning("origins were not written yet: %s", error.message)
        with self._lock:
            self._is_queued = self._is_queued and error is None
            if error is None:
                _forget(self._notes, taken.notes)
                _forget(self._marks, taken.marks)
                _forget(self._sizes, taken.sizes)


class _Taken:
    """What one change wrote of what waited."""

    def __init__(self) -> None:
        self.notes: dict[bytes, tuple[bytes, Origin]] = {}
        self.marks: dict[_Soon, tuple[float, float]] = {}
        self.sizes: dict[bytes, int] = {}


def _forget(waiting: dict[_K, _V], written: dict[_K, _V]) -> None:
    for key, value in written.items():
        if waiting.get(key) is value:
            del waiting[key]


def _marked(origin: Origin, success_s: float, failure_s: float) -> Origin:
    return replace(origin, first_success_s=success_s, last_success_s=success_s, last_failure_s=failure_s)


def _cleaned(origin: Origin) -> Origin | None:
    """The origin as it may be kept; None when its address is none."""
    try:
        return origin_rows.cleaned(origin)
    except BadRequest as error:
        log.info("an origin was not noted: %s", error)
        return None


def _readable(key: bytes, value: bytes) -> Origin | None:
    try:
        return origin_rows.row(key, value)
    except BlobDamaged as error:
        log.warning("%s (%s)", error.message, error.where)
        return None
