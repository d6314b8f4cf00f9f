"""A Filecoin piece with another commitment: the CID proves the content, and the origin is marked."""

from pathlib import Path

import pytest

from content.commp import piece_cid
from tests.appliance import Node
from tests.origins.byte_server import ByteServer, in_a_thread
from tests.origins.test_refetch import CAR, V1
from tests.tools.pin.conftest import Pin

pytestmark = pytest.mark.timeout(120)
WRONG = f"/piece/{piece_cid(bytes(31) + b'?')}"


def test_right_blocks_of_a_wrong_piece_are_pinned_at_the_first_try_and_its_origin_is_marked(
    tmp_path: Path, pin: Pin
) -> None:
    data = tmp_path / "data"
    environ = {
        "FLEEK_EDGE_ORIGINS_ALLOW_NETS_FOR_ACCOUNTS": "127.0.0.0/8",
        "FLEEK_EDGE_PINNING_ATTEMPTS": "1",
        "FLEEK_EDGE_ORIGINS_GATEWAYS": "",
        "FLEEK_EDGE_ORIGINS_ROUTERS": "",
    }
    with in_a_thread(ByteServer({WRONG: CAR})) as server, Node(data, "--workers", "1", environ=environ):
        address = server.url + WRONG
        added = pin("add", V1.text(), "--origin", address, "--data", data, "--wait", "--timeout", "60s")
        assert added.code == 0, added.err
        (row,) = pin("origins", V1.text(), "--data", data, "--json").records
        assert (row["kind"], row["address"]) == ("filecoin", address)
        assert row["last_success_s"] == 0 < row["last_failure_s"]
        assert b"last failed 2" in pin("origins", V1.text(), "--data", data).out
