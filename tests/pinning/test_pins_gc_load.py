"""gc in a process that is killed, beside pins that come and go. The long form is a bench, pins-gc."""

import random
from pathlib import Path

from tests.pinning.collecting import collect


def test_no_block_of_an_accepted_pin_goes_and_the_rest_does(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    found = collect(tmp_path / "data", blocks=2000, pins=50, seed=seed, kills=2)
    print(found)
    assert (found.lost, found.left) == (0, 0)
    assert found.kills == 2
    assert found.accepted_meanwhile
    assert found.removed_meanwhile
