"""What is known of the bytes of an extent: checks that hold for a while, and each write that ends them."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blockstore import Store
from content.bao._native import ExtentSums
from tests.blockstore.test_extents import files

Content = Callable[[int], bytes]
SEGMENT = 262_144
SUMMED = 3 * SEGMENT + 100_000
Summed = tuple[ExtentSums, Any, Path]


@pytest.fixture
def sums(store: Store, content: Content) -> Iterator[tuple[ExtentSums, Any, Path]]:
    """The sums of an extent of three segments and 100,000 bytes, a transaction, and its file."""
    storage_id = store.blob(store.put_bytes(content(SUMMED)).root).storage_id
    [path] = files(store)
    with path.open("rb") as file:
        made = ExtentSums(file.fileno(), storage_id)
    txn = store.backing.bulk.begin_views()
    yield made, txn, path
    txn.abort()


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        [byte] = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_checks_of_neighbouring_segments_stop_at_the_first_that_fails(sums: Summed) -> None:
    known, txn, path = sums
    assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
    assert known.intact_bytes(txn, 2, SUMMED) == SUMMED - 2 * SEGMENT
    assert known.intact_bytes(txn, 1, 3 * SEGMENT) == 2 * SEGMENT
    assert known.intact_bytes(txn, 3, SUMMED + SEGMENT) == 0
    for at, intact in ((SEGMENT - 1, 0), (SEGMENT, SEGMENT), (SUMMED - 1, 3 * SEGMENT)):
        flip(path, at)
        assert known.intact_bytes(txn, 0, SUMMED) == intact
        flip(path, at)
        assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
    with pytest.raises(OverflowError):
        known.intact_bytes(txn, -1, SUMMED)


def test_sums_of_another_blob_and_values_that_are_not_there_vouch_for_nothing(sums: Summed) -> None:
    known, txn, path = sums
    with path.open("rb") as file:
        other = ExtentSums(file.fileno(), 12_345)
    assert other.intact_bytes(txn, 0, SUMMED) == 0
    assert known.intact_bytes(txn, 0, 2 * SEGMENT + 5) == 2 * SEGMENT  # no value is of five bytes
    with pytest.raises(OSError, match="descriptor"):
        ExtentSums(-1, 1)


def test_each_write_to_a_file_ends_what_is_known_of_it_at_once(sums: Summed) -> None:
    """Also those that follow a check within one tick of the clock that stamps files."""
    known, txn, path = sums
    for _ in range(300):
        assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
        flip(path, SEGMENT + 7)
        assert known.intact_bytes(txn, 0, SUMMED) == SEGMENT
        flip(path, SEGMENT + 7)


def test_a_write_to_a_file_at_rest_is_noticed_when_its_check_still_holds(sums: Summed) -> None:
    known, txn, path = sums
    rested_s = path.stat().st_ctime + 0.2
    while time.time() < rested_s:  # until then no check is remembered, and this would show nothing
        assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
    for _ in range(3):
        assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
    flip(path, 5)
    assert known.intact_bytes(txn, 0, SUMMED) == 0
    assert known.intact_bytes(txn, 1, SUMMED) == SUMMED - SEGMENT


def test_a_file_that_was_cut_short_is_not_touched_behind_its_end(sums: Summed) -> None:
    known, txn, path = sums
    assert known.intact_bytes(txn, 0, SUMMED) == SUMMED
    os.truncate(path, SEGMENT)
    assert known.intact_bytes(txn, 0, SUMMED) == 0
    assert known.intact_bytes(txn, 0, SEGMENT) == SEGMENT
