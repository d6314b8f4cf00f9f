"""`add` of many small files beside kubo and beside the disk: whole commands, on every core, in turn.

What one side left in the page cache is synced before the next is timed.
FLEEK_BENCH_IPFS_SCALE divides the sizes for a quick look. Needs kubo (tests/conformance/peers).
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import kubo, servers
from tests.bench.bench_ipfs import GIB, ROUNDS, SCALE, edge, many_files
from tests.bench.row import Row, at_least, at_most, not_run

FILES: Final = 10_000 // SCALE
Add = Callable[[], str]  # what is timed; returns the root CID, or nothing where there is none
Side = Callable[[], Add]  # begins anew, and says what is to be timed


def adding() -> list[Row]:
    """`add` of 1 GiB in 10,000 files from the page cache; bytes stored for it, and after its CAR.

    Three peers: kubo as it comes, which waits for no disk; kubo with `sync` in its flatfs, which promises
    what we do; and the same bytes appended to one file and synced once, which is what the disk allows.
    """
    ids = ("ipfs-add", "ipfs-add-synced", "ipfs-add-raw", "ipfs-stored", "ipfs-stored-after-car")
    if why := servers.missing("ipfs"):
        return [not_run(id, why) for id in ids]
    payload = FILES * (GIB // FILES)
    with tempfile.TemporaryDirectory(prefix="bench-add-") as name:
        folder = Path(name)
        tree = many_files(folder / "tree", FILES, GIB // FILES)
        sides: dict[str, Side] = {
            "ours": partial(_ours, folder / "node", tree),
            "kubo": partial(_kubo, folder / "kubo", tree, synced=False),
            "synced": partial(_kubo, folder / "kubo-synced", tree, synced=True),
            "raw": partial(_raw, folder / "raw", tree),
        }
        edge(folder / "first", "add", "-Q", str(next(tree.iterdir())))  # kubo's `init` has run too
        times, cid = _in_turn(sides)
        stored = _disk_bytes(folder / "node")
        car = folder / "root.car"
        with car.open("wb") as file:
            edge(folder / "node", "dag", "export", cid, stdout=file.fileno())
        edge(folder / "node", "dag", "import", str(car))
        stored_again = _disk_bytes(folder / "node")
    speeds = {side: [payload / (1 << 30) / s for s in seconds] for side, seconds in times.items()}
    beside = partial(at_least, ours=speeds["ours"], unit="GiB/s")
    return [
        beside(ids[0], peer=speeds["kubo"], floor=3.0, why="kubo as it comes: flatfs does not sync"),
        beside(
            ids[1], peer=speeds["synced"], floor=3.0, why="kubo with flatfs `sync: true`, as durable as ours"
        ),
        beside(
            ids[2],
            peer=speeds["raw"],
            floor=0.35,
            why="the files read and appended to one, fdatasync at the end",
        ),
        at_most(ids[3], stored / payload, None, 1.1, unit="bytes on disk / payload"),
        at_most(ids[4], stored_again / payload, None, 1.1, unit="bytes on disk / payload"),
    ]


def _in_turn(sides: dict[str, Side]) -> tuple[dict[str, list[float]], str]:
    """Seconds of each side in each round, forwards and backwards in turn, and the root that all found."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    roots = set()
    for index in range(ROUNDS):
        for side in sides if index % 2 == 0 else reversed(sides):
            add = sides[side]()
            os.sync()
            started_s = time.perf_counter()
            root = add()
            times[side].append(time.perf_counter() - started_s)
            roots.add(root)
    roots.discard("")
    if len(roots) != 1:
        raise ValueError(f"they disagree about the root: {roots}")
    return times, roots.pop()


def _ours(data: Path, tree: Path) -> Add:
    shutil.rmtree(data, ignore_errors=True)
    return lambda: edge(data, "add", "-Q", str(tree)).decode().strip()


def _kubo(folder: Path, tree: Path, *, synced: bool) -> Add:
    """On every core, as ours: the promise is about the command, not about one core."""
    shutil.rmtree(folder, ignore_errors=True)
    repository = kubo.new_repository(folder, synced=synced)
    environ = {key: text for key, text in repository.environ().items() if key != "GOMAXPROCS"}
    command = ["ipfs", "add", "-r", "-H", "-Q", "--progress=false", *kubo.V1_2025, str(tree)]

    def add() -> str:
        return subprocess.run(command, env=environ, capture_output=True, check=True).stdout.decode().strip()

    return add


def _raw(path: Path, tree: Path) -> Add:
    path.unlink(missing_ok=True)

    def append() -> str:
        with path.open("wb", buffering=0) as file:
            for each in sorted(tree.iterdir()):
                file.write(each.read_bytes())
            os.fdatasync(file.fileno())
        return ""

    return append


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


BENCHES: Final[dict[str, Callable[[], Row | list[Row]]]] = {"ipfs-add": adding}
