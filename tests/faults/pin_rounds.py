"""Rounds of kill -9 against a node that brings 200 pins here at once, while it sweeps every two.

A client process asks for pins and lets go of old ones; processes of the node die at random moments, the
client too. Then every pin that was acknowledged must exist once and be pinned in bounded time, every block of
it must read back, and what was let go of must be gone. The store lives through all rounds, so that damage
would pile up.
"""

import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from blockstore import Store
from pinning.pin import Filter, Pin, Status
from pinning.pins import Pins
from runtime.errors import EdgeError
from tests.appliance import Node
from tests.faults.dag_work import check_rows
from tests.faults.pin_client import SETTINGS
from tests.faults.pin_dags import dag_of, everything
from tests.origins.trustless_source import Asked, Response, Source, in_a_thread

_ALL_PINNED_WITHIN_S = 90.0
_CLIENT_WITHIN_S = 60.0
_LOOK_S = 0.05
_FRESH_ABOVE_BYTES = 1 << 29
_OPEN = (Status.QUEUED, Status.PINNING)


def run(rounds: int, seed: int) -> list[str]:
    """Run `rounds` rounds; returns the violations found, as sentences."""
    folder = Path(tempfile.mkdtemp(prefix="fleek-faults-"))
    violations: list[str] = []
    whole = 0
    try:
        with in_a_thread(Source(everything(), _breaks_off(random.Random(seed)))) as source:
            suite = _Suite(folder, source.url, random.Random(seed + 1))
            try:
                for number in range(rounds):
                    found = suite.round(number)
                    violations += [f"round {number} of seed {seed}: {each}" for each in found]
                    whole += suite.last_whole
            finally:
                suite.stop()
    finally:
        shutil.rmtree(folder)
    if whole < 20 * rounds:
        violations.append(f"hardly anything was pinned: {whole} pins in {rounds} rounds")
    return violations


def _breaks_off(rng: random.Random) -> Callable[[Source, Asked], Response]:
    """A source of which every fourth CAR breaks off somewhere."""

    def behave(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        if asked.is_car and len(answer.body) > 1 and rng.random() < 0.25:
            answer.cut_at = rng.randrange(1, len(answer.body))
        return answer

    return behave


class _Suite:
    """One node over one data folder, through all rounds."""

    def __init__(self, folder: Path, gateway: str, rng: random.Random) -> None:
        self._folder, self._data, self._rng = folder, folder / "data", rng
        self._environ = {
            "FLEEK_EDGE_ORIGINS_GATEWAYS": gateway,
            "FLEEK_EDGE_ORIGINS_ALLOW_NETS": "127.0.0.0/8",
            "FLEEK_EDGE_NODE_GC_INTERVAL_S": "2s",
            "FLEEK_EDGE_STORE_LEASE_S": str(SETTINGS.lease_s),
            "FLEEK_EDGE_STORE_INDEX_MAP_BYTES": str(SETTINGS.index_map_bytes),
            "FLEEK_EDGE_STORE_BULK_MAP_BYTES": str(SETTINGS.bulk_map_bytes),
            "FLEEK_EDGE_PINNING_RETRY_S": "0.2s",
            "FLEEK_EDGE_PINNING_RETRY_MAX_S": "1s",
            "FLEEK_EDGE_PINNING_ATTEMPTS": "1000",
        }
        self._node: Node | None = None
        self._expected: dict[str, str] = {}  # key -> last words about it
        self.last_whole = 0

    def stop(self) -> None:
        """End the node."""
        if self._node is not None:
            self._node.stop()

    def _started(self) -> Node:
        """The node, started anew when it was killed."""
        if self._node is None:
            self._node = Node(self._data, "--workers", "1", environ=self._environ)
        return self._node

    def round(self, number: int) -> list[str]:
        """One round; what was not true after it."""
        self._started()
        journal = self._folder / f"journal-{number}"
        seed = self._rng.getrandbits(32)
        command = [sys.executable, "-m", "tests.faults.pin_client", str(self._data), str(journal), str(seed)]
        client = subprocess.Popen(command)
        try:
            _until(lambda: journal.exists() and "done add" in journal.read_text(), _CLIENT_WITHIN_S)
            for _ in range(self._rng.randrange(1, 4)):
                _pass_time(self._rng.uniform(0.0, 1.0))
                self._kill(client)
            client.wait(_CLIENT_WITHIN_S)
        finally:
            client.kill()
            client.wait()
        found = self._read_journal(journal)
        self._started()
        found += self._check()
        self._start_afresh_when_large()
        return found

    def _kill(self, client: "subprocess.Popen[bytes]") -> None:
        """Kill one process, or all of the node."""
        node = self._started()
        victim = self._rng.choices(("keeper", "worker", "node", "client"), (6, 3, 2, 1))[0]
        children = _children(node.process.pid)
        if victim == "client":
            client.kill()
        elif victim == "node":
            for pid in (node.process.pid, *(children.values() if self._rng.random() < 0.7 else ())):
                _kill9(pid)
            node.stop()
            self._node = None
        elif victim in children:
            _kill9(children[victim])

    def _read_journal(self, journal: Path) -> list[str]:
        found = []
        for line in journal.read_text().splitlines():
            words, _, key = line.rpartition(" ")
            if words == "wrong":
                found.append(f"the pin {key} was pinned and could not be removed")
            elif self._expected.get(key) != "done rm":
                self._expected[key] = words
        return found

    def _check(self) -> list[str]:
        with Store.open(self._data, SETTINGS) as store:
            pins = Pins(store)
            _until(lambda: not _waiting(pins), _ALL_PINNED_WITHIN_S)
            found = [
                f"the pin {pin.wish.name} is {pin.status} after {_ALL_PINNED_WITHIN_S:.0f} s: {pin.details}"
                for pin in pins.stream(None, Filter())
                if pin.status is not Status.PINNED
            ]
            store.sweep()
            held = list(pins.stream(None, Filter()))
            found += self._compare(held)
            found += [each for pin in held for each in _lacks(store, pin)]
            found += check_rows(store)
            for account in {pin.account for pin in held}:
                counted = pins.usage(account).pins[Status.PINNED]
                if counted != sum(pin.account == account for pin in held):
                    found.append(f"the account {account} is said to have {counted} pins")
            self.last_whole = len(held)
        return found

    def _compare(self, held: list[Pin]) -> list[str]:
        """Hold what is there against what was acknowledged."""
        names = Counter(pin.wish.name or "" for pin in held)
        found = [f"the pin {name} is there {count} times" for name, count in names.items() if count > 1]
        for key, last in list(self._expected.items()):
            if last == "done add" and key not in names:
                found.append(f"the pin {key} was acknowledged and is gone")
            if last == "done rm" and key in names:
                found.append(f"the pin {key} was let go of and is still there")
            if key not in names:
                del self._expected[key]
        found += [f"the pin {name} was never asked for" for name in names if name not in self._expected]
        # what a dead client had begun is settled now, either way
        self._expected = dict.fromkeys(names, "done add")
        return found

    def _start_afresh_when_large(self) -> None:
        if (self._data / "bulk" / "data.mdb").stat().st_blocks * 512 > _FRESH_ABOVE_BYTES:
            self.stop()
            self._node = None
            shutil.rmtree(self._data)
            self._expected.clear()


def _waiting(pins: Pins) -> bool:
    return next(pins.stream(None, Filter(statuses=frozenset(_OPEN))), None) is not None


def _lacks(store: Store, pin: Pin) -> list[str]:
    """What a pinned DAG lacks or has wrong."""
    number = int((pin.wish.name or "").split(".")[1])
    found = []
    size = 0
    for block in dag_of(number):
        size += len(block.data)
        try:
            if store.dag.read(block.cid) != block.data:
                found.append(f"block {block.cid} of the pinned DAG {number} has other bytes")
        except EdgeError as error:
            found.append(f"block {block.cid} of the pinned DAG {number}: {error.message}")
    if pin.dag_bytes != size:
        found.append(f"the pin {pin.wish.name} says {pin.dag_bytes} bytes; its DAG has {size}")
    return found


def _children(pid: int) -> dict[str, int]:
    """Process ids of a node's keeper and worker."""
    found: dict[str, int] = {}
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            called = Path(f"/proc/{child}/comm").read_text()
            for name in ("keeper", "worker"):
                if name in called:
                    found[name] = int(child)
    except OSError:
        pass  # one of them has just ended
    return found


def _kill9(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _until(holds: Callable[[], bool], limit_s: float) -> None:
    """Wait until it holds, or until the time is over: what then does not hold is found by who looks."""
    stop = time.monotonic() + limit_s
    while not holds() and time.monotonic() < stop:
        _pass_time(_LOOK_S)


def _pass_time(seconds: float) -> None:
    """The random moment of a kill is what is tested, and other processes work meanwhile."""
    select.select([], [], [], seconds)
