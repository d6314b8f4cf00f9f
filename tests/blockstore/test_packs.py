"""Small files in packs: what goes there, how it is read, and that it goes with its blob and no sooner."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import blake3
import pytest

from blockstore import Durability, Store
from blockstore import format as store_format
from blockstore import segment as stored
from blockstore.block_rows import BlockRow
from blockstore.bundle import PACK_ABOVE_BYTES, Bundle
from blockstore.doomed import ClearStep
from blockstore.landings import Landings
from blockstore.roots import Root
from content.bao._native import SmallFiles
from content.cid import RAW, Cid
from durable import Job, Txn
from runtime.errors import BlobDamaged, NewerFormat, NotFound, StoreFull
from tests.blockstore.conftest import KILL_SAFE, Opener
from tests.blockstore.test_ingest import flip_byte, leaks_here
from tests.faults.store_rounds import leaks

Content = Callable[[int], bytes]
SIZES = (1, 5_000, PACK_ABOVE_BYTES, PACK_ABOVE_BYTES + 1, 107_374, 262_143, 262_144)


def add(store: Store, folder: Path, *contents: bytes, urgent: bool = True) -> list[bytes]:
    """Their BLAKE3 names, when all of them are durable."""
    landings = Landings()
    bundle = submitted(store, folder, landings, *contents)
    bundle.submit(urgent=urgent)
    landings.wait()
    return [blake3.blake3(each).digest() for each in contents]


def submitted(store: Store, folder: Path, landings: Landings, *contents: bytes) -> Bundle:
    """A bundle with them in it, not submitted yet."""
    paths = []
    for number, each in enumerate(contents):
        path = folder / f"file-{number}"
        path.write_bytes(each)
        paths.append(os.fsencode(path))
    files = SmallFiles(paths, False, 100_000)
    bundle = Bundle(store, landings)
    bundle.expect(len(contents))
    for place, each in enumerate(contents):
        told = files.told(place)
        assert told is not None
        *_, digest, root, nodes, size = told
        assert (root, size) == (blake3.blake3(each).digest(), len(each))
        name = b"\x12\x20" + digest
        bundle.put_read(files, place, root, nodes, size, [(name, BlockRow(bytes(32), 0, size))], name)
    return bundle


def in_packs(store: Store) -> list[int]:
    return [each for some in store.backing.packs.numbers(0, 1 << 64) for each in some]


def id_of(store: Store, root: bytes) -> int:
    stat = store.stat(root)
    assert stat is not None
    return stat.storage_id


def pack_path(store: Store, storage_id: int) -> Path:
    return store.backing.index.path.parent / "packs" / f"{storage_id >> 8:016x}"


@pytest.mark.parametrize("durability", list(Durability))
def test_files_above_the_bound_lie_in_slots_and_all_read_back(
    open_store: Opener, content: Content, tmp_path: Path, durability: Durability
) -> None:
    store = open_store(replace(KILL_SAFE, durability=durability))
    contents = [content(size) for size in SIZES]
    roots = add(store, tmp_path, *contents)
    large = [root for root, data in zip(roots, contents, strict=True) if len(data) > PACK_ABOVE_BYTES]
    assert in_packs(store) == [id_of(store, root) for root in large]
    for root, data in zip(roots, contents, strict=True):
        blob = store.blob(root)
        assert blob.read(0, len(data)) == data
        assert blob.read(len(data) // 3, len(data) // 2) == data[len(data) // 3 : len(data) // 2]
        assert blob.segment(0)[0] == data
        assert store.verify(root).intact
        with store.backing.bulk.reading() as txn:
            value = txn.get(stored.KEY.pack(blob.storage_id, 0)) or b""
        assert (len(value) < 1100) == (len(data) <= 1000 or root in large)
    assert store.usage().bytes_ == sum(map(len, contents))
    store.close()
    store = open_store()
    for root, data in zip(roots, contents, strict=True):
        assert store.blob(root).read(0, len(data)) == data


def test_a_slot_is_offered_as_bytes(store: Store, content: Content, tmp_path: Path) -> None:
    data = content(100_000)
    (root,) = add(store, tmp_path, data)
    blob = store.blob(root)
    lent: list[bytes] = []

    def use(view: memoryview) -> int:
        lent.append(bytes(view))
        return len(view)

    def never(fd: int, offset: int, count: int) -> int:
        raise AssertionError("a slot may be emptied while the kernel sends from it")

    for _ in range(2):
        assert blob.lend(10, 90_000, use, never, 100_000) == 89_990
    assert lent == [data[10:90_000]] * 2


def test_damage_in_a_slot_is_found_and_healed_by_the_same_content(
    store: Store, content: Content, tmp_path: Path
) -> None:
    data = content(100_000)
    (root,) = add(store, tmp_path, data)
    storage_id = id_of(store, root)
    flip_byte(pack_path(store, storage_id), storage_id % 256 * 262_144 + 99_999)
    with pytest.raises(BlobDamaged, match="checksum"):
        store.blob(root).read(0, 10)
    store.backing.writer.run(index=lambda _: None)
    assert [each.hash for each in store.damage()] == [root]
    add(store, tmp_path, data)
    assert store.blob(root).read(0, len(data)) == data
    assert store.damage() == []
    assert id_of(store, root) != storage_id
    store.sweep()
    assert in_packs(store) == [id_of(store, root)]
    assert leaks_here(store) == []


def test_a_pack_that_is_gone_or_cut_is_damage_and_no_crash(
    open_store: Opener, content: Content, tmp_path: Path
) -> None:
    for left in (None, 0, 1000):
        store = open_store()
        (root,) = add(store, tmp_path, content(100_000 + (left or 7)))
        path = pack_path(store, id_of(store, root))
        if left is None:
            path.unlink()
            store.backing.packs.let_go()
        else:
            os.truncate(path, left)
        with pytest.raises(BlobDamaged, match="missing"):
            store.blob(root).read(0, 10)
        store.close()


@pytest.mark.parametrize("how", ["rm", "evict", "sweep"])
def test_what_is_removed_gives_its_room_back(
    store: Store, content: Content, tmp_path: Path, how: str
) -> None:
    stays, goes = add(store, tmp_path, content(100_000), content(200_000))
    blob = store.blob(goes)
    number = blob.storage_id
    store.pin(stays)
    path = pack_path(store, number)
    taken = path.stat().st_blocks * 512
    if how == "sweep":
        cid = Cid.v1(RAW, store.dag.whole_names(stays)[0])
        store.dag.pin(cid, Root.pin(""))
        store.backing.clock.now += 1e6  # type: ignore[attr-defined]
    elif how == "rm":
        store.rm(goes, force=True)
    else:
        store.evict(goes)
    store.sweep()
    if how != "evict":
        with pytest.raises(NotFound):
            blob.read(0, 10)
    assert in_packs(store) == [id_of(store, stays)]
    assert taken - path.stat().st_blocks * 512 >= 196_608
    assert store.blob(stays).read(0, 10) == content(100_000)[:10]
    assert leaks_here(store) == []


def test_a_slot_whose_writer_died_before_its_first_row_is_swept_and_its_pack_goes(
    open_store: Opener, content: Content, tmp_path: Path
) -> None:
    store = open_store()
    kept, removed = add(store, tmp_path, content(50_000), content(60_000))
    (orphan,) = store.backing.ids.take_many(1)
    lonely = store.backing.ids.take_many(1000)[-1]
    for number in (orphan, lonely):
        packs = store.backing.packs.to_write([number], 4)
        assert packs is not None
        os.pwrite(packs[number // 256].fd, b"lost", number % 256 * 262_144)
    number = id_of(store, kept)
    store.sweep()
    assert orphan in in_packs(store), "who lives may still point at it"
    store.close()
    store = open_store()
    store.sweep()
    assert in_packs(store) == [number, number + 1]
    assert not pack_path(store, lonely).exists()
    assert leaks(store) == []
    for root in (kept, removed):
        store.rm(root, force=True)
    store.sweep()
    assert not pack_path(store, number).exists(), "the last who lay in it takes the pack along"
    assert leaks(store) == []


def test_the_slot_stays_until_the_index_has_let_go_of_it(
    store: Store, content: Content, tmp_path: Path
) -> None:
    (root,) = add(store, tmp_path, content(50_000))
    number = id_of(store, root)
    step = ClearStep(store.backing, [number])
    store.backing.writer.run(bulk=step.bulk, index=step.index, frees=True)
    assert store.blob(root).read(0, 50_000) == content(50_000), "without its row nothing is deleted"


def test_what_is_here_is_not_written_again_and_comes_back_if_it_went_meanwhile(
    store: Store, content: Content, tmp_path: Path
) -> None:
    contents = [content(size) for size in (40_000, 50_000, 60_000)]
    add(store, tmp_path, *contents[:2])
    before = in_packs(store)
    going, *_ = add(store, tmp_path, *contents)
    assert len(in_packs(store)) == len(before) + 1
    landings = Landings()
    bundle = submitted(store, tmp_path, landings, *contents)
    writer, entered, gate = store.backing.writer, threading.Event(), threading.Event()

    def wait(_: Txn) -> None:
        entered.set()
        gate.wait()

    writer.submit(Job(bulk=wait))
    entered.wait()
    removing = threading.Thread(target=store.rm, args=(going,), kwargs={"force": True})
    removing.start()
    while not any(job.index is not None for job in list(writer._queue)):
        pass
    bundle.submit(urgent=True)  # it is here as yet
    gate.set()
    removing.join()
    landings.wait()
    for data in contents:
        assert store.blob(blake3.blake3(data).digest()).read(0, len(data)) == data
    store.sweep()
    assert leaks_here(store) == []


def test_two_who_add_the_same_leave_one_copy(store: Store, content: Content, tmp_path: Path) -> None:
    landings = Landings()
    bundles = [submitted(store, tmp_path, landings, content(70_000)) for _ in range(2)]
    for bundle in bundles:
        bundle.submit(urgent=True)
    landings.wait()
    store.sweep()
    assert len(in_packs(store)) == 1
    assert leaks_here(store) == []


def test_no_room_leaves_nothing(open_store: Opener, content: Content, tmp_path: Path) -> None:
    store = open_store(replace(KILL_SAFE, quota_bytes=100_000))
    with pytest.raises(StoreFull):
        add(store, tmp_path, content(90_000), content(91_000))
    store.sweep()
    assert in_packs(store) == []
    assert store.usage().blobs == 0


def test_without_holes_in_files_everything_lies_in_bulk(
    store: Store, content: Content, tmp_path: Path
) -> None:
    store.backing.packs._usable = False
    data = content(100_000)
    (root,) = add(store, tmp_path, data)
    assert in_packs(store) == []
    assert store.blob(root).read(0, len(data)) == data


def test_a_store_from_before_is_marked_with_the_first_pack_and_refused_by_who_does_not_know(
    open_store: Opener, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_format, "KNOWN_FEATURES", 3)
    open_store().close()
    monkeypatch.undo()
    store = open_store()
    path = store.backing.index.path.parent / "format"
    add(store, tmp_path, content(1000))
    assert store_format.unpack(path.read_bytes(), "x").needed_features == 3
    add(store, tmp_path, content(100_000))
    assert store_format.unpack(path.read_bytes(), "x").needed_features == 7
    store.close()
    monkeypatch.setattr(store_format, "KNOWN_FEATURES", 3)
    with pytest.raises(NewerFormat):
        open_store()


def test_a_slot_keeps_what_was_lent_when_it_is_emptied_meanwhile(
    store: Store, content: Content, tmp_path: Path
) -> None:
    data = content(100_000)
    (root,) = add(store, tmp_path, data)
    seen: list[bytes] = []

    def use(view: memoryview) -> int:
        store.backing.packs.free(id_of(store, root))
        seen.append(bytes(view))
        return len(view)

    store.blob(root).lend(0, 100_000, use)
    assert seen == [data]


def test_an_empty_pack_of_a_living_process_stays(store: Store, content: Content, tmp_path: Path) -> None:
    (root,) = add(store, tmp_path, content(50_000))
    path = pack_path(store, id_of(store, root))
    store.rm(root, force=True)
    store.sweep()
    assert in_packs(store) == []
    assert path.exists(), "its next ids lie in it, and somebody may be writing there"
    (root,) = add(store, tmp_path, content(60_000))
    assert pack_path(store, id_of(store, root)) == path
    assert store.blob(root).read(0, 60_000) == content(60_000)


def test_room_that_a_process_died_before_freeing_is_freed_by_the_next_sweep(
    open_store: Opener, tmp_path: Path
) -> None:
    """Killed behind the commit that forgot the content: nothing doomed is left to lead a sweep there."""
    store = open_store(KILL_SAFE)
    add(store, tmp_path, os.urandom(100_000))
    large = store.put_bytes(os.urandom(3_000_000)).root
    store.rm(large)
    store.close()
    folder = store.backing.index.path.parent
    (folder / "extents" / "gone" / f"{7:016x}").write_bytes(b"retired")
    with (folder / "packs" / f"{2:016x}").open("wb") as empty:
        empty.truncate(64 << 20)
    store = open_store(KILL_SAFE)
    assert len(leaks(store)) >= 2
    store.sweep()
    assert leaks(store) == []
    assert list(folder.glob("extents/gone/*")) == []
    assert len(list(folder.glob("packs/*"))) == 1
