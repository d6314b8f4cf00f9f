"""A store in a temporary folder, its pins, and a clock moved by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from pinning.pins import Pins

QUICK = StoreSettings(durability=Durability.NONE, lease_s=100.0, index_map_bytes=1 << 30, linger_s=0.01)


class HandClock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.ticks = 0.0

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def tick_s(self) -> float:
        """A thousandth of a second a look, so that every time box ends."""
        self.ticks += 0.001
        return self.ticks


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[Store]:
    with Store.open(tmp_path / "data", QUICK, clock) as opened:
        yield opened


@pytest.fixture
def pins(store: Store) -> Pins:
    return Pins(store)
