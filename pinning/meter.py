"""Counts what becomes of pins, into this process's slot of the board. No account is named."""

from typing import Final

from pinning.pin import PinUsage, Status
from runtime.metrics import PIN_OUTCOMES, word

_ATTEMPTS: Final = {
    outcome: word("fleek_pin_attempts_total", ("outcome", outcome)) for outcome in PIN_OUTCOMES
}
_PINS: Final = {status: word("fleek_pins", ("status", status.value)) for status in Status}
_BYTES: Final = word("fleek_pinned_bytes")


class PinMeter:
    """The counters of the process that works on pins; one thread counts."""

    __slots__ = ("_words",)

    def __init__(self, slot: "memoryview[int]") -> None:
        """`slot`: of `Board.slot`, written by nobody else."""
        self._words = slot

    def ended(self, outcome: str, count: int = 1) -> None:
        """So many tries ended so: one of `PIN_OUTCOMES`."""
        self._words[_ATTEMPTS[outcome]] += count

    def totals(self, usage: PinUsage) -> None:
        """What all accounts have together."""
        for status, at in _PINS.items():
            self._words[at] = usage.pins[status]
        self._words[_BYTES] = usage.bytes_
