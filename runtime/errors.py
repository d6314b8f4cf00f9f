"""Every failure the product can name, and the one table of what each means outside.

Classes are named by whose doing it was. Only the HTTP front and `tools/` turn them into
output; everything between lets them pass. Foreign errors (lmdb, OSError, ssl, h11) are
translated once, in the file that imports the foreign library.
"""

import errno
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What went wrong, as scripts see it in `{"error": {"kind": …}}`."""

    INTERNAL = "internal"
    USAGE = "usage"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    BLOCKED = "blocked"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_MANY_REQUESTS = "too_many_requests"
    NOT_IMPLEMENTED = "not_implemented"
    UNVERIFIED = "unverified"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    QUOTA = "quota_exceeded"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STORE_FULL = "store_full"
    DAMAGED = "damaged"
    NEWER_FORMAT = "newer_format"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a kind means outside: HTTP status, process exit code, and whether a retry may help."""

    http_status: int
    exit_code: int
    may_retry: bool


OUTCOMES: dict[Kind, Outcome] = {
    Kind.INTERNAL: Outcome(500, 1, False),
    Kind.USAGE: Outcome(400, 2, False),
    Kind.BAD_REQUEST: Outcome(400, 2, False),
    Kind.NOT_FOUND: Outcome(404, 3, False),
    Kind.METHOD_NOT_ALLOWED: Outcome(405, 2, False),
    Kind.NOT_ACCEPTABLE: Outcome(406, 2, False),
    Kind.BLOCKED: Outcome(410, 5, False),
    Kind.PRECONDITION_FAILED: Outcome(412, 3, False),
    Kind.TOO_MANY_REQUESTS: Outcome(429, 6, True),
    Kind.NOT_IMPLEMENTED: Outcome(501, 2, False),
    Kind.UNVERIFIED: Outcome(422, 4, False),
    Kind.UNAUTHENTICATED: Outcome(401, 5, False),
    Kind.FORBIDDEN: Outcome(403, 5, False),
    Kind.QUOTA: Outcome(403, 5, False),
    Kind.CONFLICT: Outcome(409, 5, False),
    Kind.TOO_LARGE: Outcome(413, 5, False),
    Kind.BUSY: Outcome(503, 6, True),
    Kind.UNREACHABLE: Outcome(502, 6, True),
    Kind.TIMEOUT: Outcome(504, 6, True),
    Kind.STORE_FULL: Outcome(507, 7, True),
    Kind.DAMAGED: Outcome(500, 8, False),
    Kind.NEWER_FORMAT: Outcome(500, 8, False),
    Kind.INTERRUPTED: Outcome(500, 130, True),
}


class EdgeError(Exception):
    """Root of all named failures.

    `message` says what was wrong, `where` names the thing (a hash, path, address, setting),
    `hint` says what to do; all three are shown to people and none may hold a secret.
    """

    kind = Kind.INTERNAL

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    @property
    def outcome(self) -> Outcome:
        """HTTP status, exit code and retry advice of this failure."""
        return OUTCOMES[self.kind]

    def as_json(self) -> dict[str, dict[str, str]]:
        """The object of the contract: `{"error": {"kind", "message", "where", "hint"}}`."""
        return {
            "error": {
                "kind": self.kind.value,
                "message": self.message,
                "where": self.where,
                "hint": self.hint,
            }
        }


class UsageError(EdgeError):
    """The caller's command line or configuration cannot be carried out as written."""

    kind = Kind.USAGE


class BadRequest(EdgeError):
    """A peer's request is malformed."""

    kind = Kind.BAD_REQUEST


class NotFound(EdgeError):
    """Nothing is stored or served under this name."""

    kind = Kind.NOT_FOUND


class MethodNotAllowed(EdgeError):
    """The resource exists and does not do this method."""

    kind = Kind.METHOD_NOT_ALLOWED


class NotAcceptable(EdgeError):
    """The content exists and not in the form that was asked for."""

    kind = Kind.NOT_ACCEPTABLE


class Blocked(EdgeError):
    """The operator's denylist names this content (RFC 9110 §15.5.11: gone, on purpose)."""

    kind = Kind.BLOCKED


class PreconditionFailed(EdgeError):
    """What the request made a condition does not hold (only-if-cached and not here)."""

    kind = Kind.PRECONDITION_FAILED


class TooManyRequests(EdgeError):
    """More costly work at once than this node does; the same request may succeed later."""

    kind = Kind.TOO_MANY_REQUESTS


class NotImplementedHere(EdgeError):
    """Understood, and not something this program does."""

    kind = Kind.NOT_IMPLEMENTED


class Unverified(EdgeError):
    """Bytes did not match the name they were offered under."""

    kind = Kind.UNVERIFIED


class Unauthenticated(EdgeError):
    """No credential, or one that is unknown, expired or revoked."""

    kind = Kind.UNAUTHENTICATED


class Forbidden(EdgeError):
    """A known caller without the right to do this."""

    kind = Kind.FORBIDDEN


class QuotaExceeded(EdgeError):
    """The account's quota does not cover what was asked."""

    kind = Kind.QUOTA


class Conflict(EdgeError):
    """The state of the thing forbids the change (it is pinned, or being written)."""

    kind = Kind.CONFLICT


class TooLarge(EdgeError):
    """A body, header or name is above its limit."""

    kind = Kind.TOO_LARGE


class Busy(EdgeError):
    """A limit on work in progress was reached; the same call may succeed later."""

    kind = Kind.BUSY


class Unreachable(EdgeError):
    """A source did not answer, or broke off."""

    kind = Kind.UNREACHABLE


class SourceTimeout(EdgeError):
    """A source, or a client's turn, took longer than its limit."""

    kind = Kind.TIMEOUT


class StoreFull(EdgeError):
    """Disk, map or store quota has no room; nothing of the write was kept."""

    kind = Kind.STORE_FULL


class BlobDamaged(EdgeError):
    """Stored bytes no longer match their name; they were not handed out."""

    kind = Kind.DAMAGED


class NewerFormat(EdgeError):
    """The store was written by a newer version than this one understands."""

    kind = Kind.NEWER_FORMAT


class Interrupted(EdgeError):
    """The user or the system asked the work to stop."""

    kind = Kind.INTERRUPTED


def file_fault(fault: OSError, path: str) -> EdgeError:
    """An operating system error about a user's file, in our words."""
    reason = (fault.strerror or str(fault)).lower()
    if fault.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFound("no such file or directory", where=path)
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Forbidden(reason, where=path, hint="check the owner and mode of the path")
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(reason, where=path, hint="make room on that file system")
    return UsageError(reason, where=path)
