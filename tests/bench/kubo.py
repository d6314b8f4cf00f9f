"""kubo, the reference IPFS node, as a peer: a repository of its own and its gateway on the server core.

Offline, one Go thread of execution (GOMAXPROCS=1), telemetry off. The program is built by
tests/conformance/peers; a bench that does not find it says so.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.machine import SERVER_CORE, pinned
from tests.bench.servers import Server, free_port, running, wait_for_port
from tests.conftest import SEARCH_PATH

_COMMAND_S: Final = 600.0
# What `unixfs-v1-2025` says, in the words of a version that has no profiles by that name
V1_2025: Final = ("--cid-version=1", "--raw-leaves", "--chunker=size-1048576", "--max-file-links=1024")


@dataclass(frozen=True, slots=True)
class Kubo:
    """A kubo repository in a folder."""

    repo: Path

    def run(
        self, *arguments: str, stdin: int | None = None, stdout: int | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """One command on the server core, to its end. Raises CalledProcessError."""
        return subprocess.run(
            pinned(str(SERVER_CORE), ["ipfs", *arguments]),
            env=self.environ(),
            stdin=stdin,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            check=True,
            timeout=_COMMAND_S,
        )

    def environ(self) -> dict[str, str]:
        """The environment every command of this repository runs in."""
        return {
            **os.environ,
            "PATH": SEARCH_PATH,
            "IPFS_PATH": str(self.repo),
            "IPFS_TELEMETRY": "off",
            "GOMAXPROCS": "1",
        }

    def add(self, path: Path, *flags: str) -> str:
        """The root CID of what was added, a directory with everything in it."""
        done = self.run("add", "-r", "-H", "-Q", "--pin=false", *flags, str(path))
        return done.stdout.decode().strip()

    def export(self, cid: str, car: Path) -> None:
        """Write the whole DAG under `cid` to a CAR file."""
        with car.open("wb") as file:
            self.run("dag", "export", "--progress=false", cid, stdout=file.fileno())

    def import_car(self, car: Path) -> None:
        """Put every block of a CAR file into the repository."""
        self.run("dag", "import", "--pin-roots=false", str(car))


def new_repository(folder: Path, *, synced: bool = False) -> Kubo:
    """A fresh repository that will never talk to anybody.

    `synced`: its block files are on the disk before a command returns; as it comes, kubo waits for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kubo = Kubo(folder / "repo")
    kubo.run("init", "--empty-repo", "--profile=test")
    config_path = kubo.repo / "config"
    config = json.loads(config_path.read_text())
    config["Addresses"]["Swarm"] = []
    config["Addresses"]["API"] = f"/ip4/127.0.0.1/tcp/{free_port()}"
    config["Gateway"]["NoFetch"] = True
    config["AutoTLS"] = {"Enabled": False}
    config["Routing"] = {"Type": "none"}
    config["AutoConf"] = {"Enabled": False}
    config["Bootstrap"], config["DNS"] = [], {"Resolvers": {}}
    if synced:
        flatfs = [each for each in config["Datastore"]["Spec"]["mounts"] if each["type"] == "flatfs"]
        flatfs[0]["sync"] = True
    config_path.write_text(json.dumps(config))
    return kubo


@contextmanager
def gateway(kubo: Kubo, folder: Path) -> Iterator[Server]:
    """Its HTTP gateway over that repository."""
    port = free_port()
    config_path = kubo.repo / "config"
    config = json.loads(config_path.read_text())
    config["Addresses"]["Gateway"] = f"/ip4/127.0.0.1/tcp/{port}"
    config_path.write_text(json.dumps(config))
    with running(["ipfs", "daemon", "--offline"], folder / "kubo.log", kubo.environ()) as process:
        wait_for_port(port, process)
        yield Server("kubo", f"http://127.0.0.1:{port}", process.pid)
