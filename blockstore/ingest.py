"""Putting content in: a stream of any size becomes segments, a tree and at last one visible blob.

The caller's thread hashes and seals segments; the writer commits them. Memory: one
segment, the writer's backlog, and 32 bytes of chaining value a segment (8 MiB for 64 GiB); of a
blob whose size nobody told also what it may have without lying in an extent.
Nothing is visible before `finish`, and then all of it is: segments are committed under a storage
id of their own, and the index row that names them comes in a later commit or the same group.

Who calls: tools (files, stdin), gateway (PUT, POST), later origins.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from blockstore import segment as stored
from blockstore.backing import Backing
from blockstore.landing import Arrival, Done, Landing, Put, give_up, is_whole, submit_landing
from blockstore.records import TYPE_BYTES_MAX, BlobRow, BlobState, root_key
from blockstore.roots import LOCAL_PIN, Root
from content.bao import _native
from content.bao.geometry import SEGMENT_BYTES
from durable import Change, Extents, Job, Txn
from runtime.errors import EdgeError, StoreFull, Unverified, UsageError

Also = Callable[[Txn, bytes], None]


@dataclass(frozen=True, slots=True)
class _Whole:
    """A segment that is hashed and waits to be stored."""

    number: int
    data: bytearray
    nodes: bytes


class Ingest:
    """One blob on its way in. One thread writes; `finish`, `finish_soon` or `abort` ends it."""

    def __init__(self, backing: Backing, expected: bytes | None, size_hint: int | None) -> None:
        self._backing = backing
        self._expected = expected
        self._buffer = bytearray()
        self._segments = 0
        self._kept: list[_Whole] = []  # segments of which it is not known yet where they will lie
        bound = backing.settings.extent_above_bytes
        self._apart = None if size_hint is None else size_hint > bound
        self._cvs = bytearray()
        self._storage_id = 0
        self._error: EdgeError | None = None
        self._over = False
        self.size_bytes = 0
        self._room_bytes = self._room()
        if size_hint is not None:
            self._check_quota(size_hint)

    @property
    def backlog_bytes(self) -> int:
        """Bytes this process has handed to its writer that are not committed yet."""
        return self._backing.writer.backlog_bytes

    @property
    def has_room(self) -> bool:
        """Whether `write` would return without waiting."""
        return self._backing.writer.has_room

    @property
    def has_id(self) -> bool:
        """Whether `write` and `finish_soon` have a storage id without waiting for a commit."""
        return bool(self._storage_id) or self._backing.ids.at_hand

    def take_id(self) -> None:
        """Take the storage id now; an event loop does this on another thread when there is none at hand."""
        self._check_open()
        self._take_id()

    def ready(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room: at once, or later on a thread of the writer."""
        self._backing.writer.ready(callback)

    def write(self, buffer: bytes | bytearray | memoryview, *, wait: bool = True) -> None:
        """Take `buffer` (copied). With `wait`, blocks while the writer is behind; an event loop passes
        wait=False and asks `has_room` or `ready` first. Raises StoreFull as soon as it is known.
        """
        self._check_open()
        with memoryview(buffer) as given, given.cast("B") as view:
            self._check_quota(self.size_bytes + len(view))
            self.size_bytes += len(view)
            start = 0
            while start < len(view):
                if len(self._buffer) == SEGMENT_BYTES:
                    self._hand_over(wait)
                take = min(SEGMENT_BYTES - len(self._buffer), len(view) - start)
                if self._buffer:
                    self._buffer += view[start : start + take]
                else:
                    self._buffer = bytearray(view[start : start + take])
                start += take

    def finish(
        self,
        *,
        root: Root | None = LOCAL_PIN,
        content_type: str | None = None,
        quota_bytes: int | None = None,
        also: Also | None = None,
    ) -> Put:
        """End the blob and wait until it is durable and visible.

        `root` keeps it (None: a lease only); `quota_bytes` limits the account of an account root; `also`
        is called with the blob's name in the change that makes it visible (see `landing.Landing`).
        Raises Unverified when it is not what was expected, StoreFull, QuotaExceeded; then nothing
        of it is kept.
        """
        arrived = threading.Event()
        answer: list[Put | EdgeError] = []

        def done(outcome: Put | EdgeError) -> None:
            answer.append(outcome)
            arrived.set()

        self.finish_soon(done, root=root, content_type=content_type, quota_bytes=quota_bytes, also=also)
        arrived.wait()
        if isinstance(answer[0], EdgeError):
            raise answer[0]
        return answer[0]

    def finish_soon(
        self,
        done: Done,
        *,
        root: Root | None = LOCAL_PIN,
        content_type: str | None = None,
        quota_bytes: int | None = None,
        also: Also | None = None,
    ) -> None:
        """As `finish`, not waiting: `done` is called on the writer's thread, or here if it fails at once."""
        try:
            self._check_open()
            if len((content_type or "").encode()) > TYPE_BYTES_MAX:
                raise UsageError(f"a content type has at most {TYPE_BYTES_MAX} bytes")
            now_s = self._backing.clock.now_s()
            held_by = root or Root.lease(now_s + self._backing.settings.lease_s)
            landing = Landing(held_by, content_type or "", quota_bytes, also)
            root_key(bytes(32), held_by.kind, held_by.owner)
            self._over = True
            self._land(landing, done)
        except EdgeError as error:
            self._over = False
            self.abort()
            done(error)

    def abort(self) -> None:
        """Give the blob up; what was committed of it is deleted. Does nothing after the end."""
        if self._over:
            return
        self._over = True
        self._buffer, self._kept = bytearray(), []
        give_up(self._backing, self._storage_id)

    def __enter__(self) -> "Ingest":
        return self

    def __exit__(self, *problem: object) -> None:
        self.abort()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._over:
            raise UsageError("this ingest has ended")

    def _room(self) -> int | None:
        """Bytes this blob may have before it is refused early; the exact check is made when it lands.

        A blob of unknown name might be here already and take no room, so only one larger than the
        whole quota is refused early; one whose name is given is known to be here or not.
        """
        backing, quota = self._backing, self._backing.settings.quota_bytes
        if not quota or self._expected is None:
            return quota or None
        with backing.index.reading() as txn:
            if backing.catalog.blob(txn, self._expected) is not None:
                return quota
            return quota - backing.catalog.tally(txn).bytes_

    def _check_quota(self, size_bytes: int) -> None:
        if self._room_bytes is not None and size_bytes > self._room_bytes:
            quota = self._backing.settings.quota_bytes
            raise StoreFull(
                f"the store's quota of {quota} bytes has no room for {size_bytes} more",
                hint="remove content and run gc, or raise store.quota_bytes",
            )

    def _take_id(self) -> int:
        if not self._storage_id:
            self._storage_id = self._backing.ids.take()
        return self._storage_id

    def _taken(self, nodes: bytes) -> "_Whole":
        """The segment in the buffer, which is taken."""
        whole = _Whole(self._segments, self._buffer, nodes)
        self._buffer = bytearray()
        self._segments += 1
        return whole

    def _sealed(self, whole: "_Whole", *, last: bool) -> Job:
        """What stores a segment."""
        storage_id, number, data = self._take_id(), whole.number, whole.data
        key = stored.KEY.pack(storage_id, number)
        if self._apart:
            rest = stored.sealed_apart(data, whole.nodes, storage_id, number, last=last)
            change = _put_apart(self._backing.extents, key, data, rest)
            return Job(bulk=change, held_bytes=len(data) + len(rest), extent_bytes=len(data))
        value = stored.sealed(data, whole.nodes, storage_id, number, last=last)
        return Job(bulk=_put(key, value), held_bytes=len(value))

    def _hand_over(self, wait: bool) -> None:
        cv, nodes = _native.segment(self._buffer, self._segments, False)
        self._cvs += cv
        self._kept.append(self._taken(nodes))
        if self._apart is None and self.size_bytes > self._backing.settings.extent_above_bytes:
            self._apart = True
        if self._apart is not None:
            self._submit_kept(wait)
        self._check_open()

    def _submit_kept(self, wait: bool) -> None:
        kept, self._kept = self._kept, []
        for whole in kept:
            job = self._sealed(whole, last=False)
            job.urgent, job.done = False, self._stored
            self._backing.writer.submit(job, wait=wait)

    def _stored(self, error: EdgeError | None) -> None:
        if error is not None and self._error is None:
            self._error = error

    def _land(self, landing: Landing, done: Done) -> None:
        only = self._segments == 0
        cv, nodes = _native.segment(self._buffer, self._segments, only)
        if only:
            root, upper_nodes = cv, b""
        else:
            self._cvs += cv
            root, upper_nodes = _native.upper(self._cvs)
        if self._expected is not None and root != self._expected:
            raise Unverified(
                f"the bytes hash to {root.hex()}", where=self._expected.hex(), hint="nothing of them was kept"
            )
        self._take_id()  # here and not on a thread of the writer
        if only or self._apart is None:
            self._apart = not only and self.size_bytes > self._backing.settings.extent_above_bytes
        self._submit_kept(wait=False)
        if only and is_whole(self._backing, root):
            self._add_root(root, landing, nodes, done)
        else:
            self._write_last(root, upper_nodes, landing, nodes, done)

    def _add_root(self, root: bytes, landing: Landing, nodes: bytes, done: Done) -> None:
        """The blob is here: only its root is new, unless it vanishes or turns out damaged meanwhile."""
        backing, size = self._backing, self.size_bytes
        present = [False]

        def index(txn: Txn) -> None:
            row = backing.catalog.blob(txn, root)
            present[0] = (
                row is not None
                and row.state is BlobState.PRESENT
                and not backing.catalog.damaged_segments(txn, row.storage_id)
            )
            if present[0]:
                now_s = backing.clock.now_s()
                backing.catalog.check_account(txn, root, size, landing.held_by, landing.account_quota_bytes)
                backing.catalog.put_root(txn, root, landing.held_by, size, now_s)
                if landing.also is not None:
                    landing.also(txn, root)

        def after(error: EdgeError | None) -> None:
            if error is None and not present[0]:
                try:
                    self._write_last(root, b"", landing, nodes, done)
                except EdgeError as failure:
                    done(failure)
            else:
                backing.ids.settle(self._storage_id)
                done(error or Put(root, size, True))

        backing.writer.submit(Job(index=index, done=after), wait=False)

    def _write_last(
        self,
        root: bytes,
        upper_nodes: bytes,
        landing: Landing,
        nodes: bytes,
        done: Done,
    ) -> None:
        content = self._sealed(self._taken(nodes), last=True)
        row = BlobRow(self._storage_id, self.size_bytes, self._backing.now_ms(), landing.content_type)
        arrival = Arrival(root, row, upper_nodes, content, lambda _: self._error)
        submit_landing(self._backing, arrival, landing, done)


def _put(key: bytes, value: bytearray) -> Change:
    def put(txn: Txn) -> None:
        txn.put(key, value)

    return put


def _put_apart(extents: Extents, key: bytes, data: bytearray, rest: bytes) -> Change:
    storage_id, number = stored.KEY.unpack(key)

    def put(txn: Txn) -> None:
        extents.write(storage_id, number * SEGMENT_BYTES, data)
        txn.put(key, rest)

    return put
