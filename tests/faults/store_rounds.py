"""Rounds of kill -9 against processes that put, read, remove, import, add, pin and sweep in one store.

After each round the store is opened as after a crash, and must hold what was acknowledged (every block of
a pinned DAG among it), show nothing that does not verify, have forgotten what was removed, and after a sweep
hold no byte that nothing points at. The store lives through all rounds, so damage would pile up.
"""

import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blockstore import Store
from blockstore.records import id_of
from tests.faults.dag_work import check_dags, check_holds, check_rows
from tests.faults.store_worker import SETTINGS, Worker

WORKERS = 3
_START_LIMIT_S = 30.0


def run(rounds: int, seed: int) -> list[str]:
    """Run `rounds` rounds; returns the violations found, as sentences."""
    folder = Path(tempfile.mkdtemp(prefix="fleek-faults-"))
    violations: list[str] = []
    rng = random.Random(seed)
    expected: dict[str, str] = {}
    pins: dict[str, str] = {}
    puts = pinned = 0
    try:
        Store.open(folder / "data", SETTINGS).close()
        for number in range(rounds):
            journal = folder / f"journal-{number}"
            with _workers(folder / "data", journal, rng) as pids:
                _wait_for_a_put(journal)
                _kill_in_turn(pids, rng)
            found = _read_journal(journal, expected, pins)
            puts += sum(last == "done put" for last in expected.values())
            pinned += sum(last == "done pin" for last in pins.values())
            found += check(folder / "data", expected, pins)
            violations += [f"round {number} of seed {seed}: {each}" for each in found]
            if (folder / "data" / "bulk" / "data.mdb").stat().st_size > 1 << 30:
                shutil.rmtree(folder / "data")
                expected.clear()
                pins.clear()
                Store.open(folder / "data", SETTINGS).close()
    finally:
        shutil.rmtree(folder)
    if puts < rounds:
        violations.append(f"the workers hardly worked: {puts} acknowledged puts stood after {rounds} rounds")
    if pinned < rounds // 2:
        violations.append(f"hardly a DAG was pinned: {pinned} stood after {rounds} rounds")
    return violations


@contextmanager
def _workers(data: Path, journal: Path, rng: random.Random) -> Iterator[list[int]]:
    """Forked workers that have begun; all are dead afterwards."""
    ready, ready_write = os.pipe()
    pids: list[int] = []
    try:
        for _ in range(WORKERS):
            seed = rng.getrandbits(48)
            pid = os.fork()
            if pid == 0:
                _become_worker(data, journal, seed, ready_write)
            pids.append(pid)
        started = 0
        while started < WORKERS:
            if not select.select([ready], [], [], _START_LIMIT_S)[0]:
                raise RuntimeError("a worker did not start")
            started += len(os.read(ready, WORKERS))
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(ready)
        os.close(ready_write)


def _become_worker(data: Path, journal: Path, seed: int, ready: int) -> None:
    try:
        Worker(data, journal, seed).run(ready)
    except BaseException as error:  # noqa: BLE001  this is the worker's outermost line
        print(f"worker failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _kill_in_turn(pids: list[int], rng: random.Random) -> None:
    """Kill one worker, let the others go on for a moment; the caller kills them all."""
    _pass_time(rng.uniform(0.02, 0.4))
    os.kill(rng.choice(pids), signal.SIGKILL)
    _pass_time(rng.uniform(0.0, 0.15))


def _wait_for_a_put(journal: Path) -> None:
    """Until something was acknowledged, however busy the machine is: a round of nothing shows nothing."""
    stop = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < stop:
        if journal.exists() and "done put" in journal.read_text():
            return
        _pass_time(0.005)


def _pass_time(seconds: float) -> None:
    """The random moment of a kill is what is tested; nothing is waited for."""
    stop = time.monotonic() + seconds
    while (left := stop - time.monotonic()) > 0:
        select.select([], [], [], left)


def _read_journal(journal: Path, expected: dict[str, str], pins: dict[str, str]) -> list[str]:
    """Bring `expected` (hash -> last words about it) and `pins` (NUMBER-OWNER -> the same) up to date.

    Returns what the workers complained of.
    """
    complaints = []
    for line in journal.read_text().splitlines() if journal.exists() else []:
        words = line.split()
        if words[0] in ("wrong", "damaged", "fault"):
            complaints.append(f"a worker met: {line}")
        elif len(words) == 3 and len(words[2]) == 64:
            expected[words[2]] = f"{words[0]} {words[1]}"
        elif words[1] in ("pin", "unpin") and len(words) == 3:
            pins[words[2]] = f"{words[0]} {words[1]}"
    return complaints


def check(data: Path, expected: dict[str, str], pins: dict[str, str]) -> list[str]:
    """What is not true of the store in `data` that must be."""
    found: list[str] = []
    with Store.open(data, SETTINGS, create=False) as store:
        for name, last in list(expected.items()):
            present = store.stat(bytes.fromhex(name)) is not None
            if last == "done put" and not present:
                found.append(f"{name} was acknowledged and is gone")
            if last == "done rm" and present:
                found.append(f"{name} was removed and is still there")
            if last != "done put":
                del expected[name]
        found += _all_verify(store) + check_dags(store, pins) + check_rows(store)
        store.sweep()
        found += leaks(store) + check_holds(store)
        found += _all_verify(store) + check_dags(store, pins) + check_rows(store)
        for key in [key for key, last in pins.items() if last != "done pin"]:
            del pins[key]
        if store.usage().readers > 4:
            found.append(f"reader slots of dead processes are still taken: {store.usage().readers}")
    return found


def _all_verify(store: Store) -> list[str]:
    found, count, bytes_ = [], 0, 0
    for stat in store.list():
        count += 1
        bytes_ += stat.size_bytes if stat.state == "present" else 0
        if stat.state == "present" and not store.verify(stat.hash).intact:
            found.append(f"{stat.hash.hex()} is visible and does not verify")
        if stat.damaged_segments:
            found.append(f"{stat.hash.hex()} is in quarantine: {stat.damaged_segments}")
    usage = store.usage()
    if (usage.blobs, usage.bytes_) != (count, bytes_):
        found.append(f"the tally says {usage.blobs} blobs, {usage.bytes_} bytes; there are {count}, {bytes_}")
    return found


def _files_of_nothing(store: Store, owned: set[int]) -> list[str]:
    backing, found = store.backing, []
    for numbers in backing.extents.numbers(0, 1 << 64):
        found += [f"extent {each:x} belongs to nothing" for each in numbers if each not in owned]
    for numbers in backing.packs.numbers(0, 1 << 64):
        found += [f"slot {each:x} of a pack belongs to nothing" for each in numbers if each not in owned]
        if not numbers:
            found.append("an empty pack is left after a sweep")
    if list(backing.index.path.parent.glob("extents/gone/*")):
        found.append("extents that were let go of still take room")
    return found


def leaks(store: Store) -> list[str]:
    """What lies in the store after a sweep without anything pointing at it."""
    backing, catalog = store.backing, store.backing.catalog
    found = []
    with backing.index.reading() as index, backing.bulk.reading() as bulk:
        owned = {stat.storage_id for stat in store.list() if stat.state == "present"}
        for table, at in (
            (catalog.partials, "partials"),
            (catalog.owners, "owners"),
            (catalog.upper, "upper"),
        ):
            cursor = index.cursor(table)
            more = cursor.first()
            while more:
                key = cursor.key()
                if at == "partials":
                    row = catalog.partial(index, key)
                    assert row is not None
                    owned.add(row.storage_id)
                elif id_of(key) not in owned:
                    found.append(f"{at} of storage id {id_of(key)} belong to nothing")
                more = cursor.next()
        for table, name in ((catalog.doomed, "doomed content"), (catalog.ranges, "a dead range")):
            if index.stat(table)["entries"]:
                found.append(f"{name} is left after a sweep")
        cursor = bulk.cursor()
        more = cursor.first()
        while more:
            if id_of(cursor.key()) not in owned:
                found.append(f"segment {cursor.key().hex()} belongs to nothing")
            more = cursor.next()
    found += _files_of_nothing(store, owned)
    if list(backing.ids.alive_path(b"").parent.glob("alive-*")):
        found.append("files of dead processes are left")
    return found
