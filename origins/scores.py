"""How good each source has been lately: who is asked first, and who not at all for a while. Pure."""

from dataclasses import dataclass
from typing import Final

# A source that lied is not asked for this long; one that failed has its turn put back a little
_LIAR_S: Final = 600.0
_SOURCES_MAX: Final = 1024
_SMOOTH: Final = 0.2
_UNKNOWN_S: Final = 0.3
_FAILED_S: Final = 5.0


@dataclass(slots=True)
class _Score:
    latency_s: float = _UNKNOWN_S
    banned_until_s: float = 0.0


class Scores:
    """Latency and honesty of sources, by their base URL."""

    def __init__(self) -> None:
        self._scores: dict[str, _Score] = {}

    def order(self, sources: list[str], now_s: float) -> list[str]:
        """`sources` without those that lied lately, the fastest first; each once."""
        known = dict.fromkeys(sources)
        willing = [each for each in known if self._of(each).banned_until_s <= now_s]
        return sorted(willing, key=lambda each: self._of(each).latency_s)

    def answered(self, source: str, took_s: float) -> None:
        """It gave what was asked."""
        score = self._of(source)
        score.latency_s += _SMOOTH * (took_s - score.latency_s)

    def failed(self, source: str) -> None:
        """It did not answer, or had it not."""
        score = self._of(source)
        score.latency_s += _SMOOTH * (_FAILED_S - score.latency_s)

    def lied(self, source: str, now_s: float) -> None:
        """It gave bytes that are not what the name says."""
        self._of(source).banned_until_s = now_s + _LIAR_S

    def _of(self, source: str) -> _Score:
        found = self._scores.get(source)
        if found is None:
            while len(self._scores) >= _SOURCES_MAX:
                del self._scores[next(iter(self._scores))]
            found = self._scores[source] = _Score()
        return found
