"""Deleting the content of storage ids that nothing points at any more, in short steps.

A doomed row is written in the same index commit that takes the last pointer away; the extent,
the slot of a pack, the segments and upper nodes go afterwards, a few milliseconds of write lock at a
time, and the row last. Without that row nothing is deleted, whoever asks. So a crash anywhere between
leaves work, never a leak and never a pointer to nothing. Of an extent only the name goes under the lock,
which ends what a transfer might still write to it; freeing its room, long for a large one, comes after.
"""

from collections.abc import Collection, Sequence
from typing import Final

from blockstore import records
from blockstore.backing import Backing
from durable import SLOTS, Cursor, Durability, Job, Txn
from runtime.errors import EdgeError, Interrupted

_CLOCK_EVERY: Final = 32  # deletions between two looks at the clock


class ClearStep:
    """One step over some doomed ids: deletes what `step_s` of write lock allows. `left` says what remains."""

    def __init__(self, backing: Backing, storage_ids: Sequence[int]) -> None:
        self._backing = backing
        self._ids = tuple(storage_ids)
        self._empty: list[int] = []
        self.left: tuple[int, ...] = self._ids
        self.cleared: tuple[int, ...] = ()

    def bulk(self, txn: Txn) -> None:
        """Delete segments, the names of extents and what is in slots."""
        self._empty = []
        stop_s = self._backing.clock.tick_s() + self._backing.settings.step_s
        if self._backing.settings.durability is Durability.LAZY:
            self._backing.index.sync()  # the rows that let go are on the disk before the content goes
        cursor = txn.cursor()
        with self._backing.index.reading() as index:
            for storage_id in self._ids:
                if index.get(records.id_key(storage_id), db=self._backing.catalog.doomed) is None:
                    continue  # another process was faster; and without the row nothing may be deleted
                self._backing.extents.retire(storage_id)
                self._backing.packs.free(storage_id)
                if not self._delete(cursor, storage_id, stop_s):
                    return
                self._empty.append(storage_id)

    def index(self, txn: Txn) -> None:
        """Delete upper nodes and the rows of ids that are empty."""
        catalog = self._backing.catalog
        stop_s = self._backing.clock.tick_s() + self._backing.settings.step_s
        cursor = txn.cursor(catalog.upper)
        done = {each for each in self._ids if txn.get(records.id_key(each), db=catalog.doomed) is None}
        for storage_id in self._empty:
            if not self._delete(cursor, storage_id, stop_s):
                break
            txn.delete(records.id_key(storage_id), db=catalog.doomed)
            done.add(storage_id)
        self.left = tuple(each for each in self._ids if each not in done)
        self.cleared = tuple(done)

    def after(self) -> None:
        """Free the room of the extents whose names are gone, and empty packs; with neither lock held."""
        free_room(self._backing, {each // SLOTS: each for each in self.cleared}.values())

    def _delete(self, cursor: Cursor, storage_id: int, stop_s: float) -> bool:
        """Delete all keys of `storage_id`; False when the time was up first."""
        prefix = records.id_key(storage_id)
        found, count = cursor.set_range(prefix), 0
        while found and cursor.key().startswith(prefix):
            if count % _CLOCK_EVERY == 0 and self._backing.clock.tick_s() > stop_s:
                return False
            found = cursor.delete()  # and moves to the next
            count += 1
        return self._backing.clock.tick_s() <= stop_s or count == 0


def free_room(backing: Backing, one_a_pack: Collection[int]) -> None:
    """Unlink the extents whose names are gone, and packs that are empty: `one_a_pack`, a number in each."""
    backing.extents.unlink_retired()
    with backing.index.reading() as txn:
        over = [each for each in one_a_pack if not backing.catalog.is_in_a_range(txn, each)]
    backing.packs.unlink_empty(over)


def clear_soon(backing: Backing, storage_ids: Sequence[int]) -> None:
    """Delete the content of `storage_ids` on the writer thread, step by step; returns at once.

    What is not done when the store closes, or fails, is left to the next sweep.
    """
    step = ClearStep(backing, storage_ids)

    def done(error: EdgeError | None) -> None:
        if error is None:
            step.after()
            if step.left:
                clear_soon(backing, step.left)

    try:
        backing.writer.submit(Job(step.bulk, step.index, frees=True, done=done), wait=False)
    except Interrupted:
        return
