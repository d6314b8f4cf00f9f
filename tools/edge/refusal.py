"""What another server's refusal means here: HTTP status to error kind.

The words of the server are shown, shortened and marked as its own; they are never believed.
"""

import json
from typing import Final

from net.client import Reply
from runtime.errors import (
    Busy,
    EdgeError,
    Forbidden,
    NotFound,
    SourceTimeout,
    Unauthenticated,
    Unreachable,
    UsageError,
)

_BODY_BYTES_MAX: Final = 16_384  # an error object is a few hundred bytes
_WORDS_MAX: Final = 200
_OK: Final = 200
_KINDS: Final[dict[int, type[EdgeError]]] = {
    400: UsageError,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: SourceTimeout,
    410: NotFound,
    429: Busy,
    503: Busy,
    504: SourceTimeout,
}


def checked_reply(reply: Reply, url: str) -> None:
    """Raise the error that stands for `reply` unless it is a 200."""
    if reply.status == _OK:
        return
    kind = _KINDS.get(reply.status, Unreachable)
    raise kind(f"the server answered {reply.status}{_words(reply)}", where=url, hint=_hint(kind))


def _words(reply: Reply) -> str:
    body = b""
    for data in reply.pieces():
        body += data
        if len(body) > _BODY_BYTES_MAX:
            return ""
    try:
        words = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {words[:_WORDS_MAX]!r}" if isinstance(words, str) else ""


def _hint(kind: type[EdgeError]) -> str:
    if kind in (Unauthenticated, Forbidden):
        return "give a token with scope read: --token-file FILE or FLEEK_EDGE_TOKEN"
    return "it may work later" if kind in (Busy, SourceTimeout) else ""
