"""The store: import beside a raw append, one million blobs beside ten thousand, and gc beside readers.

Each side runs in a process of its own, so that memory and page maps start fresh. Both sides write
to the same disk in turn; what is compared is the ratio. FLEEK_BENCH_STORE_FOLDER says where (it
takes about 12 GB there), FLEEK_BENCH_STORE_SCALE divides the sizes for a quick look.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blockstore import Durability, Root, Store, StoreSettings
from tests.bench.row import Row, at_least, at_most

SCALE = int(os.environ.get("FLEEK_BENCH_STORE_SCALE", "1"))
IMPORT_BYTES = (4 << 30) // SCALE
IMPORT_ROUNDS = 5
SYNC_BYTES = 32 << 20  # the store's own commit_bytes
MANY, FEW = 1_000_000 // SCALE, 10_000 // SCALE
BLOB_BYTES = 1024
ROUNDS = 7
READS = 4000
PUTS = 2000
PUTS_ALONE = 100
IN_FLIGHT = 512
_BLOCK = 64 << 20
_EXPIRED = Root.lease(1.0)  # a root that keeps nothing: what gc is to take


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk that is measured."""
    parent = os.environ.get("FLEEK_BENCH_STORE_FOLDER")
    folder = Path(tempfile.mkdtemp(prefix="fleek-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def child(role: str, *arguments: str) -> "subprocess.Popen[str]":
    """This file in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.bench_store", role, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def outcome(process: "subprocess.Popen[str]") -> dict[str, float]:
    """What a child printed."""
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    result: dict[str, float] = json.loads(out)
    return result


def rss_anon_mib(pid: int) -> float:
    """Anonymous memory of a process; LMDB's map is file memory and not counted."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


# Import


def pieces() -> Iterator[memoryview]:
    """IMPORT_BYTES in pieces of 1 MiB, no two blocks alike."""
    block = bytearray(random.Random(1).randbytes(_BLOCK))
    left, number = IMPORT_BYTES, 0
    while left > 0:
        number += 1
        block[:8] = number.to_bytes(8, "big")
        for start in range(0, min(left, _BLOCK), 1 << 20):
            yield memoryview(block)[start : start + min(1 << 20, left - start)]
        left -= _BLOCK


def import_ours(folder: str) -> dict[str, float]:
    with Store.open(Path(folder) / "data") as store:
        base = rss_anon_mib(os.getpid())
        start = time.perf_counter()
        with store.ingest() as ingest:
            for piece in pieces():
                ingest.write(piece)
            ingest.finish()
        return {"s": time.perf_counter() - start, "base": base}


def import_raw(folder: str) -> dict[str, float]:
    path = Path(folder) / "raw"
    start = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    pending = 0
    for piece in pieces():
        os.write(fd, piece)
        pending += len(piece)
        if pending >= SYNC_BYTES:
            os.fdatasync(fd)
            pending = 0
    os.fdatasync(fd)
    os.close(fd)
    return {"s": time.perf_counter() - start}


def bench_import() -> list[Row]:
    """Import of 4 GiB as one blob."""
    ours, raw, most = [], [], []
    for _ in range(IMPORT_ROUNDS):
        with scratch() as folder:
            process = child("import-ours", str(folder))
            peak = 0.0
            while process.poll() is None:
                peak = max(peak, rss_anon_mib(process.pid))
                time.sleep(0.01)
            ours.append(IMPORT_BYTES / outcome(process)["s"] / 1e6)
            most.append(peak)
        with scratch() as folder:
            raw.append(IMPORT_BYTES / outcome(child("import-raw", str(folder)))["s"] / 1e6)
    source = _BLOCK >> 20
    return [
        at_least(
            "store.import", ours, raw, 0.35, unit="MB/s", why="peer: raw append, fdatasync every 32 MiB"
        ),
        at_most(
            "store.import.rss",
            [each - source for each in most],
            None,
            150,
            unit="MiB",
            why=f"maximum RssAnon less the {source} MiB the generator of the data holds",
        ),
    ]


# One million blobs


def blob_bytes(number: int) -> bytes:
    return number.to_bytes(8, "big") * (BLOB_BYTES // 8)


def put_many(store: Store, numbers: range, root: Root) -> list[bytes]:
    """Put blobs with IN_FLIGHT of them under way, as many clients would."""
    free = threading.Semaphore(IN_FLIGHT)
    names: list[bytes] = []

    def done(outcome: object) -> None:
        names.append(outcome.root)  # type: ignore[attr-defined]
        free.release()

    for number in numbers:
        free.acquire()
        ingest = store.ingest()
        ingest.write(blob_bytes(number))
        ingest.finish_soon(done, root=root)
    for _ in range(IN_FLIGHT):
        free.acquire()
    return names


def fill(folder: str, count: str) -> dict[str, float]:
    """A store of `count` blobs that nothing keeps, and 1000 that are pinned."""
    settings = StoreSettings(durability=Durability.NONE)
    start = time.perf_counter()
    with Store.open(Path(folder), settings) as store:
        put_many(store, range(1, int(count) + 1), _EXPIRED)
        put_many(store, range(1 << 40, (1 << 40) + 1000), Root.pin())
    return {"s": time.perf_counter() - start}


def get_cost(folder: str, count: str) -> dict[str, float]:
    """Reads everything once, as a server has after a while; then for each line on stdin the median
    microseconds of finding and reading a blob.
    """
    rng = random.Random(1)
    with Store.open(Path(folder)) as store:
        for number in range(1, int(count) + 1):
            store.blob(_name(blob_bytes(number))).lend(0, BLOB_BYTES, len)
        print("{}", flush=True)
        for _ in sys.stdin:
            names = [_name(blob_bytes(rng.randrange(1, int(count) + 1))) for _ in range(READS)]
            times = []
            for name in names:
                start = time.perf_counter()
                store.blob(name).lend(0, BLOB_BYTES, len)
                times.append(time.perf_counter() - start)
            print(json.dumps({"us": statistics.median(times) * 1e6}), flush=True)
    return {}


def get_rounds(places: dict[str, int]) -> dict[str, list[float]]:
    """ROUNDS medians of each place, in turn."""
    readers = {place: child("get", place, str(count)) for place, count in places.items()}
    rounds: dict[str, list[float]] = {place: [] for place in places}
    for reader in readers.values():
        _ask(reader, None)
    for _ in range(ROUNDS):
        for place, reader in readers.items():
            rounds[place].append(_ask(reader, "\n")["us"])
    for reader in readers.values():
        reader.communicate()
    return rounds


def _ask(process: "subprocess.Popen[str]", line: str | None) -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    if line is not None:
        process.stdin.write(line)
        process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def put_cost(folder: str, first: str) -> dict[str, float]:
    """Microseconds a durable put: `us` with many under way, `alone_us` the median of one after the other."""
    with Store.open(Path(folder)) as store:
        put_many(store, range(int(first), int(first) + 64), Root.pin())
        start = time.perf_counter()
        put_many(store, range(int(first) + 64, int(first) + 64 + PUTS), Root.pin())
        many_us = (time.perf_counter() - start) / PUTS * 1e6
        alone_s = []
        for number in range(int(first) + 64 + PUTS, int(first) + 64 + PUTS + PUTS_ALONE):
            start = time.perf_counter()
            store.put_bytes(blob_bytes(number))
            alone_s.append(time.perf_counter() - start)
        return {"us": many_us, "alone_us": statistics.median(alone_s) * 1e6}


def sweep(folder: str) -> dict[str, float]:
    start = time.perf_counter()
    with Store.open(Path(folder)) as store:
        report = store.sweep()
        seconds = time.perf_counter() - start
        return {"s": seconds, "removed": report.removed_blobs, "left": store.usage().blobs}


def read_until(store: Store, over: Callable[[], bool]) -> list[float]:
    """Milliseconds of reads of pinned blobs, one after the other, until `over`."""
    names = [_name(blob_bytes(number)) for number in range(1 << 40, (1 << 40) + 1000)]
    rng, times = random.Random(3), []
    while not over():
        start = time.perf_counter()
        store.blob(rng.choice(names)).read(0, BLOB_BYTES)
        times.append((time.perf_counter() - start) * 1000)
        time.sleep(0.0005)
    return times


def bench_million() -> list[Row]:
    """GET and put at 1 M and 10 k blobs, then gc of the million beside a reading process."""
    with scratch() as folder:
        few, many = str(folder / "few"), str(folder / "many")
        outcome(child("fill", few, str(FEW)))
        outcome(child("fill", many, str(MANY)))
        gets = get_rounds({few: FEW, many: MANY})
        puts: dict[str, list[dict[str, float]]] = {few: [], many: []}
        for number in range(ROUNDS):
            for place in (few, many):
                puts[place].append(outcome(child("put", place, str((2 << 40) + number * 10_000))))
        with Store.open(Path(many)) as store:
            stop = time.perf_counter() + 5
            alone = read_until(store, lambda: time.perf_counter() > stop)
            process = child("sweep", many)
            beside = read_until(store, lambda: process.poll() is not None)
            swept = outcome(process)
        if swept["removed"] != MANY:
            raise RuntimeError(f"gc removed {swept['removed']:.0f} of {MANY} blobs")

        def put_row(id: str, key: str, how: str) -> Row:
            ours, peer = ([each[key] for each in puts[place]] for place in (many, few))
            return at_most(id, ours, peer, 1.5, unit="us", why=f"peer: 10 k blobs; durable, {how}")

        why = (
            f"longest of {len(beside)} reads beside gc of {MANY} blobs, which took {swept['s']:.0f} s"
            f" ({MANY / swept['s']:.0f}/s); longest of {len(alone)} reads alone: {max(alone):.1f} ms"
        )
        return [
            at_most("store.million.get", gets[many], gets[few], 1.5, unit="us", why="peer: 10 k blobs; p50"),
            put_row("store.million.put", "alone_us", "one after the other, p50"),
            put_row("store.million.put-many", "us", f"{IN_FLIGHT} under way"),
            at_most("store.gc.delay", max(beside), None, 50, unit="ms", why=why),
        ]


def _name(data: bytes) -> bytes:
    from content.bao import _native  # noqa: PLC0415  only the measuring children need it

    return _native.segment(data, 0, True)[0]


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {
    "store.import": bench_import,
    "store.million": bench_million,
}

_ROLES: dict[str, Callable[..., dict[str, float]]] = {
    "import-ours": import_ours,
    "import-raw": import_raw,
    "fill": fill,
    "get": get_cost,
    "put": put_cost,
    "sweep": sweep,
}

if __name__ == "__main__":
    print(json.dumps(_ROLES[sys.argv[1]](*sys.argv[2:])))
