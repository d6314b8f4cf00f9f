"""Where a pin says its content is, is on record when the pin is, and stays when the pin goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.origin import Origin, OriginKind
from content import multihash
from content.cid import RAW, Cid
from pinning.pin import Wish
from pinning.pins import Pins

CID = Cid.v1(RAW, multihash.of(multihash.SHA2_256, b"x"))
SECRET = "s3cr3t0123456789abcdef"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "data", StoreSettings(durability=Durability.NONE)) as opened:
        yield opened


def test_origins_of_a_pin_outlive_it(store: Store) -> None:
    pins = Pins(store)
    wish = Wish(
        CID, origins=("/dns4/n.example/tcp/443/tls/http", "https://f.example/a", "no address", "ar://TX")
    )
    pin = pins.add("ann", wish)
    noted = {(each.kind, each.address) for each in store.origins.of(CID.multihash, "ann")}
    assert noted == {
        (OriginKind.PEER, "/dns4/n.example/tcp/443/tls/http"),
        (OriginKind.HTTP, "https://f.example/a"),
        (OriginKind.ARWEAVE, "ar://TX"),
    }
    other = pins.replace("ann", pin.request_id, Wish(CID, origins=("https://g.example",)))
    pins.remove("ann", other.request_id)
    store.sweep()
    assert len(store.origins.of(CID.multihash, "ann")) == 4
    assert store.origins.of(CID.multihash, "bob") == []


def test_a_pin_may_name_a_secret_and_its_origin_row_holds_none(store: Store) -> None:
    pins = Pins(store)
    pin = pins.add("ann", Wish(CID, origins=(f"https://ann:{SECRET}@f.example/a?token={SECRET}",)))
    assert SECRET in pin.wish.origins[0]
    (kept,) = store.origins.of(CID.multihash)
    assert (kept.address, kept.is_cut) == ("https://f.example/a", True)


def test_once_pinned_the_size_is_on_record_of_gateways_and_nodes_that_gave_it(store: Store) -> None:
    pins = Pins(store)
    peer, idle = "/dns4/n.example/tcp/443/tls/http", "https://idle.example"
    pin = pins.add("ann", Wish(CID, origins=("https://g.example", peer, idle, "https://f.example/a")))
    for each in ("https://g.example", peer):
        store.origins.succeeded(CID.multihash, each, 1_700_000_000.0)
    own = Origin(OriginKind.GATEWAY, "https://own.example", first_success_s=1.0, last_success_s=1.0)
    store.origins.note_soon(CID.multihash, own)
    assert pins.begin(pin.request_id) is not None
    assert pins.pinned(pin.request_id, 1234, 1000)
    store.origins.flush()
    sizes = {each.address: each.size_bytes for each in store.origins.of(CID.multihash)}
    assert sizes == {
        "https://g.example": 1234,
        peer: 1234,
        "https://own.example": 1234,
        idle: None,
        "https://f.example/a": None,
    }
