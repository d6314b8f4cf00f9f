"""The `Meter` port every response passes, and `BoardMeter`, which counts for `/metrics`.

Money will be another implementation of the same port. Called by `net.connection` and
`net.server`; made by `node`.
"""

from typing import Final, Protocol

from runtime.metrics import KINDS, PHASES, word


class Meter(Protocol):
    """Told of what happened on the wire; must not raise and not block. Budget: 0.5 us a call."""

    def sent(self, account: str | None, kind: str, bytes_: int, status: int) -> None:
        """A response ended, or broke off: `bytes_` of its body were taken by the kernel.

        Bytes still held on our side (TLS records not yet written) are not counted, nor is
        framing. Called exactly once for each response whose head was begun.
        """
        ...

    def received(self, account: str | None, bytes_: int) -> None:
        """A request body ended, or broke off, after `bytes_`; not called for an empty one."""
        ...

    def count(self, event: str, by: int = 1) -> None:
        """Something worth counting happened: one of `EVENTS`."""
        ...


_EVENT_WORDS: Final = {
    "connections_accepted": word("fleek_http_connections_accepted_total"),
    "connections_refused": word("fleek_http_connections_refused_total"),
    "connections_open": word("fleek_http_connections_open"),
    "parse_errors": word("fleek_http_parse_errors_total"),
    "aborted": word("fleek_http_aborted_total"),
    "log_dropped": word("fleek_access_log_dropped_total"),
    "tls_handshakes": word("fleek_tls_handshakes_total", ("result", "ok")),
    "tls_failures": word("fleek_tls_handshakes_total", ("result", "failed")),
    **{f"timeout_{phase}": word("fleek_http_timeouts_total", ("phase", phase)) for phase in PHASES},
}
EVENTS: Final = frozenset(_EVENT_WORDS)
"""What `Meter.count` may be told."""


def _byte_words(principal: str) -> dict[str, int]:
    name = "fleek_response_bytes_total"
    return {kind: word(name, ("principal", principal), ("kind", kind)) for kind in KINDS}


_ANONYMOUS: Final = _byte_words("anonymous")
_ACCOUNT: Final = _byte_words("account")
_ANONYMOUS_OTHER: Final = _ANONYMOUS[KINDS[-1]]
_ACCOUNT_OTHER: Final = _ACCOUNT[KINDS[-1]]
# Series of one family are neighbours, so that status // 100 is an index into them.
_CLASSES: Final = word("fleek_responses_total", ("code", "1xx")) - 1
_RECEIVED: Final = word("fleek_request_bytes_total", ("principal", "anonymous"))


class BoardMeter:
    """Counts into this process's slot of the board; implements `Meter`."""

    __slots__ = ("_words",)

    def __init__(self, slot: "memoryview[int]") -> None:
        """`slot`: of `Board.slot`, written by nobody else."""
        self._words = slot

    def sent(self, account: str | None, kind: str, bytes_: int, status: int) -> None:
        """See `Meter.sent`; about 0.2 us."""
        words = self._words
        if account is None:
            words[_ANONYMOUS.get(kind, _ANONYMOUS_OTHER)] += bytes_
        else:
            words[_ACCOUNT.get(kind, _ACCOUNT_OTHER)] += bytes_
        words[_CLASSES + status // 100] += 1

    def received(self, account: str | None, bytes_: int) -> None:
        """See `Meter.received`."""
        self._words[_RECEIVED + (account is not None)] += bytes_

    def count(self, event: str, by: int = 1) -> None:
        """See `Meter.count`; `by` is negative only for `connections_open`."""
        self._words[_EVENT_WORDS[event]] += by
