"""A bit flipped under a running node: found before a byte of it leaves, reported, healed by a put."""

import http.client
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Node, ask, edge, edge_json

CONTENT = random.Random(5).randbytes((1 << 20) + 777)  # five segments
IN_EXTENT = random.Random(6).randbytes((3 << 20) + 777)  # thirteen, in a file of their own
OTHER = b"another blob, untouched"
PLACES = {
    "first segment": (CONTENT, 1000),
    "middle segment": (CONTENT, 600_000),
    "last segment": (CONTENT, (1 << 20) + 700),
    "first segment of an extent": (IN_EXTENT, 1000),
    "middle segment of an extent": (IN_EXTENT, 600_000),
    "last segment of an extent": (IN_EXTENT, (3 << 20) + 700),
}


def flip(data: Path, needle: bytes) -> None:
    """Flip one bit wherever `needle` lies at rest: the live page, and old copies of it if there are any."""
    files = [data / "bulk" / "data.mdb", *data.glob("extents/*/*")]
    assert sum(flip_in(path, needle) for path in files) > 0


def flip_in(path: Path, needle: bytes) -> bool:
    raw = path.read_bytes()
    at = raw.find(needle)
    found = at >= 0
    with path.open("r+b") as file:
        while at >= 0:
            file.seek(at)
            file.write(bytes([needle[0] ^ 1]))
            at = raw.find(needle, at + 1)
        file.flush()
        os.fsync(file.fileno())
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, str]]:
    """A data folder with everything in it, to be copied."""
    data = tmp_path_factory.mktemp("filled") / "data"
    everything = (CONTENT, IN_EXTENT, OTHER)
    return data, {each: f"/blake3/{edge_json(data, 'put', '-', stdin=each)['blake3']}" for each in everything}


@pytest.fixture
def node(tmp_path: Path, filled: tuple[Path, dict[bytes, str]]) -> Iterator[tuple[Node, dict[bytes, str]]]:
    data, paths = tmp_path / "data", filled[1]
    shutil.copytree(filled[0], data)
    with Node(data, "--workers", "1") as running:
        yield running, paths


def served_prefix(node: Node, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, bool]:
    """Status, body bytes that arrived, and whether the answer ended as announced."""
    session = node.session()
    try:
        session.request("GET", path, headers=headers or {})
        response = session.getresponse()
        try:
            return response.status, response.read(), True
        except http.client.IncompleteRead as broken:
            return response.status, broken.partial, False
        except ConnectionError:
            return response.status, b"", False
    except (ConnectionError, http.client.HTTPException):
        return 0, b"", False
    finally:
        session.close()


@pytest.mark.parametrize("warm", [False, True], ids=["first read", "after good reads"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_no_read_path_lets_a_flipped_bit_out(
    node: tuple[Node, dict[bytes, str]], place: tuple[bytes, int], warm: bool, tmp_path: Path
) -> None:
    running, paths = node
    (content, at_byte), other = place, paths[OTHER]
    path = paths[content]
    if warm:
        assert running.get(path).body == content
        assert running.get(path + "?format=bao").status == 200
    flip(tmp_path / "data", content[at_byte : at_byte + 40])

    status, body, whole = served_prefix(running, path)
    assert not (status == 200 and whole)
    assert content.startswith(body) or status == 500
    near = {"Range": f"bytes={at_byte - 10}-{at_byte + 10}"}
    status, body, whole = served_prefix(running, path, near)
    assert status != 206 or not whole
    assert body in content or status == 500
    at = f"entity-bytes={at_byte}:{at_byte}"
    for query in ("format=bao", f"format=bao&{at}", f"format=bao-chunk&{at}"):
        status, _, whole = served_prefix(running, f"{path}?{query}")
        assert not (status == 200 and whole)

    session = running.session()  # everything else goes on
    assert ask(session, "GET", other).body == OTHER
    session.close()
    hash_text = path.removeprefix("/blake3/")
    assert edge(tmp_path / "data", "verify", hash_text).returncode == 4
    got = edge(tmp_path / "data", "get", hash_text)
    assert got.returncode == 8
    assert content.startswith(got.stdout)
    assert edge(tmp_path / "data", "scrub").returncode == 8
    assert running.get("/api/v1/damage", which="admin").json()["damage"]

    assert edge_json(tmp_path / "data", "put", "-", stdin=content)["blake3"] == hash_text
    assert running.get(path).body == content
    assert edge(tmp_path / "data", "verify", hash_text).returncode == 0
    assert edge(tmp_path / "data", "scrub").returncode == 0


@pytest.mark.parametrize("content", [CONTENT, IN_EXTENT], ids=["in bulk", "in an extent"])
def test_a_flipped_bit_in_the_tree_is_found_by_proofs(
    node: tuple[Node, dict[bytes, str]], content: bytes, tmp_path: Path
) -> None:
    running, path = node[0], node[1][content]
    outboard = running.get(path + "?format=bao-outboard").body
    lower = outboard[8 + 64 * 5 :][:64]  # a node of the first segment, below five upper nodes at most
    flip(tmp_path / "data", lower[:40])
    for query in ("?format=bao", "?format=bao-outboard", "?format=bao-chunk&entity-bytes=0:20000"):
        status, _, whole = served_prefix(running, path + query)
        assert not (status == 200 and whole)
    assert edge(tmp_path / "data", "verify", path.removeprefix("/blake3/")).returncode == 4
