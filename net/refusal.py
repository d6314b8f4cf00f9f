"""The one error of the HTTP machine: a request that is refused, with the status it gets.

Called by `net.http1` and `net.bodies`; the shell turns it into an error answer and closes,
because after a framing error nobody knows where the next request begins (RFC 9112 §9.6).
"""

from http import HTTPStatus
from typing import Final

from runtime.errors import EdgeError, Kind

_KINDS: Final = {408: Kind.TIMEOUT, 413: Kind.TOO_LARGE, 414: Kind.TOO_LARGE, 431: Kind.TOO_LARGE}
# RFC 9110 names; those of our Python are older
_NAMES: Final = {413: "CONTENT_TOO_LARGE", 414: "URI_TOO_LONG"}


class Refused(EdgeError):
    """A request this server does not take; `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.status = status
        self.kind = _KINDS.get(status, Kind.BAD_REQUEST)

    @property
    def reason(self) -> str:
        """The status by its name, as in `URI_TOO_LONG`."""
        return _NAMES.get(self.status) or HTTPStatus(self.status).name

    def as_json(self) -> dict[str, dict[str, str]]:
        """As ever, with `reason` added: it is given before the service is known, one of which has it so.

        The Pinning Service API asks for a reason in every error of every answer.
        """
        told = super().as_json()
        return {"error": {**told["error"], "reason": self.reason}}
