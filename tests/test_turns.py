"""The `alone` mark: what is alone has no other test of its run beside it."""

import fcntl
from pathlib import Path

import pytest

from tests.conftest import turn


def may(folder: Path, name: str, how: int) -> bool:
    """Whether a lock can be had at once."""
    with (folder / name).open("a") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@pytest.mark.parametrize("alone", [False, True])
def test_who_is_at_work_lets_others_in_unless_alone(tmp_path: Path, alone: bool) -> None:
    with turn(tmp_path, alone=alone):
        assert may(tmp_path, "door", fcntl.LOCK_EX)
        assert may(tmp_path, "room", fcntl.LOCK_SH) is not alone
        assert not may(tmp_path, "room", fcntl.LOCK_EX)
    assert may(tmp_path, "room", fcntl.LOCK_EX)


def test_two_are_at_work_side_by_side(tmp_path: Path) -> None:
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        assert not may(tmp_path, "room", fcntl.LOCK_EX)


def test_a_test_that_fails_gives_its_turn_back(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), turn(tmp_path, alone=True):
        raise ZeroDivisionError
    assert may(tmp_path, "room", fcntl.LOCK_EX)
