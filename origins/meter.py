"""Counts what fetching does, into this process's slot of the board."""

from typing import Final

from runtime.errors import EdgeError, Kind
from runtime.metrics import ORIGIN_FAILURES, ORIGIN_REQUESTS, word

_REQUESTS: Final = {kind: word("fleek_origin_requests_total", ("for", kind)) for kind in ORIGIN_REQUESTS}
_FAILURES: Final = {why: word("fleek_origin_failures_total", ("why", why)) for why in ORIGIN_FAILURES}
_WHY: Final = {
    Kind.NOT_FOUND: "not_found",
    Kind.TIMEOUT: "timeout",
    Kind.UNVERIFIED: "lied",
    Kind.BAD_REQUEST: "lied",
    Kind.TOO_LARGE: "too_large",
    Kind.FORBIDDEN: "refused",
}
_BYTES: Final = word("fleek_origin_bytes_total")
_DEMOTIONS: Final = word("fleek_origin_demotions_total")
_OPEN: Final = word("fleek_origin_requests_open")


class OriginMeter:
    """The counters of one worker; one thread counts."""

    __slots__ = ("_words",)

    def __init__(self, slot: "memoryview[int]") -> None:
        """`slot`: of `Board.slot`, written by nobody else."""
        self._words = slot

    def request(self, what: str) -> None:
        """A request to a source or router begins: one of `ORIGIN_REQUESTS`."""
        self._words[_REQUESTS[what]] += 1

    def opened(self, by: int) -> None:
        """So many more requests for content are under way."""
        self._words[_OPEN] += by

    def received(self, size_bytes: int) -> None:
        """Bytes of a body came from a source."""
        self._words[_BYTES] += size_bytes

    def failure(self, error: EdgeError) -> None:
        """A request did not bring what it was for."""
        self._words[_FAILURES[_WHY.get(error.kind, "unreachable")]] += 1

    def demotion(self) -> None:
        """A source is left alone for a while."""
        self._words[_DEMOTIONS] += 1
