"""The table of metrics: its layout, its text, and what happens to a process that has ended."""

import re
from pathlib import Path

import pytest

from runtime import metrics
from runtime.board import SLOT_WORDS, Board

_LINE = re.compile(r'[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?[0-9.e+]+')


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "board")


def test_every_series_has_a_word_of_its_own_within_a_slot() -> None:
    words = [metrics.word(f.name, *labels) for f in metrics.FAMILIES for labels in f.series]
    assert sorted(words) == list(range(len(words)))
    assert len(words) <= SLOT_WORDS
    with pytest.raises(KeyError):
        metrics.word("fleek_no_such_total")


def test_the_text_is_what_prometheus_reads(board: Board) -> None:
    board.slot(3)[metrics.word("fleek_http_connections_open")] = 2
    board.slot(9)[metrics.word("fleek_http_connections_open")] = 3
    board.set_serving(wanted=2, ready=1)
    text = metrics.render(board, {"blobs": 3, "bytes": 12})
    assert text.endswith("\n")
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            names.append(line.split()[2])
        elif not line.startswith("# HELP "):
            assert _LINE.fullmatch(line), line
            assert line.split("{")[0].split(" ")[0] == names[-1]
    assert len(names) == len(set(names))
    assert "fleek_http_connections_open 5\n" in text
    assert "fleek_workers_ready 1\n" in text
    assert "fleek_store_blobs 3\n" in text


def test_a_process_that_ended_keeps_its_totals_and_loses_its_gauges(board: Board) -> None:
    slot = board.slot(0)
    slot[metrics.word("fleek_http_connections_open")] = 2
    slot[metrics.word("fleek_http_connections_accepted_total")] = 7
    metrics.clear_gauges(slot)
    totals = metrics.totals(board)
    assert totals["fleek_http_connections_open"] == 0
    assert totals["fleek_http_connections_accepted_total"] == 7
