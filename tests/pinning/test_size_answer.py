"""`x/size`: measured where all is here, as the root declares where only that is, unknown otherwise."""

import json
from pathlib import Path

import pytest

from blockstore import Store
from blockstore.importing import Importing
from content.car import CarReader
from content.unixfs.profile import UNIXFS_V1_2025
from pinning.size_answer import size_answer, size_of
from runtime.errors import BadRequest, NotFound
from tests.pinning.arrivals import QUICK, car_of, tree


def test_a_size_is_measured_declared_or_unknown(tmp_path: Path) -> None:
    dags, root = tree(1, 3_000_000, 20_000, profile=UNIXFS_V1_2025)
    blocks = list(CarReader().feed(car_of(dags, root)))
    total = sum(len(block.data) for block in blocks)
    with Store.open(tmp_path / "root", QUICK) as store:
        with pytest.raises(NotFound, match=str(root)):
            size_of(store, root)
        with Importing(store.dag) as importing:
            importing.add(next(block for block in blocks if block.cid == root))
            importing.finish()
        assert size_of(store, root) == {"size_bytes": total, "how": "declared"}
    with Store.open(tmp_path / "all", QUICK) as store:
        with Importing(store.dag) as importing:
            for block in blocks:
                importing.add(block)
            importing.finish()
        answer = size_answer(store, root.text(), "a")
        assert isinstance(answer.body, bytes)
        found = json.loads(answer.body)
        assert (found["size_bytes"], found["blocks"], found["how"]) == (total, len(blocks), "measured")
        with pytest.raises(BadRequest):
            size_answer(store, "nonsense", "a")
