"""What is refused before it is fetched: more of it is here than there is room for."""

from pathlib import Path

import pytest

from blockstore import Store
from content import dag_cbor, multihash
from content.block import Block, BlockMissing
from content.cid import DAG_CBOR, RAW, Cid
from content.multihash import IDENTITY
from pinning.measure import measured
from pinning.pin import Wish
from pinning.pins import Pins
from pinning.size import check_here
from pinning.walk import LINKS_MAX
from runtime.errors import QuotaExceeded, TooLarge
from tests.gateway.dags import FRAMED, Dags
from tests.pinning.arrivals import QUICK, tree


class Only:
    """Some blocks of a DAG; counts what is looked at."""

    def __init__(self, blocks: dict[Cid, bytes]) -> None:
        self.blocks = blocks
        self.looked = 0

    def read(self, cid: Cid) -> bytes:
        self.looked += 1
        if cid not in self.blocks:
            raise BlockMissing(cid)
        return self.blocks[cid]

    def size(self, cid: Cid) -> int | None:
        self.looked += 1
        return len(self.blocks[cid]) if cid in self.blocks else None


def repeated() -> tuple[Dags, Cid]:
    """A hundred times the same file: its Tsize is a hundred times what it takes."""
    dags = Dags()
    file = dags.file(b"x" * 900)
    return dags, dags.directory({f"copy {number}": file for number in range(100)})


def test_different_blocks_that_are_here_are_weighed_whatever_the_root_says() -> None:
    dags, root = repeated()
    unique = sum(len(data) for data in dags.blocks.values())
    check_here(root, Only(dags.blocks), unique)
    with pytest.raises(QuotaExceeded, match=f"{unique:,} bytes"):
        check_here(root, Only(dags.blocks), unique - 1)
    check_here(root, Only({root: dags.blocks[root]}), unique)
    check_here(root, Only({}), 0)


def test_one_block_is_weighed_and_an_inline_one_takes_nothing() -> None:
    dags = Dags()
    raw = dags.raw(b"x" * 77)
    check_here(raw, Only(dags.blocks), 77)
    with pytest.raises(QuotaExceeded):
        check_here(raw, Only(dags.blocks), 76)
    check_here(Cid.v1(RAW, multihash.of(IDENTITY, b"inline")), Only({}), 0)


def test_who_asks_waits_for_a_bounded_look() -> None:
    dags = Dags()
    root = dags.value(DAG_CBOR, [dags.raw(f"{number}".encode()) for number in range(5000)])
    here = Only(dags.blocks)
    check_here(root, here, 1 << 40)
    assert here.looked <= 1025
    here = Only(dags.blocks)
    with pytest.raises(QuotaExceeded):
        check_here(root, here, len(dags.blocks[root]))
    assert here.looked == 2


def test_a_block_counts_once_under_both_versions_of_its_cid() -> None:
    dags = Dags()
    v0 = dags.file(b"framed", FRAMED)
    root = dags.value(DAG_CBOR, [v0, v0.as_v1()])
    here = Only({**dags.blocks, v0.as_v1(): dags.blocks[v0]})
    found = measured(root, here)
    assert (found.blocks, found.dag_bytes) == (2, len(dags.blocks[root]) + len(dags.blocks[v0]))


def test_what_an_inline_block_links_to_is_a_part_of_the_dag() -> None:
    dags = Dags()
    below = dags.raw(b"below")
    inline = Cid.v1(DAG_CBOR, multihash.of(IDENTITY, dag_cbor.encode([below])))
    root = dags.value(DAG_CBOR, [inline])
    assert measured(root, Only(dags.blocks)).dag_bytes == len(dags.blocks[root]) + len(b"below")
    assert measured(root, Only({root: dags.blocks[root]})).missing == below


def test_links_that_wait_are_bounded() -> None:
    dags = Dags()
    width = LINKS_MAX // 4
    below = dags.raw(b"")
    for number in range(6):
        below = dags.value(DAG_CBOR, [number, *[below] * width])
    with pytest.raises(TooLarge, match="links above one block"):
        measured(below, Only(dags.blocks))


def test_a_pin_that_repeats_itself_is_taken_and_one_that_is_here_and_too_large_is_not(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data", QUICK)
    pins = Pins(store)
    dags, root = repeated()
    store.dag.put([Block.verified(root, dags.blocks[root])])
    unique = sum(len(data) for data in dags.blocks.values())
    pins.add("ann", Wish(root), quota_bytes=unique)
    large, top = tree(2, 50_000)
    store.dag.put([Block.verified(cid, data) for cid, data in large.blocks.items()])
    with pytest.raises(QuotaExceeded, match="or more"):
        pins.add("ann", Wish(top), quota_bytes=40_000)
    assert sum(pins.usage("ann").pins.values()) == 1
    accepted = pins.add("ann", Wish(top), quota_bytes=60_000)
    pins.begin(accepted.request_id)
    assert pins.pinned(accepted.request_id, 52_000, 50_000)
    again = pins.add("ann", Wish(top, "again"), quota_bytes=60_000)  # it is counted already
    assert again.request_id != accepted.request_id
    store.close()
