"""`x/size`: measured where all is here, as the root declares where only that is, unknown otherwise."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blockstore import Store
from blockstore.importing import Importing
from content.block import Block
from content.car import CarReader
from content.cid import DAG_CBOR, Cid
from content.unixfs.profile import UNIXFS_V1_2025
from pinning.pin import Wish
from pinning.pins import Pins
from pinning.size_answer import size_answer, size_of
from runtime.errors import BadRequest, Forbidden, NotFound, TooLarge
from tests.gateway.dags import Dags
from tests.pinning.arrivals import QUICK, car_of, tree


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", QUICK) as opened:
        yield opened


def put(store: Store, blocks: list[Block]) -> None:
    with Importing(store.dag) as importing:
        for block in blocks:
            importing.add(block)
        importing.finish()


def everybody(cid: Cid) -> None:
    """May read."""


def nobody(cid: Cid) -> None:
    raise Forbidden("the token lacks the scope read")


class Ticks:
    """A clock that moves as often as it is asked."""

    def __init__(self, step_s: float = 0.0) -> None:
        self._now_s, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now_s += self._step_s
        return self._now_s


def ask(store: Store, cid: Cid | str, check: Any = everybody, step_s: float = 0.0) -> Any:
    answer = size_answer(store, Pins(store), Ticks(step_s), check, "a", str(cid))
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


def test_a_size_is_measured_declared_or_unknown(store: Store) -> None:
    dags, root = tree(1, 3_000_000, 20_000, profile=UNIXFS_V1_2025)
    blocks = list(CarReader().feed(car_of(dags, root)))
    total = sum(len(block.data) for block in blocks)
    with pytest.raises(NotFound, match="it is not here") as unknown:
        size_of(store, root)
    assert unknown.value.where == str(root)
    put(store, [block for block in blocks if block.cid == root])
    assert size_of(store, root) == {"size_bytes": total, "how": "declared"}
    put(store, blocks)
    found = ask(store, root)
    assert (found["size_bytes"], found["blocks"], found["how"]) == (total, len(blocks), "measured")
    with pytest.raises(BadRequest):
        ask(store, "nonsense")


def test_what_the_account_has_pinned_is_told_from_the_pin(store: Store) -> None:
    cid = Block.sealed(DAG_CBOR, b"\x80").cid  # none of it is here: only the row can tell
    pins = Pins(store)
    pin = pins.add("a", Wish(cid))
    pins.begin(pin.request_id)
    pins.pinned(pin.request_id, 12, 10)
    assert ask(store, cid, nobody) == {
        "cid": str(cid), "size_bytes": 12, "raw_bytes": 10, "how": "measured"
    }  # fmt: skip


def test_nothing_is_told_of_what_the_account_may_not_read(store: Store) -> None:
    dags, root = tree(2, 5000)
    with pytest.raises(Forbidden):
        ask(store, root, nobody)
    put(store, list(CarReader().feed(car_of(dags, root))))
    with pytest.raises(Forbidden):
        ask(store, root, nobody)
    Pins(store).add("b", Wish(root))
    with pytest.raises(Forbidden):
        ask(store, root, nobody)
    Pins(store).add("a", Wish(root))
    assert ask(store, root, nobody)["how"] == "measured"


def test_counting_ends_in_time_and_the_root_is_believed_instead(store: Store) -> None:
    dags, root = tree(3, 30_000)
    put(store, list(CarReader().feed(car_of(dags, root))))
    total = sum(len(data) for data in dags.blocks.values())
    assert ask(store, root, step_s=0.3) == {"cid": str(root), "size_bytes": total, "how": "declared"}
    plain = Dags()
    top = plain.value(DAG_CBOR, [plain.raw(b"%d" % number) for number in range(20)])
    put(store, [Block.verified(cid, data) for cid, data in plain.blocks.items()])
    with pytest.raises(TooLarge, match="not counted"):
        ask(store, top, step_s=0.3)
