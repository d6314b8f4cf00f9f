"""Our `get` from kubo's gateway: trees of both CID versions, sharded ones, ranges, and a download resumed."""

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SEARCH_PATH
from tests.tools import trees
from tests.tools.conftest import Edge, data, edge

__all__ = ["data", "edge"]  # fixtures
pytestmark = [pytest.mark.needs("ipfs"), pytest.mark.slow, pytest.mark.timeout(180)]


class Kubo:
    """An offline daemon with a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self._environ = {
            **os.environ, "PATH": SEARCH_PATH, "IPFS_PATH": str(folder), "IPFS_TELEMETRY": "off"
        }  # fmt: skip
        self.run("init", "--empty-repo", "--profile", "test")
        self.run("config", "--json", "Import.UnixFSHAMTDirectorySizeThreshold", '"20KiB"')
        self._daemon = subprocess.Popen(
            ["ipfs", "daemon", "--offline"], env=self._environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._daemon.stdout is not None
        assert any(line.startswith("Daemon is ready") for line in self._daemon.stdout)
        self.gateway = (folder / "gateway").read_text().strip()

    def run(self, *argv: str) -> str:
        done = subprocess.run(["ipfs", *argv], env=self._environ, capture_output=True, timeout=60, check=True)
        return done.stdout.decode().strip()

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(30)
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()


@pytest.fixture
def kubo(tmp_path: Path) -> Iterator[Kubo]:
    started = Kubo(tmp_path / "kubo")
    yield started
    started.stop()


@pytest.mark.parametrize("flags", [("--cid-version=0",), ("--cid-version=1", "--raw-leaves")])
def test_what_kubo_serves_is_got_and_verified(
    edge: Edge, tmp_path: Path, kubo: Kubo, flags: tuple[str, ...]
) -> None:
    tree = tmp_path / "tree"
    trees.wide(tree / "many", 1000)
    content = random.Random(5).randbytes(3_000_000)
    (tree / "big").write_bytes(content)
    (tree / "zeros").write_bytes(bytes(1_500_000))
    (tree / "none").write_bytes(b"")
    (tree / "many" / "link").symlink_to("../big")
    root = f"{kubo.gateway}/ipfs/{kubo.run('add', '-Qr', *flags, str(tree))}"

    assert edge("get", root, "-o", tmp_path / "back").code == 0
    assert trees.content_of(tmp_path / "back") == trees.content_of(tree)
    assert edge("get", f"{root}/many/entry-00077.txt").out == b"77\n"
    assert edge("get", f"{root}/big", "--range", "1000000:2000000").out == content[1_000_000:2_000_001]
    (tmp_path / "big.part").write_bytes(content[:2_000_000])
    resumed = edge("get", f"{root}/big", "-o", tmp_path / "big", "--json").records[0]["resumed_bytes"]
    assert resumed > 1_500_000
    assert (tmp_path / "big").read_bytes() == content
    assert edge("get", f"{root}/nothing").code == 3
