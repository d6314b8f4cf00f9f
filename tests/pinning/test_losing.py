"""Content that is taken away by force: its pins say so, and count for nothing any more."""

import random

from blockstore import Store
from blockstore.dag_removal import remove
from blockstore.importing import Importing
from content import dag_cbor, dag_pb, multihash
from content.block import Block
from content.car import CarReader
from content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from pinning.losing import REMOVED, REMOVED_PART, fail_pins_of, fail_pins_of_blob
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


def test_pins_of_directories_around_a_blob_fail_with_it_and_say_that_a_part_is_gone(store: Store) -> None:
    pins = Pins(store)
    dags = Dags()
    lost, other = dags.file(random.Random(2).randbytes(50_000)), dags.file(random.Random(3).randbytes(50_000))
    inner = dags.directory({"lost": lost})
    inline = Cid.v1(DAG_CBOR, multihash.of(multihash.IDENTITY, dag_cbor.encode([inner])))
    dags.blocks[inline] = inline.digest
    roots = {
        "around": dags.directory({"other": other, "inner": inner}),
        "far": dags.value(DAG_CBOR, {"by": inline}),
        "beside": dags.directory({"other": other}),
    }
    with Importing(store.dag) as importing:
        for root in (lost, other, *roots.values()):
            for block in CarReader().feed(car_of(dags, root)):
                importing.add(block)
        importing.finish()
    ids = {name: pinned(pins, name, root) for name, root in roots.items()}
    again = pinned(pins, "far", roots["around"])
    waits = pins.add("waits", Wish(roots["around"])).request_id
    blob = store.dag.file(lost)
    assert blob is not None
    assert fail_pins_of_blob(store, blob.root) == 3
    store.rm(blob.root, force=True)
    told = {name: pins.get(name, request_id) for name, request_id in ids.items()}
    for name in ("around", "far"):
        assert (told[name].status, told[name].details) == (Status.FAILED, REMOVED_PART), name
    assert pins.get("far", again).status is Status.FAILED
    assert told["beside"].status is Status.PINNED
    assert pins.get("waits", waits).status is Status.QUEUED, "its walk tells what lacks"
    assert pins.usage("around").bytes_ == 0


def test_each_block_is_looked_through_once_however_many_pins_lead_to_it(store: Store) -> None:
    pins = Pins(store)
    blocks = [Block.sealed(RAW, b"kept")]
    for number in range(60):  # two ways down at each level: 2^60 ways in all
        blocks.append(Block.sealed(DAG_CBOR, dag_cbor.encode([blocks[-1].cid, blocks[-1].cid, number])))
    store.dag.put([*blocks, BLOCK])
    for block in blocks[-8:]:
        pinned(pins, "a", block.cid)
    found = store.dag.slice(BLOCK.cid)
    assert found is not None
    assert fail_pins_of_blob(store, found.blob.root) == 0
