"""A node in front of kubo: what is not here comes from kubo's gateway, is served, and stays."""

import random
import re
from pathlib import Path

import pytest

from content.car import CarReader
from tests.appliance import Node
from tests.conformance.test_get_kubo import Kubo, kubo
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.tools import trees

__all__ = ["kubo"]  # a fixture
pytestmark = [pytest.mark.needs("ipfs"), pytest.mark.slow, pytest.mark.timeout(180)]
ENTRIES = 1000


@pytest.mark.parametrize("flags", [("--cid-version=0",), ("--cid-version=1", "--raw-leaves")])
def test_what_kubo_holds_is_fetched_served_and_kept(
    tmp_path: Path, kubo: Kubo, flags: tuple[str, ...]
) -> None:
    tree = tmp_path / "tree"
    trees.wide(tree / "many", ENTRIES)
    big = random.Random(6).randbytes(9_000_000)
    (tree / "big").write_bytes(big)
    (tree / "sub").mkdir()
    (tree / "sub" / "note").write_text("a note\n")
    root = kubo.run("add", "-Qr", *flags, str(tree))
    origins = f'gateways = ["{kubo.gateway}"]\nallow_nets = {LOOPBACK}'
    with node_with(tmp_path, origins, "--workers", "2") as node:
        part = node.get(f"/ipfs/{root}/big", {"Range": "bytes=5000000-5000099"})
        assert (part.status, part.body) == (206, big[5_000_000:5_000_100])
        assert node.get(f"/ipfs/{root}/big").body == big
        assert node.get(f"/ipfs/{root}/many/entry-00077.txt").body == b"77\n"
        page = node.get(f"/ipfs/{root}/many/").body.decode()
        assert len(re.findall(r">entry-\d{5}\.txt</a>", page)) == ENTRIES
        assert node.get(f"/ipfs/{root}/sub/note").body == b"a note\n"
        assert node.get(f"/ipfs/{root}/none").status == 404
        reader = CarReader()
        held = {block.cid for block in reader.feed(node.get(f"/ipfs/{root}?format=car").body)}
        reader.end()
    told = kubo.run("refs", "-r", "-u", root).split()
    assert {cid.text() for cid in held} == {root, *told}
    kubo.stop()
    with Node(tmp_path / "data", "--offline", "--workers", "1") as node:
        assert node.get(f"/ipfs/{root}/big").body == big
        assert node.get(f"/ipfs/{root}/many/entry-00999.txt").body == b"999\n"
