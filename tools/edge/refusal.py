"""What a gateway's refusal means here."""

from typing import Final

from net.client import Reply
from runtime.errors import Busy, EdgeError, Forbidden, SourceTimeout, Unauthenticated
from tools.frame.refusal import kind_of, words_of

_BODY_BYTES_MAX: Final = 16_384  # an error object is a few hundred bytes
_OK: Final = 200


def checked_reply(reply: Reply, url: str) -> None:
    """Raise the error that stands for `reply` unless it is a 200."""
    if reply.status == _OK:
        return
    kind = kind_of(reply.status)
    raise kind(f"the server answered {reply.status}{_words(reply)}", where=url, hint=_hint(kind))


def _words(reply: Reply) -> str:
    body = b""
    for data in reply.pieces():
        body += data
        if len(body) > _BODY_BYTES_MAX:
            return ""
    words = words_of(body)
    return f": {words!r}" if words else ""


def _hint(kind: type[EdgeError]) -> str:
    if kind in (Unauthenticated, Forbidden):
        return "give a token with scope read: --token-file FILE or FLEEK_EDGE_TOKEN"
    return "it may work later" if kind in (Busy, SourceTimeout) else ""
