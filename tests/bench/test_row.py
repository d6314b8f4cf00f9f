"""The arithmetic of a bench row: medians, ratio, spread and verdict."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.row import Row, at_least, at_most, not_run
from tests.bench.table import as_markdown, as_text


def test_a_row_compares_medians_so_that_one_bad_round_changes_nothing() -> None:
    row = at_least("x", [100, 110, 5], [100, 90, 100], 1.0)
    assert (row.ours, row.peer, row.ratio, row.rounds) == (100, 100, 1.0, 3)
    assert row.verdict == "pass"


@pytest.mark.parametrize(
    ("make", "ours", "floor", "verdict"),
    [
        (at_least, 0.9, 0.9, "pass"),
        (at_least, 0.89, 0.9, "fail"),
        (at_most, 1.2, 1.2, "pass"),
        (at_most, 1.21, 1.2, "fail"),
    ],
)
def test_the_floor_itself_passes_and_a_hair_beyond_fails(
    make: Callable[..., Row], ours: float, floor: float, verdict: str
) -> None:
    assert make("x", ours, 1.0, floor).verdict == verdict


def test_without_a_peer_the_value_itself_is_judged() -> None:
    row = at_most("rss", [140, 160, 149], None, 150, unit="MB")
    assert (row.ours, row.peer, row.ratio, row.verdict) == (149, None, None, "pass")
    assert at_most("rss", 151, None, 150).verdict == "fail"


def test_spread_is_the_interquartile_range_of_paired_ratios() -> None:
    assert at_least("x", [1, 2, 3, 4, 5], [1, 1, 1, 1, 1], 1).spread == pytest.approx(2 / 3)
    assert at_least("x", [10, 20, 40], [1, 2, 4], 1).spread == 0
    assert at_least("x", 1, 1, 1).spread is None


def test_a_peer_that_measured_nothing_is_not_a_pass() -> None:
    assert at_least("x", 5, 0, 1).verdict == "not run"


def test_no_rounds_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        at_least("x", [], [1], 1)


def test_rows_print_as_json_text_and_markdown() -> None:
    rows = [at_least("fast", [2.0], [1.0], 1.5, unit="GB/s"), not_run("far", "needs 4 cores | has 2")]
    kept: list[dict[str, Any]] = [json.loads(json.dumps(row.as_json())) for row in rows]
    document: dict[str, Any] = {
        "machine": {"cpu": "c", "cores": 2, "kernel": "k", "python": "3"},
        "rows": kept,
    }
    assert {"id", "ours", "peer", "ratio", "floor", "rounds", "spread", "verdict", "why"} <= document["rows"][
        0
    ].keys()
    assert "fast" in as_text(rows)
    assert "| far |" in as_markdown(document)
    assert "4 cores \\| has 2" in as_markdown(document)
