"""Content that is taken away by force: its pins say so, and count for nothing any more."""

import random

from blockstore import Store
from blockstore.dag_removal import remove
from blockstore.importing import Importing
from content import dag_pb
from content.block import Block
from content.car import CarReader
from content.cid import DAG_PB, RAW, Cid
from pinning.losing import REMOVED, fail_pins_of, fail_pins_of_blob
from pinning.pin import Filter, Status, Wish
from pinning.pins import Pins
from tests.gateway.dags import Dags
from tests.pinning.arrivals import car_of

BLOCK = Block.sealed(RAW, b"taken away")


def pinned(pins: Pins, account: str, cid: Cid) -> str:
    pin = pins.add(account, Wish(cid))
    pins.begin(pin.request_id)
    pins.pinned(pin.request_id, 10, 10)
    return pin.request_id


def test_pins_of_what_is_removed_by_force_fail_and_say_why(store: Store) -> None:
    pins = Pins(store)
    store.dag.put([BLOCK])
    ids = [pinned(pins, account, BLOCK.cid) for account in ("a", "a", "b")]
    waits = pins.add("b", Wish(BLOCK.cid))
    other = pinned(pins, "a", Block.sealed(RAW, b"other").cid)
    assert pins.usage("a").bytes_ == 20
    assert fail_pins_of(store, BLOCK.cid) == 4
    remove(store.backing, store.dag, BLOCK.cid, force=True)
    for request_id in (*ids, waits.request_id):
        account = "a" if request_id in ids[:2] else "b"
        pin = pins.get(account, request_id)
        assert (pin.status, pin.details, pin.dag_bytes) == (Status.FAILED, REMOVED, None)
    assert pins.get("a", other).status is Status.PINNED
    assert pins.usage("a").bytes_ == 10
    assert pins.usage("b").bytes_ == 0
    assert pins.page("b", Filter(statuses=frozenset((Status.PINNED,))), 1).count == 0
    assert store.dag.roots_of(BLOCK.cid) == []
    assert fail_pins_of(store, BLOCK.cid) == 0


def test_pins_of_a_file_fail_with_its_blob(store: Store) -> None:
    pins = Pins(store)
    data = random.Random(1).randbytes(2_000_000)
    dags = Dags()
    root = dags.file(data)
    with Importing(store.dag) as importing:
        for block in CarReader().feed(car_of(dags, root)):
            importing.add(block)
        importing.finish()
    blob = store.dag.file(root)
    assert blob is not None
    request_id = pinned(pins, "a", root)
    assert fail_pins_of_blob(store, blob.root) == 1
    assert pins.get("a", request_id).status is Status.FAILED


def test_either_spelling_of_the_cid_is_meant(store: Store) -> None:
    pins = Pins(store)
    cid = Cid.v0(Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node((), b""))).cid.multihash)
    pinned(pins, "a", cid)
    pinned(pins, "a", cid.as_v1())
    assert fail_pins_of(store, cid.as_v1()) == 2
