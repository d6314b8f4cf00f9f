"""Where a pin says its content is, is on record when the pin is, and stays when the pin goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Durability, Store, StoreSettings
from blockstore.origin import OriginKind
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
