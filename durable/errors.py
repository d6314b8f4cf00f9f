"""Failures of LMDB and of the file system in the product's own words.

Every `lmdb.Error` and `OSError` met while touching a data folder passes `translated` once.
Disk full, quota full and map full are one thing to a caller: the write did not happen, the
store is usable, room has to be made.
"""

import errno
import os
from typing import Final

import lmdb

from runtime.errors import BlobDamaged, Busy, EdgeError, StoreFull, UsageError

FOREIGN: Final[tuple[type[Exception], ...]] = (lmdb.Error, OSError)
"""What a caller of raw transaction methods has to catch and hand to `translated`."""

_FULL: Final = (lmdb.MapFullError, lmdb.TxnFullError, lmdb.MapResizedError)
_DAMAGED: Final = (
    lmdb.CorruptedError,
    lmdb.PanicError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
)
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_BELOW_BYTES: Final = 1 << 20  # less than one small commit
_UNUSABLE_PATH: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
        errno.EEXIST,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)


def translated(error: BaseException, where: str) -> EdgeError:
    """Return the named failure for `error`, met at `where`; an EdgeError comes back unchanged."""
    if isinstance(error, EdgeError):
        return error
    if isinstance(error, lmdb.MapResizedError):
        return StoreFull(
            "another process has grown the store beyond this one's map",
            where=where,
            hint="give every process the same map size and restart this one",
        )
    if isinstance(error, _FULL):
        return map_full(where)
    if _disk_is_full(error, where):
        return disk_full(where)
    code = getattr(error, "code", getattr(error, "errno", None))
    if code == errno.ENOMEM:
        return StoreFull(
            "the system refused the memory map", where=where, hint="lower the map sizes or raise `ulimit -v`"
        )
    if isinstance(error, lmdb.ReadersFullError):
        return Busy("every reader slot of the store is taken", where=where, hint="raise max_readers")
    if code in _UNUSABLE_PATH or isinstance(error, lmdb.ReadonlyError):
        reason = getattr(error, "strerror", None) or str(error)
        if code in (errno.EEXIST, errno.ENOTDIR):
            reason = "there is a file where a folder should be"
        return UsageError(
            f"this path cannot be used: {reason}",
            where=where,
            hint="check that it exists, its owner and mode",
        )
    if code == errno.EIO or isinstance(error, _DAMAGED):
        return BlobDamaged(f"cannot read or write the database: {error}", where=where, hint="check the disk")
    return EdgeError(f"unexpected failure of the store: {error!r}", where=where)


def map_full(where: str) -> StoreFull:
    """The failure of a write for which the map has no room."""
    return StoreFull(
        "the store's map has no room left",
        where=where,
        hint="remove content and run gc, or raise the map size and restart every process of the store",
    )


def disk_full(where: str) -> StoreFull:
    """The failure of a write for which the disk has no room."""
    return StoreFull("the disk is full", where=where, hint="free some space; this write was not kept")


def _disk_is_full(error: BaseException, where: str) -> bool:
    """Whether there was no room. LMDB reports a write that the disk took only half of as EIO."""
    code = getattr(error, "code", getattr(error, "errno", None))
    if code in _NO_ROOM or isinstance(error, lmdb.DiskError):
        return True
    if code != errno.EIO:
        return False
    try:
        room = os.statvfs(where)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _FULL_BELOW_BYTES
