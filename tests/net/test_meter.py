"""The meter over a real board: what is counted where, and that unknown kinds are not lost."""

import time
from pathlib import Path

from net.meter import EVENTS, BoardMeter
from runtime import metrics
from runtime.board import Board


def test_bytes_statuses_and_events_land_in_their_series(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    first, second = BoardMeter(board.slot(0)), BoardMeter(board.slot(7))
    first.sent(None, "blob", 100, 200)
    second.sent(None, "blob", 11, 206)
    second.sent("acme", "blob", 5, 200)
    second.sent("acme", "no such kind", 3, 404)
    first.received("acme", 9)
    first.received(None, 4)
    for event in EVENTS:
        first.count(event)
    first.count("connections_open", -1)
    totals = metrics.totals(board)
    assert totals['fleek_response_bytes_total{principal="anonymous",kind="blob"}'] == 111
    assert totals['fleek_response_bytes_total{principal="account",kind="blob"}'] == 5
    assert totals['fleek_response_bytes_total{principal="account",kind="other"}'] == 3
    assert totals['fleek_responses_total{code="2xx"}'] == 3
    assert totals['fleek_responses_total{code="4xx"}'] == 1
    assert totals['fleek_request_bytes_total{principal="account"}'] == 9
    assert totals['fleek_request_bytes_total{principal="anonymous"}'] == 4
    assert totals["fleek_http_connections_open"] == 0
    assert totals["fleek_http_parse_errors_total"] == 1
    assert sum(totals.values()) == 111 + 5 + 3 + 4 + 9 + 4 + len(EVENTS) - 1
    board.close()


def test_counting_a_response_is_cheap(tmp_path: Path) -> None:
    """A budget with room for a slow machine; a lock or a look-up by name would break it."""
    board = Board(tmp_path / "board")
    meter = BoardMeter(board.slot(0))
    best = min(_seconds(meter) for _ in range(5))
    assert best < 2e-6
    board.close()


def _seconds(meter: BoardMeter, count: int = 20_000) -> float:
    start = time.thread_time()
    for _ in range(count):
        meter.sent(None, "blob", 1, 200)
    return (time.thread_time() - start) / count
