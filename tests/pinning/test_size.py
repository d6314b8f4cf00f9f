"""Sizes told from a root, and what is refused by them before it is fetched."""

from pathlib import Path

import pytest

from blockstore import Store
from content import multihash
from content.block import Block, BlockMissing
from content.cid import DAG_CBOR, RAW, Cid
from content.multihash import IDENTITY
from pinning.pin import Wish
from pinning.pins import Pins
from pinning.size import check_declared, counted, declared
from runtime.errors import QuotaExceeded
from tests.gateway.dags import Dags
from tests.pinning.arrivals import QUICK, tree


class Only:
    """Some blocks of a DAG."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        self.blocks = blocks

    def read(self, cid: Cid) -> bytes:
        if cid not in self.blocks:
            raise BlockMissing(cid)
        return self.blocks[cid]

    def size(self, cid: Cid) -> int | None:
        return len(self.blocks[cid]) if cid in self.blocks else None


def test_a_root_tells_the_size_of_all_below_it() -> None:
    dags, root = tree(1, 30_000, 10)
    total = sum(len(data) for data in dags.blocks.values())
    found = declared(root, Only({root: dags.blocks[root]}))
    assert found is not None
    assert (found.bytes_, found.is_exact) == (total, False)
    whole = counted(root, Only(dags.blocks))
    assert whole is not None
    assert (whole.bytes_, whole.is_exact) == (total, True)
    assert counted(root, Only({root: dags.blocks[root]})) is None


def test_what_no_root_tells() -> None:
    dags = Dags()
    raw = dags.raw(b"x" * 77)
    cbor = dags.value(DAG_CBOR, [raw])
    inline = Cid.v1(RAW, multihash.of(IDENTITY, b"inline"))
    assert declared(raw, Only({})) is None
    assert declared(cbor, Only(dags.blocks)) is None
    for cid, size in ((raw, 77), (inline, 0)):
        found = declared(cid, Only(dags.blocks))
        assert found is not None
        assert (found.bytes_, found.is_exact) == (size, True)


def test_a_dag_that_repeats_itself_is_counted_before_it_is_refused() -> None:
    """Its Tsize counts the file a hundred times; the quota counts it once."""
    dags = Dags()
    file = dags.file(b"x" * 900)
    root = dags.directory({f"copy {number}": file for number in range(100)})
    unique = sum(len(data) for data in dags.blocks.values())
    found = declared(root, Only(dags.blocks))
    assert found is not None
    assert found.bytes_ > 90_000 > unique
    check_declared(root, Only(dags.blocks), unique)
    with pytest.raises(QuotaExceeded, match="counted"):
        check_declared(root, Only(dags.blocks), unique - 1)
    with pytest.raises(QuotaExceeded, match="root says"):
        check_declared(root, Only({root: dags.blocks[root]}), unique)
    check_declared(root, Only({}), 0)
    check_declared(root, Only(dags.blocks), None)


def test_a_pin_is_refused_up_front_when_its_root_is_here_and_says_too_much(tmp_path: Path) -> None:
    dags, root = tree(2, 50_000)
    store = Store.open(tmp_path / "data", QUICK)
    pins = Pins(store)
    store.dag.put([Block.verified(root, dags.blocks[root])])
    with pytest.raises(QuotaExceeded, match="root says"):
        pins.add("ann", Wish(root), quota_bytes=40_000)
    assert sum(pins.usage("ann").pins.values()) == 0
    accepted = pins.add("ann", Wish(root), quota_bytes=60_000)
    pins.begin(accepted.request_id)
    assert pins.pinned(accepted.request_id, 52_000, 50_000)
    again = pins.add("ann", Wish(root, "again"), quota_bytes=60_000)  # it is counted already
    assert again.request_id != accepted.request_id
    store.close()
