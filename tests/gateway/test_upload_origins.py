"""An upload is an origin of what it brought, for the account that sent it."""

from pathlib import Path

import blake3

from blockstore import Store
from blockstore.origin import OriginKind
from blockstore.origin_book import blob_name
from tests.appliance import Node, edge, token


def test_uploads_are_noted_under_what_they_brought(tmp_path: Path) -> None:
    data = tmp_path / "data"
    edge(data, "put", "-", stdin=b"here before")
    tokens = {name: token(data, name, "put") for name in ("ann", "bob")}
    new, old = blake3.blake3(b"new").digest(), blake3.blake3(b"here before").digest()
    with Node(data, "--workers", "1") as node:
        auth = {name: {"Authorization": f"Bearer {text}"} for name, text in tokens.items()}
        assert node.request("POST", "/blake3/", auth["ann"], b"new").status == 201
        assert node.request("PUT", f"/blake3/{new.hex()}", auth["bob"], b"new").status == 200
        assert node.request("PUT", f"/blake3/{old.hex()}", auth["bob"], b"here before").status == 200
        assert node.request("PUT", f"/blake3/{old.hex()}", auth["ann"], b"something else").status == 422
    with Store.open(data) as store:
        noted = {(each.account, each.address) for each in store.origins.of(blob_name(new))}
        assert noted == {("ann", "POST /blake3/"), ("bob", f"PUT /blake3/{new.hex()}")}
        assert [each.account for each in store.origins.of(blob_name(old))] == ["bob", ""]
        assert store.origins.of(blob_name(new), "ann")[0].kind is OriginKind.UPLOAD
        assert store.origins.of(blob_name(new), "ann")[0].size_bytes == 3
