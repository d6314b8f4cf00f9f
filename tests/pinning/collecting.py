"""Garbage collection while pins come and go, in processes that are killed: what both forms of the test do.

    python -m tests.pinning.collecting DATA        a whole gc of the store in DATA

Half of the blocks belong to pins at the beginning, half to nobody. While gc runs in a process that is killed
and begun again, pins are removed, replaced and added, also for DAGs that nobody pinned and gc is about to
take. What was here when a pin was accepted has to be here at the end; what no pin reaches has to be gone.
"""

import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from blockstore import Durability, Store, StoreSettings
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_cbor import encode
from pinning.pin import Pin, Wish
from pinning.pins import Pins
from runtime.clock import SystemClock

SETTINGS = StoreSettings(durability=Durability.NONE, lease_s=1.0)
_PUT_AT_ONCE = 1000
_NEIGHBOURS = 3  # leaves that a DAG shares with the next one


class Ahead(SystemClock):
    """A clock for which every lease of what was put is over."""

    def now_s(self) -> float:
        return super().now_s() + 3600


@dataclass(slots=True)
class Collected:
    """What a run found. `lost`: blocks of accepted pins that are gone; `left`: blocks nobody keeps."""

    blocks: int
    pins: int
    accepted_meanwhile: int = 0
    removed_meanwhile: int = 0
    kills: int = 0
    lost: int = 0
    left: int = 0
    longest_add_ms: float = 0.0


@dataclass(slots=True)
class _Model:
    dags: list[list[Cid]]  # root first
    pinned: dict[int, Pin] = field(default_factory=dict)
    kept: dict[int, list[Cid]] = field(default_factory=dict)


def collect(data: Path, blocks: int, pins: int, seed: int, kills: int) -> Collected:
    """One run: `blocks` in twice as many DAGs as there are `pins`, gc killed `kills` times."""
    rng = random.Random(seed)
    result = Collected(blocks, pins)
    with Store.open(data, SETTINGS) as store:
        book = Pins(store)
        model = _Model(_built(store, blocks, 2 * pins))
        for first in range(0, pins, 500):
            numbers = range(first, min(first + 500, pins))
            made = book.add_many("a", [Wish(model.dags[number][0]) for number in numbers])
            model.pinned |= zip(numbers, made, strict=True)
        for number in model.pinned:
            model.kept[number] = model.dags[number]
        while True:
            process = _begin_gc(data)
            stop_after = rng.randrange(20, 200) if result.kills < kills else None
            changes = 0
            while process.poll() is None:
                _change(store, book, model, rng, result)
                changes += 1
                if changes == stop_after:
                    process.send_signal(signal.SIGKILL)
                    result.kills += 1
                    break
            if process.wait() == 0 and result.kills >= kills:
                break  # one that ended before its turn to be killed is begun again
        if _begin_gc(data).wait():  # takes what was let go of behind the mark
            raise RuntimeError("gc failed")
        _judge(store, model, result)
    return result


def _built(store: Store, blocks: int, dags: int) -> list[list[Cid]]:
    size = blocks // dags
    waiting: list[Block] = []
    built: list[list[Cid]] = []
    shared: list[Cid] = []
    for number in range(dags):
        own = [Block.sealed(RAW, b"%d-%d" % (number, leaf)) for leaf in range(size - 1)]
        leaves = [*(block.cid for block in own), *shared]
        root = Block.sealed(DAG_CBOR, encode(list(leaves)))
        shared = leaves[:_NEIGHBOURS]
        built.append([root.cid, *leaves])
        waiting += [*own, root]
        if len(waiting) >= _PUT_AT_ONCE:
            store.dag.put(waiting)
            waiting = []
    store.dag.put(waiting)
    return built


def _begin_gc(data: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.pinning.collecting", str(data)])


def _change(store: Store, book: Pins, model: _Model, rng: random.Random, result: Collected) -> None:
    number = rng.randrange(len(model.dags))
    old = model.pinned.get(number)
    if old is None:
        started_s = store.backing.clock.tick_s()
        _accept(store, model, number, book.add("b", Wish(model.dags[number][0])))
        took_ms = (store.backing.clock.tick_s() - started_s) * 1000
        result.longest_add_ms = max(result.longest_add_ms, took_ms)
        result.accepted_meanwhile += 1
        return
    if rng.random() < 0.3:
        other = rng.randrange(len(model.dags))
        if other not in model.pinned:
            new = book.replace(old.account, old.request_id, Wish(model.dags[other][0]))
            del model.pinned[number], model.kept[number]
            _accept(store, model, other, new)
            return
    book.remove(old.account, old.request_id)
    del model.pinned[number], model.kept[number]
    result.removed_meanwhile += 1


def _accept(store: Store, model: _Model, number: int, pin: Pin) -> None:
    """What is here once it was accepted is to stay, if its root is here to lead there."""
    with store.index.reading() as txn:  # not `has`: it may remember what gc took a moment before
        rows = store.dag.rows
        here = [cid for cid in model.dags[number] if rows.is_here(txn, rows.block(txn, cid.multihash))]
    if here[:1] != model.dags[number][:1]:
        here = []
    model.pinned[number] = pin
    model.kept[number] = here


def _judge(store: Store, model: _Model, result: Collected) -> None:
    must = {cid for kept in model.kept.values() for cid in kept}
    may = {cid for number in model.pinned for cid in model.dags[number]}
    for cid in must:
        if not store.dag.has(cid) or not store.dag.read(cid):
            result.lost += 1
    everything = {cid for dag in model.dags for cid in dag}
    result.left = sum(1 for cid in everything - may if store.dag.has(cid))


def main() -> None:
    """Collect once, as `fleek-edge gc` does, with every lease over."""
    with Store.open(Path(sys.argv[1]), SETTINGS, Ahead()) as store:
        store.sweep()


if __name__ == "__main__":
    main()
