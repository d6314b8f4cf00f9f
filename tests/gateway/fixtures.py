"""A node over the public fixtures of other gateways, where they are beside this repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from content import dag_pb
from content.car import CarReader
from content.cid import Cid
from tests.appliance import Node, edge


@dataclass
class Fixtures:
    """The node and the roots of the CAR files by a part of their names."""

    node: Node
    roots: dict[str, Cid]
    blocks: dict[bytes, bytes]

    def root(self, name: str) -> Cid:
        (found,) = {cid for key, cid in self.roots.items() if key.startswith(name)}
        return found

    def block(self, cid: Cid) -> bytes:
        return self.blocks[cid.multihash]

    def child(self, cid: Cid, *names: str) -> Cid:
        for name in names:
            (cid,) = [link.cid for link in dag_pb.decode(self.block(cid)).links if link.name == name]
        return cid


@contextmanager
def node_over_fixtures(folder: Path, data: Path) -> Iterator[Fixtures]:
    """Import, put, serve: `folder` is the public fixtures."""
    cars = sorted(folder.glob("*.car"))
    done = edge(data, "dag", "import", "--allow-incomplete", *map(str, cars))
    assert done.returncode == 0, done.stderr
    refused = []
    for record in sorted(folder.glob("*.ipns-record")):
        name = record.name.removesuffix(".ipns-record").split("_")[0]
        put = edge(data, "name", "put", "--name", name, str(record))
        if put.returncode:
            assert put.returncode == 4, put.stderr
            refused.append(record.name)
    assert len(refused) == 3, "the three records that are wrong on purpose"
    roots: dict[str, Cid] = {}
    blocks: dict[bytes, bytes] = {}
    for car in cars:
        reader = CarReader()
        blocks |= {block.cid.multihash: block.data for block in reader.feed(car.read_bytes())}
        assert reader.roots
        roots[car.name] = reader.roots[0]
    flags = (
        "--subdomain-host",
        "example.com",
        "--subdomain-host",
        "localhost",
        "--workers",
        "1",
        "--offline",
    )
    with Node(data, *flags, "--dnslink-file", str(folder / "dnslinks.json")) as node:
        yield Fixtures(node, roots, blocks)
