"""How good each source has been lately: who is asked first, and who not at all for a while. Pure."""

from dataclasses import dataclass
from typing import Final

# A source that lied is not asked for this long
_LIAR_S: Final = 600.0
_SOURCES_MAX: Final = 1024
_SMOOTH: Final = 0.2
_UNKNOWN_S: Final = 0.3
_FAILED_S: Final = 5.0
# What a source takes is told for so many bytes, so that large answers and small ones compare
_UNIT_BYTES: Final = 262_144
# One that failed rests: twice as long each time it fails again
_REST_S: Final = 0.5
_REST_MAX_S: Final = 30.0


@dataclass(slots=True)
class _Score:
    cost_s: float = _UNKNOWN_S
    rests_until_s: float = 0.0
    banned_until_s: float = 0.0
    failures: int = 0  # in a row
    is_new: bool = True  # neither gave nor failed anything yet
    open: int = 0
    chosen: int = 0
    gives_cars: bool = True

    def may_be_asked(self, now_s: float) -> bool:
        return max(self.rests_until_s, self.banned_until_s) <= now_s


class Scores:
    """Speed and honesty of sources, by their base URL."""

    def __init__(self) -> None:
        self._scores: dict[str, _Score] = {}

    def order(self, sources: list[str], now_s: float) -> list[str]:
        """`sources` without those that rest, the one that will answer soonest first; each once.

        A new one is taken for as good as the best that is known, or it would never be tried while that
        one is fast; of two that are equal the known one comes first.
        """
        known = dict.fromkeys(sources)
        willing = [each for each in known if self._of(each).may_be_asked(now_s)]
        best_s = min((self._of(each).cost_s for each in willing), default=0.0)

        def cost(source: str) -> tuple[float, bool]:
            score = self._of(source)
            busy = 1 + max(score.open, score.chosen)
            return (best_s if score.is_new else score.cost_s) * busy, score.is_new

        return sorted(willing, key=cost)

    def rest_s(self, sources: list[str], now_s: float) -> float | None:
        """Seconds until the first of those that failed may be asked again; None when none rests."""
        rests = [self._of(each).rests_until_s - now_s for each in sources]
        return min((each for each in rests if each > 0), default=None)

    def gives_cars(self, source: str) -> bool:
        """Whether it may be asked for CARs; one that answered with something else gives blocks alone."""
        return self._of(source).gives_cars

    def gives_no_cars(self, source: str) -> None:
        """It answered a request for a CAR with something else, or with far more."""
        self._of(source).gives_cars = False

    def chosen(self, source: str, by: int = 1) -> None:
        """A search settled on it, though its request may begin later; with `by` -1 that search is over."""
        self._of(source).chosen = max(0, self._of(source).chosen + by)

    def asked(self, source: str) -> None:
        """A request to it began."""
        self._of(source).open += 1

    def ended(self, source: str) -> None:
        """A request to it ended, however."""
        score = self._of(source)
        score.open = max(0, score.open - 1)

    def answered(self, source: str, took_s: float, size_bytes: int = 0) -> None:
        """It gave what was asked."""
        score = self._of(source)
        score.failures, score.is_new = 0, False
        score.cost_s += _SMOOTH * (took_s / max(1.0, size_bytes / _UNIT_BYTES) - score.cost_s)

    def failed(self, source: str, now_s: float, rest_s: float | None = None) -> float:
        """It did not answer, or broke off; `rest_s` as it wished. Returns how long it is left alone."""
        score = self._of(source)
        wait_s = min(_REST_MAX_S, _REST_S * 2 ** min(score.failures, 16)) if rest_s is None else rest_s
        score.failures, score.is_new = score.failures + 1, False
        score.cost_s += _SMOOTH * (_FAILED_S - score.cost_s)
        score.rests_until_s = max(score.rests_until_s, now_s + wait_s)
        return wait_s

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
