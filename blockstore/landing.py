"""The landing of a blob: the one commit after which it is visible, and what happens when it fails.

Who calls: ingest and partial, with the last of their content in hand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from blockstore import upper
from blockstore.backing import Backing
from blockstore.catalog import Admission, Catalog
from blockstore.doomed import clear_soon
from blockstore.records import BlobRow, BlobState
from blockstore.roots import Root
from durable import Change, Job, Txn
from runtime.errors import BlobDamaged, EdgeError, Interrupted

_UPPER_ROWS_A_JOB: Final = 1024  # 4 MiB of upper nodes: 16 GiB of blob an index transaction


@dataclass(frozen=True, slots=True)
class Put:
    """What a finished ingest says: the blob's name, and whether it was there before."""

    root: bytes
    size_bytes: int
    already: bool


Done = Callable[[Put | EdgeError], None]


@dataclass(frozen=True, slots=True)
class Landing:
    """What is asked of a blob when it becomes visible.

    `also` joins the index change that makes it so, or that finds it here already; it may run twice.
    """

    held_by: Root
    content_type: str
    account_quota_bytes: int | None
    also: Callable[[Txn, bytes], None] | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A blob whose content is committed, or the last of it comes with `content` in the same group.

    `broken` is asked inside the transaction whether an earlier commit of this content failed;
    `also` joins the index change that makes it visible.
    """

    root: bytes
    row: BlobRow
    upper_nodes: bytes = b""
    content: Job | None = None
    broken: Callable[[Txn], EdgeError | None] = lambda _: None
    also: Change | None = None


def submit_landing(backing: Backing, arrival: Arrival, landing: Landing, done: Done) -> None:
    """Queue the commit that makes a blob visible; `done` is called on a thread of the writer."""
    storage_id = arrival.row.storage_id
    rows, early_failures = _submit_early_rows(backing, arrival)
    admitted: list[Admission] = []

    def index(txn: Txn) -> None:
        problem = arrival.broken(txn) or (early_failures[0] if early_failures else None)
        if problem is not None:
            raise problem
        admission = backing.catalog.admit(
            txn,
            arrival.root,
            arrival.row,
            landing.held_by,
            backing.clock.now_s(),
            quota_bytes=backing.settings.quota_bytes,
            account_quota_bytes=landing.account_quota_bytes,
        )
        admitted[:] = [admission]
        if not admission.already:
            _put_rows(backing, rows)(txn)
        if arrival.also is not None:
            arrival.also(txn)
        if landing.also is not None:
            landing.also(txn, arrival.root)

    def after(error: EdgeError | None) -> None:
        if error is not None:
            give_up(backing, storage_id)
            done(error)
            return
        backing.ids.settle(storage_id)
        if admitted[0].replaced:
            backing.board.bump()
        if admitted[0].freed:
            clear_soon(backing, admitted[0].freed)
        done(Put(arrival.root, arrival.row.size_bytes, admitted[0].already))

    job = arrival.content or Job()
    job.index, job.done = index, after
    backing.writer.submit(job, wait=False)


def _submit_early_rows(
    backing: Backing, arrival: Arrival
) -> tuple[list[tuple[bytes, bytes]], list[EdgeError]]:
    """Commit most of a very large upper tree ahead; returns the rest, and where failures will show."""
    failures: list[EdgeError] = []

    def noted(error: EdgeError | None) -> None:
        if error is not None:
            failures.append(error)

    rows = list(upper.chunks(arrival.upper_nodes, arrival.row.storage_id))
    while len(rows) > _UPPER_ROWS_A_JOB:
        part, rows = rows[:_UPPER_ROWS_A_JOB], rows[_UPPER_ROWS_A_JOB:]
        backing.writer.submit(Job(index=_put_rows(backing, part), urgent=False, done=noted), wait=False)
    return rows, failures


def give_up(backing: Backing, storage_id: int) -> None:
    """Doom the content written under an id that will never be visible. Does nothing for id 0."""
    if not storage_id:
        return

    owned = [True]

    def doom(txn: Txn) -> None:
        owned[0] = backing.catalog.owner_of(txn, storage_id) is not None
        if not owned[0]:
            backing.catalog.doom(txn, storage_id)

    def doomed(error: EdgeError | None) -> None:
        backing.ids.settle(storage_id)  # on failure the sweep of abandoned ids finds it
        if error is None and not owned[0]:
            clear_soon(backing, [storage_id])

    try:
        backing.writer.submit(Job(index=doom, frees=True, done=doomed), wait=False)
    except Interrupted:
        return  # closing: the next sweep finds the id in a dead range


def is_whole(backing: Backing, root: bytes) -> bool:
    """Whether the blob is here and not known to be damaged."""
    with backing.index.reading() as txn:
        return is_whole_in(txn, backing.catalog, root)


def is_whole_in(txn: Txn, catalog: Catalog, root: bytes) -> bool:
    """The same within a transaction."""
    try:
        row = catalog.blob(txn, root)
        return (
            row is not None
            and row.state is BlobState.PRESENT
            and not catalog.damaged_segments(txn, row.storage_id)
        )
    except BlobDamaged:
        return False


def _put_rows(backing: Backing, rows: list[tuple[bytes, bytes]]) -> Change:
    def put(txn: Txn) -> None:
        for key, value in rows:
            txn.put(key, value, db=backing.catalog.upper)

    return put
