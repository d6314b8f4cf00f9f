"""The short form of the kill -9 rounds with pins; the long form is `make faults SUITE=pin`."""

import os

import pytest

from tests.faults import pin_rounds

ROUNDS = 8


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_no_pin_is_lost_doubled_or_stuck_and_no_pinned_block_collected() -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}: python -m tests.faults pin {ROUNDS} {seed}")
    assert pin_rounds.run(ROUNDS, seed) == []
