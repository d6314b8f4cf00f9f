"""Where changes of a store wait for their commit: the queue of a process, and its two threads.

A `Job` has a change for the bulk environment, one for the index, or both. The writer takes what has
gathered and makes it durable in two steps (`durable.commit`): first content, then the rows that point at it.
Jobs that gather while the disk works share these steps, so a thousand small puts cost two
syncs of each environment, not two thousand. The rows of a batch that brought much content are committed by
a second thread beside the content of the next batch.

Invariants
 1. Changes run in the order their jobs were submitted, those of each environment for itself; `done`
    of one batch is over before a row of the next is written.
 2. A change may run twice (a batch that failed is retried job by job), so it must be a function
    of the transaction alone; it raises an EdgeError only before its first write, and then it
    alone fails and its neighbours stand. A bulk change sees rows of batches that are durable, and
    perhaps not yet those of the batch before its own.
 3. No more than `backlog_bytes` wait here, unless a caller said it cannot wait (`wait=False`,
    an event loop, which asks `has_room` first).
 4. A job nobody waits for lingers up to `linger_s` for company; `urgent` ends the linger.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from durable import heap
from durable.ballast import Ballast
from durable.commit import Change, Committer, Job
from durable.environment import Environment
from durable.extents import Extents
from durable.packs import Packs
from runtime.clock import Clock
from runtime.errors import EdgeError, Interrupted

_IDLE_S: Final = 1.0  # how often an idle writer looks for extents to let go of: their room waits for it
_QUIET_S: Final = 30.0  # and how long it is idle before it frees dead processes' reader slots, and memory
# Of `commit_bytes`: from such a batch on, waking a thread (50 us) is nothing beside its rows (some ms)
_MUCH: Final = 1 / 8
_BATCH_JOBS: Final = 1024  # bounds one index transaction: about 30 ms of small puts


class GroupWriter:
    """The threads of one process that change its store, and the queue in front of them."""

    def __init__(
        self,
        bulk: Environment,
        index: Environment,
        extents: Extents,
        packs: Packs,
        clock: Clock,
        *,
        commit_bytes: int,
        backlog_bytes: int,
        linger_s: float,
    ) -> None:
        self._bulk = bulk
        self._index = index
        self._extents = extents
        self._packs = packs
        self._clock = clock
        self._tended_s = self._quiet_since_s = clock.tick_s()
        self._where = str(index.path.parent)
        self._ballast = Ballast(index.path.parent)
        self._ballast.make()
        self._committer = Committer(bulk, index, extents, packs, self._ballast)
        self._commit_bytes = commit_bytes
        self._backlog_limit = max(backlog_bytes, commit_bytes)
        self._linger_s = linger_s
        self._queue: deque[Job] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._waiting_for_room: deque[Callable[[], None]] = deque()
        self._held_bytes = 0  # queued, and content that is being committed
        self._queued_bytes = 0
        self._urgent = 0
        self._oldest_s = 0.0
        self._stopping = False
        heap.keep_freed()
        self._stored: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()  # at most one
        self._settled = threading.Event()  # no batch is being published beside
        self._settled.set()
        self._threads = (
            threading.Thread(target=self._loop, name="store-writer", daemon=True),
            threading.Thread(target=self._publish_beside, name="store-publisher", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    @property
    def is_open(self) -> bool:
        """Whether changes are still taken."""
        return not self._stopping

    def give_way(self, longest_s: float) -> bool:
        """Wait while a change of the index runs, so long at most; whether none does now. 0.1 us without one.

        A change is a few dozen calls of LMDB, each of which lets go of the interpreter: what a thread that
        reads on and on takes of it then, the change waits for, call by call.
        """
        no_change = self._committer.no_change
        return no_change.is_set() or no_change.wait(longest_s)

    @property
    def queued_jobs(self) -> int:
        """Jobs that wait for their commit to begin."""
        return len(self._queue)

    @property
    def backlog_bytes(self) -> int:
        """Bytes handed over whose content is not committed yet."""
        return self._held_bytes

    @property
    def has_room(self) -> bool:
        """Whether a `submit` now would not wait."""
        return self._held_bytes < self._backlog_limit

    def ready(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room: here and now, or later on a thread of the writer."""
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
        if threading.current_thread() in self._threads:
            raise AssertionError("the writer's threads may not wait for themselves")
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
        """Commit what is queued, then stop the threads; later submits are refused."""
        with self._lock:
            self._stopping = True
            self._work.notify()
            self._room.notify_all()
        for thread in self._threads:
            thread.join()

    # The threads

    def _due(self) -> bool:
        return bool(self._urgent) or self._stopping or self._queued_bytes * 2 >= self._commit_bytes

    def _loop(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                self._settled.wait()
                self._stored.put(None)
                return
            if batch:
                self._commit(batch)
            self._tend(idle=not batch)

    def _commit(self, batch: list[Job]) -> None:
        is_stored = self._committer.store(batch)
        if is_stored:
            self._let_in(batch)
        self._settled.wait()
        if not is_stored:
            self._committer.one_by_one(batch)
            self._let_in(batch)
        elif sum(job.held_bytes for job in batch) >= self._commit_bytes * _MUCH:
            self._settled.clear()
            self._stored.put(batch)
        else:
            self._committer.publish(batch)

    def _publish_beside(self) -> None:
        while (batch := self._stored.get()) is not None:
            self._committer.publish(batch)
            self._settled.set()

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

    def _let_in(self, ended: list[Job]) -> None:
        with self._lock:
            self._held_bytes -= sum(job.held_bytes for job in ended)
            self._room.notify_all()
            callbacks = []
            if self.has_room:
                callbacks = list(self._waiting_for_room)
                self._waiting_for_room.clear()
        for callback in callbacks:
            callback()

    def _tend(self, *, idle: bool) -> None:
        """Give back what others have let go of, and after a while what nobody needs now."""
        now_s = self._clock.tick_s()
        if now_s - self._tended_s >= _IDLE_S:
            self._tended_s = now_s
            self._extents.let_go()
            self._packs.let_go()
        if not idle:
            self._quiet_since_s = now_s
        elif now_s - self._quiet_since_s >= _QUIET_S:
            self._quiet_since_s = now_s
            self._ballast.make()
            for environment in (self._bulk, self._index):
                environment.reader_check()
            heap.give_back()
