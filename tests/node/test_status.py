"""The status page's numbers are sums of the series that /metrics shows."""

from pathlib import Path

from net.meter import BoardMeter
from node.status import traffic_numbers
from runtime.board import Board
from runtime.metrics import totals


def test_traffic_adds_up_over_principals_and_processes(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    for slot in (0, 3):
        meter = BoardMeter(board.slot(slot))
        meter.sent(None, "blob", 100, 200)
        meter.sent("alice", "blob", 10, 206)
        meter.sent(None, "proof", 7, 200)
        meter.sent(None, "error", 5, 404)
        meter.received("alice", 50)
        meter.count("connections_open")
    shown = traffic_numbers(totals(board))
    assert shown["blob_bytes"] == 220
    assert shown["proof_bytes"] == 14
    assert shown["received_bytes"] == 100
    assert shown["connections_open"] == 2
    assert (shown["responses_2xx"], shown["responses_4xx"], shown["responses_5xx"]) == (6, 2, 0)
