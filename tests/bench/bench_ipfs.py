"""IPFS content beside kubo: gateway and CAR export, one core each, in turn.

kubo adds everything; its CAR files are imported here, so both serve the same CIDs. FLEEK_BENCH_IPFS_SCALE
divides the large sizes for a quick look. Needs kubo (tests/conformance/peers).
"""

import json
import os
import random
import statistics
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import kubo, servers
from tests.bench.asking import Asker, Took, on_load_core
from tests.bench.compare import Target, duel, speed_row
from tests.bench.machine import SERVER_CORE, anonymous_rss_bytes, pinned
from tests.bench.row import Row, at_least, at_most, not_run
from tests.bench.servers import FLEEK_EDGE, Server

SCALE: Final = int(os.environ.get("FLEEK_BENCH_IPFS_SCALE", "1"))
ROUNDS: Final = max(1, int(os.environ.get("FLEEK_BENCH_ROUNDS", "7")))
KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = (1 << 30) // SCALE
ENTRIES: Final = 10_000
RANGES: Final = 200  # requests a round
MIB_S: Final = 1e6
# A program that is installed was compiled to bytecode (the image does it, pip does it); one that runs from a
# clone whose environment forbids to write it would compile itself at each start, 0.12 s
AS_INSTALLED: Final = {
    **{name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
    "PYTHONPYCACHEPREFIX": str(Path(__file__).parents[2] / "build" / "bench-bytecode"),
}


def _random_file(path: Path, size_bytes: int) -> Path:
    """`size_bytes` that do not compress, the same in every run."""
    chance = random.Random(size_bytes)
    with path.open("wb") as file:
        for start in range(0, size_bytes, MIB):
            file.write(chance.randbytes(min(MIB, size_bytes - start)))
    return path


def many_files(folder: Path, count: int, size_bytes: int) -> Path:
    """A folder of `count` files of `size_bytes` each."""
    folder.mkdir(parents=True)
    chance = random.Random(count)
    for index in range(count):
        (folder / f"file-{index:05}.bin").write_bytes(chance.randbytes(size_bytes))
    return folder


@contextmanager
def both(material: Callable[[Path], Path]) -> Iterator[tuple[Server, Server, str]]:
    """(ours, kubo, root CID): both serve what `material` makes, each on the server core."""
    with tempfile.TemporaryDirectory(prefix="bench-ipfs-") as name, ExitStack() as stack:
        folder = Path(name)
        peer = kubo.new_repository(folder / "kubo")
        cid = peer.add(material(folder), *kubo.V1_2025)
        peer.export(cid, folder / "root.car")
        data = folder / "node"
        subprocess.run(
            [FLEEK_EDGE, "dag", "import", "--data", str(data), str(folder / "root.car")],
            check=True,
            capture_output=True,
        )
        (folder / "root.car").unlink()
        ours = stack.enter_context(servers.serving(folder / "ours", data))
        theirs = stack.enter_context(kubo.gateway(peer, folder / "kubo"))
        yield ours, theirs, cid


def single(target: str, ours: Server, peer: Server, **fields: str) -> tuple[list[Took], list[Took]]:
    """ROUNDS answers of each in turn, after one of each that is not counted."""
    times: tuple[list[Took], list[Took]] = ([], [])
    with on_load_core(), Asker(ours.base) as our_asker, Asker(peer.base) as peer_asker:
        sides = [(our_asker, times[0]), (peer_asker, times[1])]
        for asker, _ in sides:
            asker.ask(target, **fields)
        for index in range(ROUNDS):
            for asker, list_ in sides if index % 2 == 0 else reversed(sides):
                list_.append(asker.ask(target, **fields))
    return times


def many(
    requests: Callable[[int], list[tuple[str, dict[str, str]]]], ours: Server, peer: Server
) -> tuple[list[float], list[float]]:
    """Median seconds of a request in each of ROUNDS rounds; `requests(round)` are asked of both."""
    medians: tuple[list[float], list[float]] = ([], [])
    with on_load_core(), Asker(ours.base) as our_asker, Asker(peer.base) as peer_asker:
        sides = [(our_asker, medians[0]), (peer_asker, medians[1])]
        for target, fields in requests(0):
            for asker, _ in sides:
                asker.ask(target, **fields)
        for index in range(ROUNDS):
            asked = requests(index)
            for asker, list_ in sides if index % 2 == 0 else reversed(sides):
                list_.append(
                    statistics.median(asker.ask(target, **fields).whole_s for target, fields in asked)
                )
    return medians


def small_objects() -> list[Row]:
    """A file of 16 KiB: requests a second beside kubo, and beside our own path by hash."""
    if why := servers.missing("ipfs"):
        return [not_run("ipfs-16KiB", why), not_run("ipfs-16KiB-beside-blake3", why)]
    with both(lambda folder: _random_file(folder / "object", 16 * KIB)) as (ours, peer, cid):
        url = f"/ipfs/{cid}"
        beside_kubo = speed_row(
            "ipfs-16KiB",
            duel(Target(ours, ours.base + url), Target(peer, peer.base + url)),
            8.0,
            large=False,
        )
        hash_hex = _hash_of(ours, url)
        beside_self = speed_row(
            "ipfs-16KiB-beside-blake3",
            duel(Target(ours, ours.base + url), Target(ours, ours.url(hash_hex))),
            0.95,
            large=False,
        )
    return [beside_kubo, beside_self]


def _hash_of(server: Server, target: str) -> str:
    asker = servers.headers(server.base + target)
    return asker["X-Fleek-Blake3"]


def large_object() -> Row:
    """CPU a GiB of a file of 256 MiB."""
    id = "ipfs-256MiB-cpu"
    if why := servers.missing("ipfs"):
        return not_run(id, why)
    with both(lambda folder: _random_file(folder / "object", 256 * MIB // SCALE)) as (ours, peer, cid):
        url = f"/ipfs/{cid}"
        rounds = duel(
            Target(ours, ours.base + url, large=True),
            Target(peer, peer.base + url, large=True),
            connections=8,
        )
    ours_ms, peer_ms = ([r.cpu_ms_per_gib for r in side] for side in (rounds.ours, rounds.peer))
    speeds = [statistics.median(r.load.bytes_per_s for r in side) for side in (rounds.ours, rounds.peer)]
    why = f"throughput {speeds[0] / speeds[1]:.2f} x"
    return at_most(id, ours_ms, peer_ms, 1 / 3, unit="CPU ms/GiB", why=why)


def ranges_and_car() -> list[Row]:
    """Ranges of 1 MiB anywhere in 1 GiB, and the whole of it as a CAR."""
    ids = ("ipfs-range-1MiB-p50", "ipfs-car-export")
    if why := servers.missing("ipfs"):
        return [not_run(id, why) for id in ids]
    chance = random.Random(1)
    with both(lambda folder: _random_file(folder / "object", GIB)) as (ours, peer, cid):

        def asked(_: int) -> list[tuple[str, dict[str, str]]]:
            starts = [chance.randrange(GIB - MIB) for _ in range(RANGES)]
            return [(f"/ipfs/{cid}", {"Range": f"bytes={start}-{start + MIB - 1}"}) for start in starts]

        our_p50, peer_p50 = many(asked, ours, peer)
        before = ours.cpu(), peer.cpu()
        our_cars, peer_cars = single(f"/ipfs/{cid}?format=car", ours, peer)
        cpu_s = [
            side.cpu().since(then) / (ROUNDS + 1) for side, then in zip((ours, peer), before, strict=True)
        ]
        if {took.received_bytes for took in our_cars} != {took.received_bytes for took in peer_cars}:
            raise ValueError("the CARs differ in size")
    speeds = [[took.received_bytes / took.whole_s / 1e6 for took in side] for side in (our_cars, peer_cars)]
    scale = (1 << 30) / GIB
    return [
        at_most(ids[0], our_p50, peer_p50, 0.5, unit="s"),
        at_least(
            ids[1],
            speeds[0],
            speeds[1],
            3.0,
            unit="MB/s",
            why=f"CPU {cpu_s[0] * scale:.2f} and {cpu_s[1] * scale:.2f} s/GiB",
        ),
    ]


def directories() -> list[Row]:
    """The listing of a directory of 10,000 entries, and the way to one of its entries."""
    ids = ("ipfs-listing-10000", "ipfs-hamt-entry-p50")
    if why := servers.missing("ipfs"):
        return [not_run(id, why) for id in ids]
    with both(lambda folder: many_files(folder / "tree", ENTRIES, 11)) as (ours, peer, cid):
        our_lists, peer_lists = single(f"/ipfs/{cid}/", ours, peer)
        pick = random.Random(2)

        def asked(_: int) -> list[tuple[str, dict[str, str]]]:
            return [(f"/ipfs/{cid}/file-{pick.randrange(ENTRIES):05}.bin", {}) for _ in range(RANGES)]

        our_p50, peer_p50 = many(asked, ours, peer)
    firsts = [statistics.median(took.first_s for took in side) * 1e3 for side in (our_lists, peer_lists)]
    sizes = [
        statistics.median(took.received_bytes for took in side) / 1e6 for side in (our_lists, peer_lists)
    ]
    why = f"first byte after {firsts[0]:.1f} and {firsts[1]:.1f} ms"
    why += f", {sizes[0]:.1f} and {sizes[1]:.1f} MB of HTML"
    wholes = [[took.whole_s for took in side] for side in (our_lists, peer_lists)]
    return [
        at_most(ids[0], wholes[0], wholes[1], 0.25, unit="s", why=why),
        at_most(ids[1], our_p50, peer_p50, 1.0, unit="s"),
    ]


def edge(data: Path, *arguments: str, stdout: int | None = None) -> bytes:
    """What one command of ours printed, on every core. Raises CalledProcessError."""
    done = subprocess.run(
        [FLEEK_EDGE, *arguments, "--data", str(data)],
        env=AS_INSTALLED,
        stdout=subprocess.PIPE if stdout is None else stdout,
        stderr=subprocess.PIPE,
        check=True,
    )
    return done.stdout or b""


def car_memory() -> list[Row]:
    """Memory while a CAR of 4 GiB is exported by the gateway, and imported by the command line."""
    ids = ("ipfs-car-import-rss", "ipfs-car-export-rss")
    with tempfile.TemporaryDirectory(prefix="bench-car-") as name:
        folder = Path(name)
        cid = json.loads(
            edge(
                folder / "node", "add", "--json", str(_random_file(folder / "object", 4 * GIB))
            ).splitlines()[-1]
        )["cid"]
        (folder / "object").unlink()
        with servers.serving(folder / "ours", folder / "node") as server:
            watch = _Watch(server.rss_bytes)
            with watch, Asker(server.base) as asker, (folder / "big.car").open("wb") as car:
                asker.save(f"/ipfs/{cid}?format=car", car.write)
            exported = watch.most_bytes
        command = pinned(str(SERVER_CORE), [FLEEK_EDGE, "dag", "import", "--data", str(folder / "second")])
        process = subprocess.Popen([*command, str(folder / "big.car")], stdout=subprocess.DEVNULL)
        with _Watch(partial(anonymous_rss_bytes, process.pid)) as watch:
            process.wait()
        if process.returncode:
            raise ValueError(f"dag import ended with {process.returncode}")
    return [
        at_most(ids[0], watch.most_bytes / MIB, None, 150, unit="MiB RssAnon"),
        at_most(ids[1], exported / MIB, None, 150, unit="MiB RssAnon"),
    ]


class _Watch:
    """The largest value of a reading, taken twenty times a second while the block runs."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most_bytes = 0

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            try:
                self.most_bytes = max(self.most_bytes, self._read())
            except OSError:
                return


BENCHES: Final[dict[str, Callable[[], Row | list[Row]]]] = {
    "ipfs-16KiB": small_objects,
    "ipfs-256MiB-cpu": large_object,
    "ipfs-range-1MiB-p50": ranges_and_car,
    "ipfs-listing-10000": directories,
    "ipfs-car-rss": car_memory,
}
