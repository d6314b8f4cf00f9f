"""What the refusal of another server means here: HTTP status to error kind, and its own words, shortened.

The words are shown as the server's; they are never believed.
"""

import json
from typing import Any, Final

from runtime.errors import (
    Busy,
    Conflict,
    EdgeError,
    Forbidden,
    NotFound,
    NotImplementedHere,
    SourceTimeout,
    StoreFull,
    TooLarge,
    Unauthenticated,
    Unreachable,
    Unverified,
    UsageError,
)

_WORDS_MAX: Final = 400
_KINDS: Final[dict[int, type[EdgeError]]] = {
    400: UsageError,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: NotImplementedHere,
    408: SourceTimeout,
    409: Conflict,
    410: NotFound,
    413: TooLarge,
    422: Unverified,
    429: Busy,
    501: NotImplementedHere,
    503: Busy,
    504: SourceTimeout,
    507: StoreFull,
}


def kind_of(status: int) -> type[EdgeError]:
    """The error that an HTTP status other than success stands for; Unreachable for one that says little."""
    return _KINDS.get(status, Unreachable)


def words_of(body: bytes) -> str:
    """What an error object says: ours (`message`), or that of a pinning service (`details`, `reason`)."""
    try:
        error: Any = json.loads(body)["error"]
        words = error.get("message") or error.get("details") or error.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    if not isinstance(words, str):
        return ""
    return words if len(words) <= _WORDS_MAX else f"{words[: _WORDS_MAX - 1]}…"
