"""A million pins of one account: pages, filters, a part of a name, the whole list, and adding beside a list.

The store is filled by a process of its own; another one measures. FLEEK_BENCH_STORE_FOLDER says where (1 GB),
FLEEK_BENCH_STORE_SCALE divides the million for a quick look.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from blockstore import Durability, Store, StoreSettings
from content.cid import DAG_PB, Cid
from content.multihash import SHA2_256
from durable import Txn
from pinning.pin import LIMIT_MAX, LOCAL_ACCOUNT, Filter, Match, Pin, Status, Wish
from pinning.pins import BATCH_MAX, Pins
from pinning.rows import request_id
from tests.bench.bench_store import scratch
from tests.bench.machine import core_count, pinned, put_ahead
from tests.bench.row import Row, at_least, at_most
from tests.pinning.collecting import collect

SCALE: Final = int(os.environ.get("FLEEK_BENCH_STORE_SCALE", "1"))
MANY: Final = 1_000_000 // SCALE
ACCOUNT: Final = LOCAL_ACCOUNT  # whose pins `fleek-pin --data` lists too
ROUNDS: Final = 15
ADDS: Final = 200
RARE: Final = 3
GC_BLOCKS: Final = 1_000_000 // SCALE
GC_PINS: Final = 10_000 // SCALE
_SYNC_BYTES: Final = 160 << 10  # about what a commit of one pin writes


def cid_of(number: int) -> Cid:
    """A CID of its own for each number, spread as hashes are."""
    return Cid.v1(DAG_PB, bytes((SHA2_256, 32)) + random.Random(number).randbytes(32))


def wish_of(number: int) -> Wish:
    name = f"holiday photo {number:07d}.jpg"
    if number % (MANY // RARE) == 7:
        name = f"The Needle {number}.jpg"
    return Wish(cid_of(number), name)


def fill(folder: str) -> dict[str, float]:
    """MANY pins as they are after a year: pinned, but for one batch in twenty, and ten that failed."""
    start = time.perf_counter()
    with Store.open(Path(folder), StoreSettings(durability=Durability.NONE)) as store:
        pins = Pins(store)
        for first in range(0, MANY, BATCH_MAX):
            wishes = [wish_of(number) for number in range(first, first + BATCH_MAX)]
            if first // BATCH_MAX % 20:
                _insert_pinned(store, pins, wishes)
            else:
                made = pins.add_many(ACCOUNT, wishes)
                if first < MANY // 2:
                    pins.failed(made[0].request_id, "nobody has it")
        return {"s": time.perf_counter() - start}


def _insert_pinned(store: Store, pins: Pins, wishes: list[Wish]) -> None:
    """As if the worker had brought them all."""
    table = pins.table

    def change(txn: Txn) -> None:
        account = table.accounts.find(txn, ACCOUNT)
        times = table.take_created(txn, store.index.now_s(), len(wishes))
        made = [
            Pin(request_id(at, os.urandom(8)), ACCOUNT, at, Status.PINNED, wish, "", 1000, 990)
            for at, wish in zip(times, wishes, strict=True)
        ]
        table.insert(txn, account, Status.PINNED, made)

    store.index.change(change)


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of each round."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return times


def look(folder: str) -> dict[str, list[float]]:
    """Milliseconds of every kind of page, and pins a second of the list."""
    with Store.open(Path(folder)) as store:
        pins = Pins(store)
        rng = random.Random(1)
        newest = pins.page(ACCOUNT, Filter(), 1).pins[0]
        oldest_ns = pins.page(ACCOUNT, Filter(cids=(cid_of(0),)), 1).pins[0].created_ns
        chosen = [cid_of(rng.randrange(MANY)) for _ in range(10)]

        def page(wanted: Filter, limit: int = LIMIT_MAX) -> list[float]:
            return timed(lambda: pins.page(ACCOUNT, wanted, limit))

        def between() -> Filter:
            low, high = sorted(rng.randrange(oldest_ns, newest.created_ns) for _ in range(2))
            return Filter(before_ns=high, after_ns=low)

        found: dict[str, list[float]] = {
            "first": page(Filter()),
            "first-10": page(Filter(), 10),
            "pinned": page(Filter(statuses=frozenset((Status.PINNED,)))),
            "queued": page(Filter(statuses=frozenset((Status.QUEUED,)))),
            "failed": page(Filter(statuses=frozenset((Status.FAILED,)))),
            "all but one": page(Filter(statuses=frozenset(Status) - {Status.PINNING})),
            "cid": page(Filter(cids=(chosen[0],))),
            "cids": page(Filter(cids=tuple(chosen))),
            "time": timed(lambda: pins.page(ACCOUNT, between(), LIMIT_MAX)),
            "time and status": timed(
                lambda: pins.page(
                    ACCOUNT, replace(between(), statuses=frozenset((Status.PINNED,))), LIMIT_MAX
                )
            ),
            "partial": page(Filter(name="Needle", match=Match.PARTIAL)),
            "ipartial": page(Filter(name="nEEDLE", match=Match.IPARTIAL)),
        }
        needle = pins.page(ACCOUNT, Filter(name="Needle", match=Match.PARTIAL), LIMIT_MAX)
        if (needle.count, len(needle.pins)) != (RARE, RARE):
            raise RuntimeError(f"{needle.count} pins found by a part of a name, not {RARE}")
        if pins.page(ACCOUNT, Filter(), 1).count != MANY:
            raise RuntimeError("the count is not exact")
        found["mib"] = [store.usage().index_used_bytes / (1 << 20)]
        found["stream"], found["stream-cpu"] = [], []
        for _ in range(3):
            start, cpu = time.perf_counter(), time.process_time()
            count = sum(1 for _ in pins.stream(ACCOUNT, Filter()))
            found["stream"].append(count / (time.perf_counter() - start))
            found["stream-cpu"].append(count / (time.process_time() - cpu))
        return found


def add(folder: str) -> dict[str, list[float]]:
    """In turn, while a thread lists: milliseconds of a sync of a file, of a commit of one row, of an add."""
    with Store.open(Path(folder)) as store:
        pins = Pins(store)
        over = threading.Event()
        listed = [0]

        def read() -> None:
            while not over.is_set():
                for _ in pins.stream(ACCOUNT, Filter()):
                    listed[0] += 1
                    if over.is_set():
                        return

        descriptor = os.open(Path(folder) / "sync", os.O_RDWR | os.O_CREAT, 0o600)
        os.write(descriptor, bytes(_SYNC_BYTES * 2))
        os.fsync(descriptor)
        syncs, commits, adds = [], [], []
        table = store.index.table("meta")

        def one_row(txn: Txn) -> None:
            txn.put(b"bench", os.urandom(16), db=table)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for number in range(ADDS):
                start = time.perf_counter()
                os.pwrite(descriptor, os.urandom(_SYNC_BYTES), 0)
                os.fdatasync(descriptor)
                syncs.append((time.perf_counter() - start) * 1000)
                start = time.perf_counter()
                store.index.change(one_row)
                commits.append((time.perf_counter() - start) * 1000)
                start = time.perf_counter()
                pins.add(ACCOUNT, wish_of(MANY + number))
                adds.append((time.perf_counter() - start) * 1000)
        finally:
            over.set()
            reader.join()
            os.close(descriptor)
        return {"sync": syncs, "commit": commits, "add": adds, "listed": [float(listed[0])]}


def child(role: str, folder: Path) -> dict[str, list[float]]:
    """What this file, run in a process of its own, printed; ahead of the machine's other work."""
    command = [sys.executable, "-m", "tests.bench.bench_pins", role, str(folder)]
    with subprocess.Popen(
        pinned("0,1" if core_count() > 1 else "0", command),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        put_ahead(process.pid)
        out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{role} ended with {process.returncode}")
    result: dict[str, list[float]] = json.loads(out)
    return result


def bench_pins() -> list[Row]:
    """All rows, from one store."""
    with scratch() as scratch_folder:
        return measured(scratch_folder / "data")


def measured(folder: Path) -> list[Row]:
    """The rows of a store in `folder`, filled unless it is there."""
    if not folder.exists():
        child("fill", folder)
    found = child("look", folder)
    added = child("add", folder)
    medians = {name: statistics.median(times) for name, times in found.items()}

    def slowest(id: str, kinds: tuple[str, ...], floor: float) -> Row:
        worst = max(kinds, key=lambda kind: medians[kind])
        why = ", ".join(f"{kind} {medians[kind]:.1f}" for kind in kinds) + f" ms; pages of {LIMIT_MAX}"
        return at_most(id, found[worst], None, floor, unit="ms", why=why)

    beyond = [mine - commit for mine, commit in zip(added["add"], added["commit"], strict=True)]
    sync, commit = (statistics.median(added[each]) for each in ("sync", "commit"))
    return [
        slowest("pins-first-page", ("first", "first-10"), 10),
        slowest("pins-page-status", ("pinned", "queued", "failed", "all but one"), 20),
        slowest("pins-page-cid", ("cid", "cids"), 20),
        slowest("pins-page-time", ("time", "time and status"), 20),
        slowest("pins-page-partial", ("partial", "ipartial"), 300),
        at_least(
            "pins-stream",
            found["stream"],
            None,
            200_000,
            unit="pins/s",
            why=f"{medians['stream-cpu']:.0f} a second of CPU; {MANY} pins, index {medians['mib']:.0f} MiB",
        ),
        at_most(
            "pins-add",
            beyond,
            None,
            2,
            unit="ms",
            why=f"beyond a durable commit of one row ({commit:.1f} ms; fdatasync of"
            f" {_SYNC_BYTES >> 10} KiB: {sync:.1f} ms), beside a thread that listed"
            f" {added['listed'][0]:.0f} pins",
        ),
    ]


def bench_gc() -> list[Row]:
    """gc of a million blocks, killed three times, beside 10,000 pins that come and go."""
    with scratch() as folder:
        start = time.perf_counter()
        found = collect(folder / "data", GC_BLOCKS, GC_PINS, seed=random.randrange(1 << 32), kills=3)
        seconds = time.perf_counter() - start
    why = (
        f"blocks of accepted pins lost, and blocks nobody keeps left, of {found.blocks}, {found.pins} pins;"
        f" gc killed {found.kills} times, meanwhile {found.accepted_meanwhile} pins added and"
        f" {found.removed_meanwhile} removed (longest add {found.longest_add_ms:.0f} ms); {seconds:.0f} s"
    )
    return [at_most("pins-gc", found.lost + found.left, None, 0, unit="blocks", why=why)]


BENCHES: dict[str, Callable[[], Row | list[Row]]] = {
    "pins-million": bench_pins,
    "pins-gc": bench_gc,
}

_ROLES: dict[str, Callable[[str], object]] = {"fill": fill, "look": look, "add": add}

if __name__ == "__main__":
    print(json.dumps(_ROLES[sys.argv[1]](*sys.argv[2:])))
