"""One flipped bit anywhere at rest: found before a wrong byte leaves, on every way to read.

Two kinds. A flip as the disk does it, which the checksum must find; and a flip whose checksum was
made to fit, as a wrong write would leave it, which only BLAKE3 on the first read since open finds.
"""

import mmap
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blockstore import Blob, Durability, Store, StoreSettings
from blockstore import segment as stored
from content.bao import encode
from durable import Txn
from runtime.errors import BlobDamaged, EdgeError
from tests.blockstore.test_ingest import extent_path, leaks_here

SETTINGS = StoreSettings(
    durability=Durability.NONE, index_map_bytes=1 << 28, bulk_map_bytes=1 << 32, extent_above_bytes=1 << 19
)
SIZES = (1, 1500, 40_000, 262_144, 700_000, 70 * 262_144 + 5)  # the last has two chunks of upper nodes
CONTENT = {size: random.Random(size).randbytes(size) for size in SIZES}
SEED = int.from_bytes(os.urandom(4), "big")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("flips") / "data"
    with Store.open(data, SETTINGS) as store:
        for content in CONTENT.values():
            store.put_bytes(content)
    return data


def reads(size: int) -> dict[str, Callable[[Blob], bytes]]:
    """Every way bytes of a blob leave the store, each giving what it gave."""

    def lent(blob: Blob) -> bytes:
        pieces: list[bytes] = []

        def keep(view: memoryview) -> int:
            pieces.append(bytes(view))
            return len(view)

        for start in range(0, size, 262_144):
            blob.lend(start, min(size, start + 262_144), keep)
        return b"".join(pieces)

    def from_file(blob: Blob) -> bytes:
        pieces: list[bytes] = []

        def keep(view: memoryview) -> int:
            pieces.append(bytes(view))
            return len(view)

        def keep_file(fd: int, offset: int, count: int) -> int:
            pieces.append(os.pread(fd, count, offset))
            return count

        start = 0
        while start < size:
            start += blob.lend(start, min(size, start + 262_144), keep, keep_file, size)
        return b"".join(pieces)

    def by_segment(blob: Blob) -> bytes:
        return b"".join(blob.segment(index)[0] for index in range(max(1, -(-size // 262_144))))

    return {
        "lend": lent,
        "lend as a file": from_file,
        "read": lambda blob: blob.read(0, size),
        "segment": by_segment,
        "combined": lambda blob: b"".join(encode.combined_pieces(blob)),
        "slice": lambda blob: b"".join(encode.slice_pieces(blob, 0, size)),
        "subgroup": lambda blob: b"".join(encode.subgroup_pieces(blob, [(0, size)])),
        "outboard": lambda blob: b"".join(encode.outboard_pieces(blob)),
    }


@pytest.fixture(scope="module")
def good(folder: Path) -> dict[tuple[int, str], bytes]:
    """What each way gives when nothing is wrong."""
    with Store.open(folder, SETTINGS) as store:
        blobs = {stat.size_bytes: store.blob(stat.hash) for stat in store.list()}
        return {(size, name): read(blobs[size]) for size in SIZES for name, read in reads(size).items()}


def rows(store: Store) -> Iterator[tuple[str, bytes, bytes]]:
    """Everything at rest that belongs to content: (table, key, value), and segments in extents alike."""
    backing = store.backing
    for numbers in backing.extents.numbers(0, 1 << 64):
        for storage_id in numbers:
            data = extent_path(store, storage_id).read_bytes()
            for number, start in enumerate(range(0, len(data), 262_144)):
                yield "extent", stored.KEY.pack(storage_id, number), data[start : start + 262_144]
    with backing.bulk.reading() as txn:
        cursor = txn.cursor()
        more = cursor.first()
        while more:
            yield "bulk", cursor.key(), cursor.value()
            more = cursor.next()
    for name in ("blobs", "upper"):
        with backing.index.reading() as txn:
            cursor = txn.cursor(backing.index.tables[name])
            more = cursor.first()
            while more:
                if name != "blobs" or len(cursor.key()) == 32:  # a root behind its blob is no content
                    yield name, cursor.key(), cursor.value()
                more = cursor.next()


def write(store: Store, table: str, key: bytes, value: bytes) -> None:
    if table == "extent":
        storage_id, number = stored.KEY.unpack(key)
        with extent_path(store, storage_id).open("r+b", buffering=0) as file:
            file.seek(number * 262_144)
            file.write(value)
    elif table == "bulk":
        store.backing.writer.run(bulk=lambda txn: put(txn, key, value, None))
    else:
        store.backing.writer.run(index=lambda txn: put(txn, key, value, store.backing.index.tables[table]))


def put(txn: Txn, key: bytes, value: bytes, table: object) -> None:
    if table is None:
        txn.put(key, value)
    else:
        txn.put(key, value, db=table)


def owner(store: Store, table: str, key: bytes) -> bytes:
    if table == "blobs":
        return key
    with store.backing.index.reading() as txn:
        root = store.backing.catalog.owner_of(txn, int.from_bytes(key[:8], "big"))
    assert root is not None
    return root


def look(store: Store, root: bytes, size: int, good: dict[tuple[int, str], bytes]) -> int:
    """Read `root` every way on a freshly opened store; returns how many ways refused. None may be wrong."""
    refused = 0
    for name, read in reads(size).items():
        try:
            given = read(store.blob(root))
        except BlobDamaged:
            refused += 1
        else:
            assert given == good[size, name], f"{name} gave wrong bytes (seed {SEED})"
    return refused


def test_a_flipped_bit_in_any_stored_value_is_found_before_a_byte_of_it_leaves(
    folder: Path, good: dict[tuple[int, str], bytes]
) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with Store.open(folder, SETTINGS) as store:
        everything = list(rows(store))
        sizes = {stat.hash: stat.size_bytes for stat in store.list()}
    for table, key, value in everything:
        if (
            table in ("bulk", "extent")
            and int.from_bytes(key[8:], "big") in range(3, 68)
            and rng.random() < 0.9
        ):
            continue  # the large blob's middle segments: a sample, the rest is alike
        with Store.open(folder, SETTINGS) as store:
            root = owner(store, table, key)
            size = sizes[root]
            data_bytes = len(value) if table == "extent" else 0
            if table == "bulk":
                held_bytes = min(262_144, size - int.from_bytes(key[8:], "big") * 262_144)
                data_bytes = 0 if stored.lies_apart(value, held_bytes) else held_bytes
            places = {"anywhere": rng.randrange(len(value) * 8)}
            if data_bytes:
                places["data"] = rng.randrange(min(data_bytes, size) * 8)
            for place, bit in places.items():
                broken = bytearray(value)
                broken[bit // 8] ^= 1 << bit % 8
                write(store, table, key, bytes(broken))
                refused = look(store, root, size, good)
                if place == "data":
                    assert refused >= 7, f"only {refused} of 8 ways noticed (seed {SEED})"
                else:
                    assert refused >= 1, f"bit {bit} of {table} {key.hex()} went unnoticed (seed {SEED})"
                if table != "blobs":
                    assert not store.verify(root).intact
                write(store, table, key, value)


@pytest.mark.parametrize("size", SIZES)
def test_a_segment_whose_checksums_were_made_to_fit_is_found_on_the_first_read_since_open(
    folder: Path, good: dict[tuple[int, str], bytes], size: int
) -> None:
    with Store.open(folder, SETTINGS) as store:
        root = next(stat.hash for stat in store.list() if stat.size_bytes == size)
        blob = store.blob(root)
        number = (size - 1) // 262_144
        key = stored.KEY.pack(blob.storage_id, number)
        with store.backing.bulk.reading() as txn:
            value = txn.get(key)
        assert value is not None
        data, nodes = blob.segment(number)
        wrong = bytearray(data)
        wrong[len(data) // 2] ^= 1
        if blob.lies_apart:
            rest = stored.sealed_apart(wrong, nodes, blob.storage_id, number, last=True)
            write(store, "extent", key, bytes(wrong))
            write(store, "bulk", key, rest)
        else:
            sealed = stored.sealed(bytearray(wrong), nodes, blob.storage_id, number, last=True)
            write(store, "bulk", key, bytes(sealed))
    for name, read in reads(size).items():
        with Store.open(folder, SETTINGS) as store:
            if name == "outboard" and size <= 16_384:
                continue  # has no bytes of the content
            with pytest.raises(BlobDamaged):
                read(store.blob(root))
    with Store.open(folder, SETTINGS) as store:
        write(store, "bulk", key, value)
        if blob.lies_apart:
            write(store, "extent", key, data)
        assert look(store, root, size, good) == 0


@pytest.mark.parametrize("size", [300_000, 600_000], ids=["in bulk", "in an extent"])
def test_a_bit_flipped_in_the_file_itself_is_found(tmp_path: Path, size: int) -> None:
    content = random.Random(5).randbytes(size)
    with Store.open(tmp_path / "data", SETTINGS) as store:
        root = store.put_bytes(content).root
        path = extent_path(store, store.blob(root).storage_id)
    if size == 300_000:
        path = tmp_path / "data" / "bulk" / "data.mdb"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as view:
        at = view.find(content[100_000:100_064])
        assert at >= 0
        view[at + 5] ^= 2
    with Store.open(tmp_path / "data", SETTINGS) as store:
        blob = store.blob(root)
        with pytest.raises(BlobDamaged):
            blob.read(0, 1)
        assert blob.read(262_144, size) == content[262_144:]


@pytest.mark.parametrize("left", [None, 0, 100_000, 550_000], ids=["gone", "empty", "cut", "cut late"])
def test_an_extent_that_was_cut_short_is_damage_and_no_crash(tmp_path: Path, left: int | None) -> None:
    content = random.Random(6).randbytes(600_000)
    with Store.open(tmp_path / "data", SETTINGS) as store:
        root = store.put_bytes(content).root
        blob = store.blob(root)
        assert blob.read(0, 600_000) == content  # it is open and mapped from here on
        path = extent_path(store, blob.storage_id)
        if left is None:
            path.unlink()
            store.backing.extents.let_go()
        else:
            os.truncate(path, left)
        with pytest.raises(BlobDamaged, match="is missing"):
            blob.read(0, 600_000)
        assert not store.verify(root).intact
        assert not store.put_bytes(content).already
        assert store.blob(root).read(0, 600_000) == content
        store.sweep()
        assert leaks_here(store) == []


def test_a_damaged_index_row_harms_no_other_blob_and_is_healed_by_a_put(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data", SETTINGS) as store:
        one, other = store.put_bytes(b"one").root, store.put_bytes(b"other").root
        with store.backing.index.reading() as txn:
            value = bytearray(txn.get(one, db=store.backing.catalog.blobs) or b"")
        value[10] ^= 1
        write(store, "blobs", one, bytes(value))
        with pytest.raises(BlobDamaged):
            store.blob(one)
        assert store.blob(other).read(0, 5) == b"other"
        assert sorted(stat.state for stat in store.list()) == ["damaged", "present"]
        store.sweep()
        assert not store.put_bytes(b"one").already
        assert store.blob(one).read(0, 3) == b"one"
        store.sweep()
        assert store.usage().blobs == 2
        assert isinstance(store.damage(), list)


def test_a_damaged_row_can_be_removed(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data", SETTINGS) as store:
        root = store.put_bytes(b"one").root
        write(store, "blobs", root, b"nonsense")
        with pytest.raises(EdgeError):
            store.blob(root)
        store.rm(root)
        assert store.stat(root) is None
