"""The board: one generation seen by every process, counters that survive, files of other layouts replaced."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.board import SLOT_COUNT, SLOT_WORDS, Board


def test_a_bump_in_one_process_is_seen_in_another(tmp_path: Path) -> None:
    board = Board(tmp_path / "run" / "board")
    before = board.generation()
    code = "import sys, pathlib; from runtime.board import Board; Board(pathlib.Path(sys.argv[1])).bump()"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run" / "board")], check=True)
    assert board.generation() != before


def test_generations_never_repeat_over_many_bumps(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    seen = {board.generation()}
    for _ in range(1000):
        board.bump()
        assert board.generation() not in seen
        seen.add(board.generation())


def test_slots_are_apart_and_cleared_together(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    generation = board.generation()
    for index in range(SLOT_COUNT):
        assert len(board.slot(index)) == SLOT_WORDS
        board.slot(index)[0] = index + 1
        board.slot(index)[SLOT_WORDS - 1] = 7
    assert [board.slot(index)[0] for index in range(SLOT_COUNT)] == list(range(1, SLOT_COUNT + 1))
    assert board.generation() == generation
    board.clear_counters()
    assert not any(board.slot(index)[0] for index in range(SLOT_COUNT))
    assert board.generation() == generation
    for index in (-1, SLOT_COUNT):
        with pytest.raises(ValueError, match="slot"):
            board.slot(index)


@pytest.mark.parametrize("content", [b"", b"another layout", bytes(200_000)])
def test_a_file_of_another_layout_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "board"
    path.write_bytes(content)
    board = Board(path)
    board.set_serving(wanted=2, ready=1)
    assert Board(path).serving() == (2, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["board"]
