"""The one thread of a process that changes a store: group commit over extents and two environments.

A `Job` has a change for the bulk environment, one for the index, or both. The writer takes
what has gathered, runs every bulk change in one transaction, syncs the extents they wrote to and
commits it, then every index change in another: what a row points at is on the disk before the row
is. Jobs that gather while the disk works share these steps, so a thousand small puts cost two
syncs of each environment, not two thousand.

Invariants
 1. Jobs run in the order they were submitted.
 2. A change may run twice (a batch that failed is retried job by job), so it must be a function
    of the transaction alone; it raises an EdgeError only before its first write, and then it
    alone fails and its neighbours stand.
 3. No more than `backlog_bytes` wait here, unless a caller said it cannot wait (`wait=False`,
    an event loop, which asks `has_room` first).
 4. A job nobody waits for lingers up to `linger_s` for company; `urgent` ends the linger.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from durable import heap
from durable.ballast import Ballast
from durable.environment import Environment
from durable.errors import FOREIGN, disk_full, map_full, translated
from durable.extents import Extents
from durable.transaction import Txn
from runtime.clock import Clock
from runtime.errors import EdgeError, Interrupted, StoreFull

Change = Callable[[Txn], None]
_IDLE_S: Final = 1.0  # how often an idle writer looks for extents to let go of: their room waits for it
_QUIET_S: Final = 30.0  # and how long it is idle before it frees dead processes' reader slots, and memory
_BATCH_JOBS: Final = 1024  # bounds one index transaction: about 30 ms of small puts


@dataclass(slots=True, eq=False)
class Job:
    """One change of the store.

    `done(error)` runs on the writer thread after the commit, or with why there was none. `frees`:
    it may use the room that is kept back for deletions. `held_bytes`: what it keeps in memory;
    `extent_bytes`: what of that goes to extents and takes no room in the map.
    """

    bulk: Change | None = None
    index: Change | None = None
    held_bytes: int = 0
    extent_bytes: int = field(default=0, kw_only=True)
    urgent: bool = True
    frees: bool = False
    done: Callable[[EdgeError | None], None] | None = None
    error: EdgeError | None = None

    def finished(self, error: EdgeError | None) -> None:
        """Tell the caller, and let go of what the job held."""
        self.bulk = self.index = None
        if self.done is None:
            return
        try:
            self.done(error)
        except Exception as fault:  # noqa: BLE001  a caller's fault may not stop everyone's writer
            threading.excepthook(threading.ExceptHookArgs((type(fault), fault, fault.__traceback__, None)))


class GroupWriter:
    """The writer thread of one process and the queue in front of it."""

    def __init__(
        self,
        bulk: Environment,
        index: Environment,
        extents: Extents,
        clock: Clock,
        *,
        commit_bytes: int,
        backlog_bytes: int,
        linger_s: float,
    ) -> None:
        self._bulk = bulk
        self._index = index
        self._extents = extents
        self._clock = clock
        self._tended_s = self._quiet_since_s = clock.tick_s()
        self._where = str(index.path.parent)
        self._ballast = Ballast(index.path.parent)
        self._ballast.make()
        self._commit_bytes = commit_bytes
        self._backlog_limit = max(backlog_bytes, commit_bytes)
        self._linger_s = linger_s
        self._queue: deque[Job] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._waiting_for_room: deque[Callable[[], None]] = deque()
        self._held_bytes = 0  # queued and being committed
        self._queued_bytes = 0
        self._urgent = 0
        self._oldest_s = 0.0
        self._stopping = False
        heap.keep_freed()
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Whether changes are still taken."""
        return not self._stopping

    @property
    def queued_jobs(self) -> int:
        """Jobs that wait for their commit to begin."""
        return len(self._queue)

    @property
    def backlog_bytes(self) -> int:
        """Bytes handed over and not yet committed."""
        return self._held_bytes

    @property
    def has_room(self) -> bool:
        """Whether a `submit` now would not wait."""
        return self._held_bytes < self._backlog_limit

    def ready(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room: here and now, or later on the writer thread."""
        with self._lock:
            if not self.has_room and not self._stopping:
                self._waiting_for_room.append(callback)
                return
        callback()

    def submit(self, job: Job, *, wait: bool = True) -> None:
        """Queue `job`; with `wait`, block while the backlog is full. Raises Interrupted once closed."""
        with self._lock:
            while wait and not self.has_room and not self._stopping:
                self._room.wait()
            if self._stopping:
                raise Interrupted("the store is closing", where=self._where)
            if not self._queue:
                self._oldest_s = self._clock.tick_s()
            self._queue.append(job)
            self._held_bytes += job.held_bytes
            self._queued_bytes += job.held_bytes
            self._urgent += job.urgent
            if self._due() or len(self._queue) == 1:
                self._work.notify()

    def run(self, *, bulk: Change | None = None, index: Change | None = None, frees: bool = False) -> None:
        """Submit a change and wait until it is durable; raises what made it fail."""
        if threading.current_thread() is self._thread:
            raise AssertionError("the writer thread may not wait for itself")
        arrived = threading.Event()
        failure: list[EdgeError] = []

        def done(error: EdgeError | None) -> None:
            if error is not None:
                failure.append(error)
            arrived.set()

        self.submit(Job(bulk, index, frees=frees, done=done))
        arrived.wait()
        if failure:
            raise failure[0]

    def close(self) -> None:
        """Commit what is queued, then stop the thread; later submits are refused."""
        with self._lock:
            self._stopping = True
            self._work.notify()
            self._room.notify_all()
        self._thread.join()

    # The thread

    def _due(self) -> bool:
        return bool(self._urgent) or self._stopping or self._queued_bytes * 2 >= self._commit_bytes

    def _loop(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            if batch:
                self._commit(batch)
                self._let_in(sum(job.held_bytes for job in batch))
            self._tend(idle=not batch)

    def _next_batch(self) -> list[Job] | None:
        with self._lock:
            if not self._queue and not self._stopping and not self._work.wait(_IDLE_S):
                return []
            while self._queue and not self._due():
                left_s = self._linger_s - (self._clock.tick_s() - self._oldest_s)
                if left_s <= 0 or not self._work.wait(left_s):
                    break
            if not self._queue:
                return None if self._stopping else []
            batch: list[Job] = []
            taken = 0
            while self._queue and len(batch) < _BATCH_JOBS and (not batch or taken < self._commit_bytes):
                job = self._queue.popleft()
                batch.append(job)
                taken += job.held_bytes
                self._urgent -= job.urgent
            self._queued_bytes -= taken
            self._oldest_s = self._clock.tick_s()
            return batch

    def _let_in(self, bytes_: int) -> None:
        with self._lock:
            self._held_bytes -= bytes_
            self._room.notify_all()
            callbacks = []
            if self.has_room:
                callbacks = list(self._waiting_for_room)
                self._waiting_for_room.clear()
        for callback in callbacks:
            callback()

    def _commit(self, batch: list[Job], *, tries: int = 0) -> None:
        for job in batch:
            job.error = None
        try:
            self._run_changes(self._bulk, batch, bulk=True)
            self._run_changes(self._index, batch, bulk=False)
        except Exception as error:  # noqa: BLE001  whatever it was belongs to whoever waits for the job
            if len(batch) > 1:
                for job in batch:
                    self._commit([job])
                return
            if isinstance(translated(error, self._where), StoreFull) and self._made_room(batch[0], tries):
                self._commit(batch, tries=tries + 1)
                return
            batch[0].finished(translated(error, self._where))
            return
        for job in batch:
            job.finished(job.error)

    def _made_room(self, job: Job, tries: int) -> bool:
        """Whether a job without room is worth another try: with pages freed before, then with the ballast."""
        if tries and not (job.frees and self._ballast.give()):
            return False
        self._bulk.turn_over()
        self._index.turn_over()
        return True

    def _run_changes(self, environment: Environment, batch: list[Job], *, bulk: bool) -> None:
        todo = [job for job in batch if job.error is None and (job.bulk if bulk else job.index) is not None]
        if not todo:
            return
        txn = environment.begin_write()
        try:
            room, disk_room = environment.room_bytes(txn), environment.disk_room_bytes(txn)
            for job in todo:
                change = job.bulk if bulk else job.index
                assert change is not None
                taken = job.held_bytes - job.extent_bytes if bulk else 0
                room, disk_room = room - taken, disk_room - taken
                try:
                    if min(room, disk_room) < 0 and not job.frees:
                        raise map_full(self._where) if room < 0 else disk_full(self._where)
                    change(txn)
                except EdgeError as refusal:
                    job.error = refusal
            if bulk:
                self._extents.sync()
            txn.commit()
        except BaseException:
            with contextlib.suppress(*FOREIGN):
                txn.abort()  # a commit that failed has ended the transaction itself
            self._extents.drop()
            raise

    def _tend(self, *, idle: bool) -> None:
        """Give back what others have let go of, and after a while what nobody needs now."""
        now_s = self._clock.tick_s()
        if now_s - self._tended_s >= _IDLE_S:
            self._tended_s = now_s
            self._extents.let_go()
        if not idle:
            self._quiet_since_s = now_s
        elif now_s - self._quiet_since_s >= _QUIET_S:
            self._quiet_since_s = now_s
            self._ballast.make()
            for environment in (self._bulk, self._index):
                environment.reader_check()
            heap.give_back()
