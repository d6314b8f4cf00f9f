"""One measured number that somebody was promised, beside what it was measured against.

A bench returns rows; the runner (`tests/bench/__main__.py`) collects them into build/bench.json. A row is
made by one of four functions, which take the raw rounds and do the arithmetic once, for everybody:

    at_least(id, ours, peer, floor)    median(ours) / median(peer) >= floor    throughput beside a peer
    at_most(id, ours, peer, floor)     median(ours) / median(peer) <= floor    latency or CPU beside a peer
    at_least / at_most with peer=None  median(ours) against `floor` itself     a bound in its own unit
    not_run(id, why)                   the number could not be taken here, and why

`ours` and `peer` are one number or the list of all rounds, taken in turn (ABAB), so that round i of ours ran
beside round i of the peer. `spread` is the interquartile range of the round-by-round ratios as a share of
their median (of `ours` where there is no peer): 0.05 says that half the rounds lay within 5 % of each other.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Literal

Verdict = Literal["pass", "fail", "not run"]
Rounds = float | Sequence[float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the bench table; the fields are the keys of build/bench.json."""

    id: str
    ours: float | None  # median over the rounds, in `unit`
    peer: float | None
    ratio: float | None  # ours / peer; None without a peer
    floor: float | None  # the promise: of the ratio, or of `ours` itself where there is no peer
    rounds: int
    spread: float | None
    verdict: Verdict
    why: str
    unit: str = ""
    sense: Literal[">=", "<=", ""] = ""

    def as_json(self) -> dict[str, object]:
        """The row as build/bench.json keeps it."""
        return asdict(self)


def at_least(
    id: str, ours: Rounds, peer: Rounds | None, floor: float, *, unit: str = "", why: str = ""
) -> Row:
    """A row that passes when ours is at least `floor` times the peer (or `floor` itself, with peer=None)."""
    return _judge(id, ours, peer, floor, ">=", unit, why)


def at_most(
    id: str, ours: Rounds, peer: Rounds | None, floor: float, *, unit: str = "", why: str = ""
) -> Row:
    """A row that passes when ours is at most `floor` times the peer (or `floor` itself, with peer=None)."""
    return _judge(id, ours, peer, floor, "<=", unit, why)


def not_run(id: str, why: str) -> Row:
    """A row for a number that could not be measured on this machine; `why` says what was missing."""
    return Row(id, None, None, None, None, 0, None, "not run", why)


def _judge(
    id: str, ours: Rounds, peer: Rounds | None, floor: float, sense: Literal[">=", "<="], unit: str, why: str
) -> Row:
    our_rounds = _as_list(ours)
    our_median = median(our_rounds)
    if peer is None:
        measured, spread, peer_median, ratio = our_median, _spread(our_rounds), None, None
    else:
        peer_rounds = _as_list(peer)
        peer_median = median(peer_rounds)
        if peer_median <= 0:
            return not_run(id, f"the peer measured {peer_median}: nothing to compare with")
        ratio = measured = our_median / peer_median
        spread = _spread([a / b for a, b in zip(our_rounds, peer_rounds, strict=False) if b > 0])
    passed = measured >= floor if sense == ">=" else measured <= floor
    verdict: Verdict = "pass" if passed else "fail"
    return Row(id, our_median, peer_median, ratio, floor, len(our_rounds), spread, verdict, why, unit, sense)


def _as_list(rounds: Rounds) -> list[float]:
    values = [float(rounds)] if isinstance(rounds, int | float) else [float(value) for value in rounds]
    if not values:
        raise ValueError("a bench row needs at least one round")
    return values


def _spread(values: list[float]) -> float | None:
    if len(values) < 2 or median(values) == 0:
        return None
    low, _, high = quantiles(values, n=4, method="inclusive")
    return (high - low) / median(values)
