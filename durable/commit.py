"""A batch of jobs becomes durable: content in one transaction, rows in the next.

`store` runs every bulk change of a batch in one transaction, syncs the extents and packs that were written
to and commits it; `publish` does the same with the index changes and tells everybody how it ended. Between
the two, what a row will point at is on the disk and nothing points at it yet, so the `publish` of one batch
may run beside the `store` of the next, on another thread: two environments, two locks. Other processes
interleave no differently.

Where a step fails, its jobs are tried again one at a time, so that what was wrong stays with the job it
belongs to. No content is written meanwhile: whatever room a deletion makes is its own.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from durable.ballast import Ballast
from durable.environment import Environment
from durable.errors import FOREIGN, disk_full, map_full, translated
from durable.extents import Extents
from durable.packs import Packs
from durable.transaction import Txn
from runtime.errors import EdgeError, StoreFull

Change = Callable[[Txn], None]


@dataclass(slots=True, eq=False)
class Job:
    """One change of the store.

    `done(error)` runs on a thread of the writer after the commit, or with why there was none. `frees`:
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


class Committer:
    """The two steps, for one process. `store` belongs to one thread, `publish` to one at a time."""

    def __init__(
        self, bulk: Environment, index: Environment, extents: Extents, packs: Packs, ballast: Ballast
    ) -> None:
        self._bulk = bulk
        self._index = index
        self._extents = extents
        self._packs = packs
        self._ballast = ballast
        self._where = str(index.path.parent)
        self._storing = threading.Lock()
        self.no_change = threading.Event()
        """Set while no change of the index runs: who reads on and on waits for it between two snapshots."""
        self.no_change.set()

    def store(self, batch: list[Job]) -> bool:
        """Commit what the batch brings for bulk; False when that failed for all of it. A refusal is kept."""
        for job in batch:
            job.error = None
        try:
            with self._storing:
                self._run_changes(self._bulk, batch, bulk=True)
        except Exception:  # noqa: BLE001  `one_by_one` meets it again, and knows whose it is
            return False
        for job in batch:
            job.bulk = None  # it may hold megabytes
        return True

    def publish(self, batch: list[Job]) -> None:
        """Commit the rows of a batch that was stored, and tell everybody."""
        stored = {job for job in batch if job.error is None}
        try:
            self._run_changes(self._index, batch, bulk=False)
        except Exception:  # noqa: BLE001  whatever it was belongs to whoever waits for the job
            with self._storing:
                for job in batch:
                    if job in stored:
                        self._run_alone(job, bulk=False)
                    else:
                        job.finished(job.error)
            return
        for job in batch:
            job.finished(job.error)

    def one_by_one(self, batch: list[Job]) -> None:
        """Commit each job of a batch that could not be stored by itself. Not beside a `publish`."""
        for job in batch:
            self._run_alone(job, bulk=True)

    def _run_alone(self, job: Job, *, bulk: bool) -> None:
        """One job to its end; `bulk`: what it brings for bulk is not committed yet."""
        tries = 0
        while True:
            job.error = None
            try:
                if bulk:
                    self._run_changes(self._bulk, [job], bulk=True)
                self._run_changes(self._index, [job], bulk=False)
            except Exception as error:  # noqa: BLE001  whatever it was belongs to whoever waits for the job
                failure = translated(error, self._where)
                if not isinstance(failure, StoreFull) or not self._made_room(job, tries):
                    job.finished(failure)
                    return
                tries += 1
            else:
                job.finished(job.error)
                return

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
        if not bulk:
            self.no_change.clear()
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
                self._packs.sync()
            else:
                self.no_change.set()
            txn.commit()
        except BaseException:
            with contextlib.suppress(*FOREIGN):
                txn.abort()  # a commit that failed has ended the transaction itself
            if bulk:
                self._extents.drop()
            else:
                self.no_change.set()
            raise
