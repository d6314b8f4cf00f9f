"""Hostile content through a running node: refused with a reason or broken off, and others are served."""

import http.client
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from content import car
from content.block import MAX_BLOCK_BYTES
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_pb import Link
from content.unixfs.message import Kind, Message
from tests.appliance import Node, edge
from tests.hostile.test_dags import LEVELS, Bomb

pytestmark = pytest.mark.timeout(120)
GOOD = b"a good file"


@dataclass(frozen=True)
class Hostile:
    """The node and what it was given."""

    node: Node
    roots: dict[str, Cid]

    def path(self, name: str) -> str:
        return f"/ipfs/{self.roots[name]}"


def make(bomb: Bomb) -> dict[str, Cid]:
    """Content that lies, by what it lies about."""
    leaf = bomb.put(RAW, b"five!")
    large = bomb.put(RAW, b"x" * 300_000)
    part = Link(leaf, "", 5)
    roots = {
        "good": bomb.put(RAW, GOOD),
        "bomb": bomb.file(LEVELS)[0],
        "folders": bomb.folder(LEVELS),
        "sum": bomb.node([part, part], Message(Kind.FILE, None, 11, (5, 5))),
        "overflow": bomb.node([part, part], Message(Kind.FILE, None, None, (1 << 62, 1 << 62))),
        "part": bomb.node([Link(large, "", 1), part], Message(Kind.FILE, None, 300_009, (300_000, 9))),
        "deep": bomb.put(DAG_CBOR, b"\x81" * 100_000 + b"\x00"),
    }
    for name in ("../out", "a\0b", "/etc", "..", "x" * 65_536):
        roots[f"name {name[:6]!r}"] = bomb.node([Link(leaf, name, 5)], Message(Kind.DIRECTORY))
    twice = [Link(leaf, "a", 5), Link(large, "a", 5)]
    roots["names twice"] = bomb.node(twice, Message(Kind.DIRECTORY))
    return roots


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    folder = tmp_path_factory.mktemp("hostile")
    bomb = Bomb()
    roots = make(bomb)
    file = folder / "hostile.car"
    with file.open("wb") as out:
        # `dag import` walks what it is told to be a root, and would refuse the nested block there
        out.write(car.header([root for root in roots.values() if root.codec != DAG_CBOR]))
        for codec in (RAW, 0x70, DAG_CBOR):
            for multihash, data in bomb.blocks.items():
                cid = Cid.v1(codec, multihash)
                if cid in roots.values() or codec == RAW:
                    out.write(car.frame(cid, len(data)) + data)
    done = edge(folder / "data", "dag", "import", "--allow-incomplete", "--no-pin", str(file))
    assert done.returncode == 0, done.stderr
    with Node(folder / "data", "--workers", "1", "--offline") as node:
        yield Hostile(node, roots)


@pytest.fixture(autouse=True)
def still_served(hostile: Hostile) -> Iterator[None]:
    """After each test the same worker is alive and serves others."""
    workers = hostile.node.workers()
    yield
    assert hostile.node.get(hostile.path("good")).body == GOOD
    assert hostile.node.workers() == workers
    assert all(Path(f"/proc/{pid}").exists() for pid in workers)
    assert os.getpid() not in workers


@pytest.mark.parametrize(
    ("name", "query", "reason"),
    [
        ("sum", "", "the DAG lies"),
        ("sum", "?format=tar", "the DAG lies"),
        ("overflow", "", "more than a file can be"),
        ("deep", "/0/0", "nested deeper"),
        ("deep", "?format=car", "nested deeper"),
        ("name '../out'", "?format=tar", "outside the root"),
        ("name 'a\\x00b'", "?format=tar", "outside the root"),
        ("name '/etc'", "?format=tar", "outside the root"),
        ("name '..'", "?format=tar", "outside the root"),
        ("names twice", "?format=tar", "have one name"),
    ],
)
def test_what_lies_is_refused_with_a_reason_or_broken_off(
    hostile: Hostile, name: str, query: str, reason: str
) -> None:
    try:
        reply = hostile.node.get(hostile.path(name) + query)
    except (http.client.IncompleteRead, ConnectionError):
        assert query.startswith("?format="), "only what had begun is broken off"
        return
    assert 400 <= reply.status < 600
    assert reply.status != 500
    assert reason in reply.body.decode()


def test_a_part_that_lies_breaks_the_body_off(hostile: Hostile) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        hostile.node.get(hostile.path("part"))
    good = hostile.node.get(hostile.path("part"), {"Range": "bytes=0-9"})
    assert (good.status, good.body) == (206, b"x" * 10)


def test_a_range_of_four_terabytes_of_nothing_is_ten_bytes(hostile: Hostile) -> None:
    size = 4 << LEVELS
    head = hostile.node.request("HEAD", hostile.path("bomb"))
    assert head.headers["Content-Length"] == str(size)
    last = hostile.node.get(hostile.path("bomb"), {"Range": "bytes=-10"})
    assert (last.status, last.body) == (206, b"afleafleaf")
    assert last.headers["Content-Range"] == f"bytes {size - 10}-{size - 1}/{size}"


def test_a_car_of_a_bomb_is_small_and_its_listing_one_page(hostile: Hostile) -> None:
    assert len(hostile.node.get(hostile.path("bomb") + "?format=car").body) < 100_000
    assert len(hostile.node.get(hostile.path("folders") + "?format=car").body) < 100_000
    assert hostile.node.get(hostile.path("folders") + "/" + "a/" * (LEVELS - 1)).status == 200


def test_a_client_that_leaves_an_endless_tar_ends_it(hostile: Hostile) -> None:
    with hostile.node.connect() as connection:
        connection.sendall(f"GET {hostile.path('folders')}?format=tar HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        taken = 0
        while taken < 1 << 20:
            taken += len(connection.recv(1 << 16))
    assert hostile.node.get(hostile.path("good")).body == GOOD


def test_names_nobody_would_write_are_listed_and_found(hostile: Hostile) -> None:
    for name in ("name '../out'", "name 'a\\x00b'", "name '..'", "name 'xxxxxx'", "names twice"):
        page = hostile.node.get(hostile.path(name) + "/", {"Accept": "text/html"})
        assert page.status == 200
        assert b"Index of" in page.body
    found = hostile.node.get(hostile.path("name '../out'") + "/..%2Fout")
    assert (found.status, found.body) == (200, b"five!")


def test_a_block_above_two_mebibytes_is_no_block_here(hostile: Hostile, tmp_path: Path) -> None:
    data = bytes(MAX_BLOCK_BYTES + 1)
    cid = Cid.v1(RAW, hostile.roots["good"].multihash)
    file = tmp_path / "large.car"
    file.write_bytes(car.header((cid,)) + car.frame(cid, len(data)) + data)
    done = edge(hostile.node.data, "dag", "import", "--no-pin", str(file))
    assert done.returncode == 5
    assert b"larger than" in done.stderr
    assert cid.text().encode() in done.stderr
