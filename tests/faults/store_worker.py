"""One process that uses a store hard until it is killed, and writes down what it was told.

The journal is one O_APPEND write a line: `began put H`, `done put H` and so on. A line that is
there was written before the kill; what it says `done` of, the store had acknowledged.
"""

import os
import random
import tempfile
import threading
from pathlib import Path

from blockstore import Blob, Store, StoreSettings
from blockstore.block_rows import BlockRow
from blockstore.bundle import Bundle
from blockstore.landings import Landings
from content.bao._native import SmallFiles
from runtime.errors import BlobDamaged, Conflict, NotFound
from tests.faults.dag_work import DagWork

SETTINGS = StoreSettings(
    commit_bytes=1 << 20,
    backlog_bytes=2 << 20,
    linger_s=0.01,
    extent_above_bytes=1 << 19,
    index_map_bytes=1 << 30,
    bulk_map_bytes=1 << 34,
    lease_s=5.0,  # what no root keeps goes within a few rounds; an import takes far less
)
POOL = 12  # contents that all workers fight over


def pool_bytes(number: int) -> bytes:
    """Content `number` of the shared pool; every third is more than one segment."""
    size = 700_000 if number % 3 == 0 else 5_000
    return random.Random(number).randbytes(size + number)


class Worker:
    """Random work in one process, two threads: blobs, and DAGs beside them."""

    def __init__(self, data: Path, journal: Path, seed: int) -> None:
        self.store = Store.open(data, SETTINGS)
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.seed = seed
        self.folder = data.parent

    def note(self, *words: str) -> None:
        """Write one line to the journal."""
        os.write(self.journal, (" ".join(words) + "\n").encode())

    def run(self, ready: int) -> None:
        """Work until killed."""
        threads = [
            threading.Thread(target=self._work, args=(random.Random(self.seed * 7 + n),)) for n in (1, 2)
        ]
        for thread in threads:
            thread.start()
        os.write(ready, b"r")
        for thread in threads:
            thread.join()

    def _work(self, rng: random.Random) -> None:
        own: list[bytes] = []
        dags = DagWork(self.store, self.note, f"{os.getpid()}.{rng.getrandbits(32)}")
        weights = {
            dags.import_: 8,
            dags.add: 8,
            dags.unpin: 12,
            dags.read: 25,
            self._put: 30,
            self._put_large: 10,
            self._add_small: 15,
            self._rm: 8,
            self._unpin: 5,
            self._sweep: 6,
            self._pool: 15,
            self._partial: 6,
            self._read: 20,
        }
        while True:
            step = rng.choices(list(weights), list(weights.values()))[0]
            try:
                step(rng, own)
            except BlobDamaged as error:
                self.note("damaged", error.where, error.message.replace(" ", "_"))
            except (NotFound, Conflict):
                pass  # part of the fight over the pool
            except Exception as error:  # noqa: BLE001  whatever it is, the round has to know
                self.note("fault", step.__name__, repr(error).replace(" ", "_"))

    def _put(self, rng: random.Random, own: list[bytes], size: int | None = None) -> None:
        data = rng.randbytes(size or rng.randrange(1, 40_000))
        with self.store.ingest() as ingest:
            ingest.write(data)
            name = _root(data)
            self.note("began", "put", name.hex())
            put = ingest.finish()
        if put.root != name:
            self.note("wrong", "put", name.hex())
        self.note("done", "put", name.hex())
        own.append(name)

    def _put_large(self, rng: random.Random, own: list[bytes]) -> None:
        self._put(rng, own, rng.randrange(262_144, 3_000_000))

    def _add_small(self, rng: random.Random, own: list[bytes]) -> None:
        """As `add` of a folder of small files: read together, those above 32 KiB to packs."""
        landings = Landings()
        bundle = Bundle(self.store, landings)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            paths = [Path(folder) / str(number) for number in range(rng.randrange(1, 6))]
            for path in paths:
                again = rng.random() < 0.1
                path.write_bytes(b"again" * 9000 if again else rng.randbytes(rng.randrange(1, 200_000)))
            files = SmallFiles([os.fsencode(path) for path in paths], False, 100_000)
        names = []
        for place in range(len(paths)):
            told = files.told(place)
            assert told is not None
            _, _, _, digest, root, nodes, size = told
            multihash = b"\x12\x20" + digest
            rows = [(multihash, BlockRow(bytes(32), 0, size))]
            bundle.put_read(files, place, root, nodes, size, rows, multihash)
            names.append(root)
        bundle.submit(urgent=True)
        landings.wait()
        for name in names[:-1]:  # the last is kept for the lease of its block alone
            self.note("began", "put", name.hex())
            self.store.pin(name)
            self.note("done", "put", name.hex())
            own.append(name)

    def _rm(self, rng: random.Random, own: list[bytes]) -> None:
        if own:
            name = own.pop(rng.randrange(len(own)))
            self.note("began", "rm", name.hex())
            self.store.rm(name)
            self.note("done", "rm", name.hex())

    def _unpin(self, rng: random.Random, own: list[bytes]) -> None:
        if own:
            name = own.pop(rng.randrange(len(own)))
            self.note("began", "unpin", name.hex())
            self.store.unpin(name)

    def _sweep(self, rng: random.Random, own: list[bytes]) -> None:
        for _ in self.store.sweep_steps():
            if rng.random() < 0.05:
                return

    def _pool(self, rng: random.Random, own: list[bytes]) -> None:
        data = pool_bytes(rng.randrange(POOL))
        if rng.random() < 0.3:
            self.store.rm(_root(data), force=True)
        elif rng.random() < 0.2:
            self.store.evict(_root(data))
        else:
            self.store.put_bytes(data, pin=rng.random() < 0.5)

    def _partial(self, rng: random.Random, own: list[bytes]) -> None:
        data = pool_bytes(3 * rng.randrange(POOL // 3))
        partial = self.store.partial(_root(data), len(data))
        starts = list(range(0, len(data), 16_384))
        rng.shuffle(starts)
        for start in starts[: rng.randrange(1, len(starts) + 1)]:
            partial.add(start, data[start : start + 16_384])
        if rng.random() < 0.5:
            partial.complete()
        elif rng.random() < 0.3:
            partial.discard()

    def _read(self, rng: random.Random, own: list[bytes]) -> None:
        if own:
            blob: Blob = self.store.blob(rng.choice(own))
            blob.read(0, blob.size_bytes)


def _root(data: bytes) -> bytes:
    from blake3 import blake3  # noqa: PLC0415  the oracle, only in the process that works

    return blake3(data).digest()
