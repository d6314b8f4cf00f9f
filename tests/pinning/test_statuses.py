"""Counts of pins by status, over more ordinals than a test could add pins: all three levels of them."""

import random

from blockstore import Store
from durable import Txn
from pinning.pin import Status
from pinning.statuses import Statuses

TOP = 3 << 24  # three rows of the highest level
EDGES = (0, 1, 255, 256, 65_535, 65_536, 65_537, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, TOP - 1)


def test_any_stretch_is_counted_as_one_by_one(store: Store) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    statuses = Statuses(store.index.table("pinstatus"))
    here = sorted({*EDGES, *(rng.randrange(TOP) for _ in range(300)), *range(65_000, 66_000)})
    gone = set(rng.sample(here, len(here) // 2))

    def change(txn: Txn) -> None:
        statuses.add(txn, 1, Status.PINNED, here)
        statuses.add(txn, 1, Status.FAILED, [5])
        statuses.add(txn, 2, Status.PINNED, [6])
        for ordinal in gone:
            statuses.drop(txn, 1, Status.PINNED, [ordinal])

    store.index.change(change)
    left = [ordinal for ordinal in here if ordinal not in gone]
    with store.index.reading() as txn:
        assert statuses.count(txn, 1, Status.PINNED, 0, TOP) == len(left)
        for _ in range(300):
            low, high = (rng.choice((rng.choice(EDGES), rng.choice(here), rng.randrange(TOP))) for _ in "ab")
            counted = statuses.count(txn, 1, Status.PINNED, low, high)
            assert counted == sum(low <= ordinal < high for ordinal in left), (low, high)

    def empty(txn: Txn) -> None:
        statuses.drop(txn, 1, Status.PINNED, left)
        statuses.drop(txn, 1, Status.FAILED, [5])
        statuses.drop(txn, 2, Status.PINNED, [6])

    store.index.change(empty)
    with store.index.reading() as txn:
        assert txn.stat(store.index.table("pinstatus"))["entries"] == 0, "empty rows are not there"
