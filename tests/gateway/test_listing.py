"""Listings that are large, incomplete or hostile, and what a listing says of its entries."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from content import dag_pb, multihash
from content.cid import DAG_PB, Cid
from content.unixfs.hamt import MURMUR3_X64_64
from content.unixfs.message import Kind, Message
from content.unixfs.profile import UNIXFS_V1_2025
from gateway.directory_answer import ENTRIES_MAX
from tests.appliance import Node, edge
from tests.gateway.dags import SHARDED, Dags

pytestmark = pytest.mark.timeout(120)

# Identity CIDs: entries that need no block
EMPTY = Cid.from_bytes(bytes.fromhex("01550000"))


@dataclass
class Roots:
    """Directories by what is odd about them."""

    flat: Cid
    full: Cid
    huge: Cid
    lacking: Cid
    lacking_shard: Cid
    repeating: Cid
    kinds: Cid


def flat_directory(dags: Dags, count: int) -> Cid:
    """A flat directory of `count` entries in one block, as an old writer might have made it."""
    links = tuple(dag_pb.Link(EMPTY, f"{number:06}.png", 0) for number in range(count))
    return dags.node(links, Message(Kind.DIRECTORY))


def repeating_directory(dags: Dags) -> Cid:
    """Seven levels of a shard 256 times each: 2^56 reads out of eight blocks."""
    links: tuple[dag_pb.Link, ...] = (dag_pb.Link(EMPTY, "00a", 0),)
    cid = EMPTY
    for _ in range(8):
        field = bytes(31) + b"\1" if len(links) == 1 else b"\xff" * 32
        message = Message(Kind.HAMT_SHARD, data=field, hash_type=MURMUR3_X64_64, fanout=256)
        cid = dags.node(links, message)
        links = tuple(dag_pb.Link(cid, f"{place:02X}", 0) for place in range(256))
    return cid


def kinds_of_entries(dags: Dags) -> Cid:
    """One entry of each kind that a listing tells."""
    file = dags.file(b"0123456789" * 1000)
    assert file.codec == DAG_PB
    return dags.directory(
        {
            "folder": dags.directory({"a": dags.raw(b"a")}),
            "sharded": dags.directory({"b": dags.raw(b"b")}, SHARDED),
            "large": file,
            "film.mp4": file,
            "note.txt": dags.raw(b"text"),
            "not here": Cid.v1(DAG_PB, multihash.sha2_256(b"nowhere")),
            "broken": dags.put(DAG_PB, b"no dag-pb at all"),
        }
    )


def roots_in(dags: Dags) -> Roots:
    """All of them."""
    entries = {f"entry-{number:05}.txt": EMPTY for number in range(ENTRIES_MAX + 1)}
    huge = dags.directory(entries, UNIXFS_V1_2025)
    lacking = dags.directory({f"{number:04}": dags.raw(b"x") for number in range(300)}, SHARDED)
    shard = next(cid for cid in dags.children(lacking) if cid.codec == DAG_PB)
    del dags.blocks[shard]
    return Roots(
        flat=flat_directory(dags, ENTRIES_MAX + 1),
        full=flat_directory(dags, ENTRIES_MAX),
        huge=huge,
        lacking=lacking,
        lacking_shard=shard,
        repeating=repeating_directory(dags),
        kinds=kinds_of_entries(dags),
    )


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Node, Roots]]:
    folder = tmp_path_factory.mktemp("listing")
    dags = Dags()
    roots = roots_in(dags)
    dags.car(folder / "all.car")
    done = edge(folder / "data", "dag", "import", "--allow-incomplete", str(folder / "all.car"))
    assert done.returncode == 0, done.stderr
    with Node(folder / "data", "--offline", "--workers", "1") as node:
        yield node, roots


def names_on(page: str) -> list[str]:
    return re.findall(r'<tr(?: class="d")?><td><a href="[^"]*">([^<]*)</a>', page)


@pytest.mark.parametrize("which", ["flat", "huge"])
def test_a_directory_that_is_too_large_for_a_page_says_so_and_where_to_find_the_rest(
    odd: tuple[Node, Roots], which: str
) -> None:
    node, roots = odd
    cid = getattr(roots, which)
    reply = node.get(f"/ipfs/{cid}/")
    page = reply.body.decode()
    names = names_on(page)
    assert reply.status == 200
    assert len(names) == ENTRIES_MAX == 20_000
    assert names == sorted(names)
    assert "too large for one page" in page
    assert "the first 20,000 entries that were found" in page
    (form,) = re.findall(r'<a href="([^"]*dag-scope=entity)">', page)
    car = node.get(form.replace("&amp;", "&"))
    assert car.status == 200
    assert car.body.count(b".png" if which == "flat" else b".txt") == ENTRIES_MAX + 1


def test_a_directory_that_just_fits_is_whole(odd: tuple[Node, Roots]) -> None:
    node, roots = odd
    page = node.get(f"/ipfs/{roots.full}/").body.decode()
    assert len(names_on(page)) == ENTRIES_MAX
    assert "too large" not in page
    assert "20,000 entries ·" in page


def test_a_directory_that_lacks_a_shard_is_no_page(odd: tuple[Node, Roots]) -> None:
    node, roots = odd
    reply = node.get(f"/ipfs/{roots.lacking}/")
    assert reply.status == 404
    assert roots.lacking_shard.text() in reply.body.decode()


def test_a_directory_of_repeated_shards_is_refused_at_once(odd: tuple[Node, Roots]) -> None:
    node, roots = odd
    for form in ("", "?format=tar"):
        reply = node.get(f"/ipfs/{roots.repeating}/{form}")
        assert reply.status == 422
        assert b"occurs twice" in reply.body


def test_a_listing_tells_folders_from_files_where_it_can(odd: tuple[Node, Roots]) -> None:
    node, roots = odd
    page = node.get(f"/ipfs/{roots.kinds}/").body.decode()
    shown = dict(re.findall(r'<tr[^>]*><td><a href="[^"]*">([^<]*)</a></td><td>([^<]*)</td>', page))
    assert shown == {
        "broken": "",
        "film.mp4": "video",
        "folder": "folder",
        "large": "",
        "not here": "",
        "note.txt": "text",
        "sharded": "folder",
    }
    folders = re.findall(r'<tr class="d"><td><a href="[^"]*">([^<]*)</a>', page)
    assert folders == ["folder", "sharded"]


def test_a_page_asks_nothing_of_anybody(odd: tuple[Node, Roots]) -> None:
    node, roots = odd
    reply = node.get(f"/ipfs/{roots.kinds}/")
    assert reply.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    page = reply.body.decode()
    assert not re.search(r"<script|<img|<link|url\(|@import|\son\w+=|\sstyle=", page)
