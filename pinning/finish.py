"""What becomes of an upload whose bytes are all here: imported, pinned, and the answer kept.

Done by the request that brings the last bytes; after a crash by whoever asks next, or by `tend`. Doing it
again is harmless: blocks that are here are not stored twice, pins that were made are found again.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from blockstore import Store
from blockstore.importing import ImportReport
from blockstore.presence import SureBlocks
from content.cid import Cid
from pinning.arrival import Arrived, Book, Note, pin_arrived
from pinning.car_body import CheckRoots, import_file
from pinning.spool import Spool, Spools
from pinning.spool_record import HEADER_BYTES
from pinning.tar_body import import_tar_file, profile_of
from runtime.errors import Busy, EdgeError, NotFound

_log: Final = logging.getLogger("fleek.upload")
_SECOND_NS: Final = 1_000_000_000


class Finisher:
    """Imports and pins what has arrived. All methods block; any thread."""

    def __init__(self, store: Store, book: Book, spools: Spools, check_roots: CheckRoots, note: Note) -> None:
        self._store = store
        self._book = book
        self._spools = spools
        self._check_roots = check_roots
        self._note = note

    def finish(self, spool: Spool) -> dict[str, Any]:
        """What became of the upload; a refusal is a result. Raises what may pass by itself (StoreFull)."""
        record = self._spools.record(spool.identity)
        if record.result is not None:
            return record.result
        try:
            result = self._imported(spool)
        except EdgeError as error:
            if error.outcome.may_retry or error.outcome.http_status >= 500:
                raise
            result = refused(error)
        self._spools.settle(spool, result)
        return result

    def _imported(self, spool: Spool) -> dict[str, Any]:
        record = self._spools.record(spool.identity)
        roots: tuple[Cid, ...]
        if record.form == "tar":
            root, tar = import_tar_file(
                self._store, spool.path, HEADER_BYTES, profile_of(record.profile or None)
            )
            roots, came_to = (root,), tar.as_json()
            self._check_roots(roots)
        else:
            roots, car = import_file(self._store.dag, spool.path, HEADER_BYTES, self._check_roots)
            came_to = car_json(car)
        since_ns = int(record.created_s * _SECOND_NS)
        arrived = pin_arrived(
            SureBlocks(self._store.dag, lambda cid: self._check_roots((cid,))),
            self._book,
            self._note,
            record.sender,
            roots,
            since_ns,
            form=record.form,
        )
        return told(arrived, came_to)

    def tend(self, now_s: float, is_stopping: Callable[[], bool]) -> None:
        """Sweep what was abandoned, and finish what a crash left. A chore for one process of a node."""
        for identity in self._spools.sweep(now_s):
            if is_stopping():
                return
            try:
                with self._spools.open(identity) as spool:
                    self.finish(spool)
            except (NotFound, Busy):
                continue
            except EdgeError as error:
                _log.warning("upload %s waits: %s (%s)", identity, error.message, error.where)


def told(arrived: Sequence[Arrived], came_to: dict[str, Any]) -> dict[str, Any]:
    """What an upload came to, as answers tell it."""
    return {"pins": [each.as_json() for each in arrived], **came_to}


def car_json(report: ImportReport) -> dict[str, Any]:
    """What was in a CAR, as answers tell it."""
    return {"blocks": report.blocks, "new_blocks": report.new_blocks, "size_bytes": report.bytes_}


def refused(error: EdgeError) -> dict[str, Any]:
    """The result of an upload that can never come to anything."""
    return {**error.as_json(), "status": error.outcome.http_status}
