"""Work on DAGs for the kill rounds: import, add, pin, unpin, read; and what must be true of them afterwards.

A DAG is made from a number, so that the checker can make it again. All of them share a file and a block, so
that taking one away must leave the others whole. A pin has an owner of its own; the journal says of each
`began pin NUMBER-OWNER`, `done pin …`, `began unpin …`, `done unpin …`.
"""

import random
from collections.abc import Callable
from functools import lru_cache

from blockstore import Root, Store
from blockstore.flat import Flat
from blockstore.importing import Importing
from blockstore.landings import Landings
from content import dag_cbor, multihash
from content.block import Block, BlockMissing
from content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.build_file import FileBuilder, LeafMade
from content.unixfs.profile import Estimate, Profile
from runtime.errors import EdgeError

NUMBERS = 24
_PROFILES = (
    Profile("small", 1, True, 16_384, 5, 256, 1 << 18, Estimate.BLOCK),
    Profile("small-v0", 0, False, 16_384, 5, 256, 1 << 18, Estimate.LINKS),
)
_SIZES = (0, 100, 16_384, 40_000, 120_000)


def contents_of(number: int) -> list[bytes]:
    """The files of DAG `number`; the first is the same in all."""
    rng = random.Random(f"dag {number}")
    return [random.Random("shared").randbytes(20_000), *(rng.randbytes(rng.choice(_SIZES)) for _ in range(3))]


@lru_cache(maxsize=64)
def dag_of(number: int) -> tuple[Block, ...]:
    """Every different block of DAG `number`, the root first."""
    profile = _PROFILES[number % len(_PROFILES)]
    blocks: dict[bytes, Block] = {}
    entries = []
    for index, content in enumerate(contents_of(number)):
        builder = FileBuilder(profile)
        made = builder.write(content)
        rest, whole = builder.finish()
        for each in (*made, *rest):
            if isinstance(each, LeafMade):
                data = each.prefix + content[each.offset : each.offset + each.length] + each.suffix
                each = Block.verified(each.cid, data)  # noqa: PLW2901 - the block of the leaf
            blocks[each.cid.multihash] = each
        entries.append(Entry(f"file-{index}", whole.cid, whole.dag_bytes))
    folder = build_directory(profile, entries)
    shared = Block.sealed(RAW, b"in every DAG")
    root = Block.sealed(
        DAG_CBOR, dag_cbor.encode({"folder": folder.cid, "number": number, "shared": shared.cid})
    )
    return (root, *folder.blocks, *blocks.values(), shared)


class DagWork:
    """Steps on DAGs in one thread of a worker. `owner` is nobody else's."""

    def __init__(self, store: Store, note: Callable[..., None], owner: str) -> None:
        self._store, self._note, self._owner = store, note, owner
        self._pins: list[tuple[int, str]] = []
        self._count = 0

    def import_(self, rng: random.Random, own: list[bytes]) -> None:
        """As `dag import`: every block, in the order of a CAR or in none, then the pin."""
        self.import_one(rng.randrange(NUMBERS), rng)

    def import_one(self, number: int, rng: random.Random) -> None:
        """Import and pin one DAG."""
        blocks = list(dag_of(number))
        if rng.random() < 0.3:
            rng.shuffle(blocks)
        with Importing(self._store.dag) as importing:
            for block in blocks:
                importing.add(block)
            importing.finish()
        self._pin(number)

    def add(self, rng: random.Random, own: list[bytes]) -> None:
        """As `add`: each file as one blob while it is chunked, then what stands above, then the pin."""
        self.add_one(rng.randrange(NUMBERS))

    def add_one(self, number: int) -> None:
        """Add and pin one DAG."""
        landings, dag = Landings(), self._store.dag
        for content in contents_of(number):
            builder = FileBuilder(_PROFILES[number % len(_PROFILES)])
            flat = Flat(dag, dag.new_ingest(), landings)
            flat.write(content)
            made = builder.write(content)
            rest, whole = builder.finish()
            for each in (*made, *rest):
                if isinstance(each, LeafMade):
                    flat.leaf(each.cid.multihash, each.offset, each.length, each.prefix, each.suffix)
                else:
                    flat.inner(each)
            flat.finish_soon(whole.cid)
        for block in dag_of(number):
            if block.cid.codec in (DAG_CBOR, DAG_PB) or len(block.data) < 20:
                dag.put_soon(block, landings)
        landings.wait()
        self._pin(number)

    def unpin(self, rng: random.Random, own: list[bytes]) -> None:
        """Drop a pin of ours; the next sweep may take what no other keeps."""
        if self._pins:
            self._drop(*self._pins.pop(rng.randrange(len(self._pins))))

    def unpin_one(self, number: int) -> None:
        """Drop every pin of ours of one DAG."""
        for pin in [pin for pin in self._pins if pin[0] == number]:
            self._pins.remove(pin)
            self._drop(*pin)

    def _drop(self, number: int, owner: str) -> None:
        self._note("began", "unpin", f"{number}-{owner}")
        self._store.dag.unpin(dag_of(number)[0].cid, Root.account(owner, ""))
        self._note("done", "unpin", f"{number}-{owner}")

    def read(self, rng: random.Random, own: list[bytes]) -> None:
        """Read a block of a DAG that is pinned by us: it must be there, and be what it is called."""
        if self._pins:
            number, _ = rng.choice(self._pins)
            block = rng.choice(dag_of(number))
            try:
                if self._store.dag.read(block.cid) != block.data:
                    self._note("wrong", "block", block.cid.text())
            except BlockMissing:
                self._note("wrong", "missing", block.cid.text())

    def _pin(self, number: int) -> None:
        self._count += 1
        owner = f"{self._owner}.{self._count}"
        self._note("began", "pin", f"{number}-{owner}")
        self._store.dag.pin(dag_of(number)[0].cid, Root.account(owner, ""))
        self._note("done", "pin", f"{number}-{owner}")
        self._pins.append((number, owner))


def check_dags(store: Store, pins: dict[str, str]) -> list[str]:
    """What is not true of the pins of the journal (`NUMBER-OWNER` -> last words about it)."""
    found: list[str] = []
    for key, last in pins.items():
        number_text, _, owner = key.partition("-")
        root = dag_of(int(number_text))[0].cid
        kept = any(each.owner == owner for each in store.dag.roots_of(root))
        if last == "done pin" and not kept:
            found.append(f"the pin {key} was acknowledged and is gone")
        if last == "done unpin" and kept:
            found.append(f"the pin {key} was dropped and is still there")
    numbers = {dag_of(number)[0].cid: number for number in range(NUMBERS)}
    for root in {each.cid for each in store.dag.roots()}:
        found += check_dag(store, numbers[root])
    return found


def check_dag(store: Store, number: int) -> list[str]:
    """What DAG `number`, which is pinned, lacks or has wrong."""
    found: list[str] = []
    for block in dag_of(number):
        try:
            if store.dag.read(block.cid) != block.data:
                found.append(f"block {block.cid} of the pinned DAG {number} has other bytes")
        except EdgeError as error:
            found.append(f"block {block.cid} of the pinned DAG {number}: {error.message}")
    return found


def check_rows(store: Store) -> list[str]:
    """Blocks and files on record that are not what they are called, or hold nothing."""
    catalog, rows = store.backing.catalog, store.dag.rows
    found: list[str] = []
    names: list[bytes] = []
    with store.backing.index.reading() as txn:
        for table in (catalog.blocks, catalog.files):
            cursor = txn.cursor(table)
            more = cursor.first()
            while more:
                key = cursor.key()
                row = rows.block(txn, key) if table is catalog.blocks else rows.file(txn, key)
                if not rows.is_here(txn, row):
                    found.append(f"a row of {key.hex()} points at a blob that is not here")
                elif table is catalog.blocks:
                    names.append(key)
                more = cursor.next()
    wrong = [name for name in names if not multihash.verify(name, store.dag.read(Cid.v1(RAW, name)))]
    return [*found, *(f"the block {name.hex()} has other bytes than its name" for name in wrong)]


def check_holds(store: Store) -> list[str]:
    """Blobs that are kept for blocks which are on record nowhere: space that nothing gives back."""
    found: list[str] = []
    for stat in store.list():
        with store.backing.index.reading() as txn:
            for multihash_ in store.backing.catalog.block_names(txn, stat.hash):
                rows = (store.dag.rows.block(txn, multihash_), store.dag.rows.file(txn, multihash_))
                if not any(row is not None and row.blob == stat.hash for row in rows):
                    found.append(
                        f"blob {stat.hash.hex()} is held for {multihash_.hex()}, which lies elsewhere"
                    )
    return found
