"""The one error of the HTTP machine: a request that is refused, with the status it gets.

Called by `net.http1` and `net.bodies`; the shell turns it into an error answer and closes,
because after a framing error nobody knows where the next request begins (RFC 9112 §9.6).
"""

from typing import Final

from runtime.errors import EdgeError, Kind

_KINDS: Final = {408: Kind.TIMEOUT, 413: Kind.TOO_LARGE, 414: Kind.TOO_LARGE, 431: Kind.TOO_LARGE}


class Refused(EdgeError):
    """A request this server does not take; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.status = status
        self.kind = _KINDS.get(status, Kind.BAD_REQUEST)
