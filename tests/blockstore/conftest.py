"""A store in a temporary folder, a clock moved by hand, and content made from numbers."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings

KILL_SAFE = StoreSettings(
    durability=Durability.NONE,  # nothing here cuts the power; faults and durability tests use FULL
    commit_bytes=1 << 20,
    backlog_bytes=2 << 20,
    linger_s=0.01,
    extent_above_bytes=1 << 19,  # so that sizes that are quick to test lie on both sides
    index_map_bytes=1 << 30,
    bulk_map_bytes=1 << 34,
)
Opener = Callable[..., Store]


class HandClock:
    """Time that passes when the test says so; durations are real enough for time boxes."""

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
def open_store(tmp_path: Path, clock: HandClock) -> Iterator[Opener]:
    """Opens the test's store; whatever is still open at the end is closed."""
    opened: list[Store] = []

    def opener(settings: StoreSettings = KILL_SAFE) -> Store:
        store = Store.open(tmp_path / "data", settings, clock)
        opened.append(store)
        return store

    yield opener
    for store in opened:
        if store.backing.writer.is_open:
            store.close()


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


@pytest.fixture
def content() -> Callable[[int], bytes]:
    """`size` bytes that are the same in every run."""
    return lambda size: random.Random(size).randbytes(size)
