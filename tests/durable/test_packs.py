"""Packs: where a number lies, what is on the disk when, and that what was let go of takes no room."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable import SLOT_BYTES, SLOTS, Environment, Extents, GroupWriter, Job, Packs, Txn
from runtime.clock import SystemClock
from runtime.errors import EdgeError, StoreFull

NUMBER = 0x1_0003


@pytest.fixture
def packs(tmp_path: Path) -> Iterator[Packs]:
    made = Packs(tmp_path / "packs", synced=True, announce=lambda: None)
    yield made
    made.close()


def write(packs: Packs, number: int, data: bytes) -> None:
    found = packs.to_write([number], len(data))
    assert found is not None
    os.pwrite(found[number // SLOTS].fd, data, number % SLOTS * SLOT_BYTES)
    packs.wrote([number])


def numbers(packs: Packs) -> list[int]:
    return [each for some in packs.numbers(0, 1 << 64) for each in some]


def room_bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def test_a_number_lies_where_the_format_says_and_reads_back(packs: Packs, tmp_path: Path) -> None:
    write(packs, NUMBER, b"hello")
    write(packs, NUMBER + 252, b"last")
    write(packs, NUMBER + 253, b"next")
    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == [
        "0000000000000100",
        "0000000000000101",
    ]
    with (tmp_path / "packs" / "0000000000000100").open("rb") as file:
        file.seek(3 * 262_144)
        assert file.read(5) == b"hello"
    assert packs.read(NUMBER, 5) == b"hello"
    assert packs.read(NUMBER + 253, 4) == b"next"
    assert numbers(packs) == [NUMBER, NUMBER + 252, NUMBER + 253]
    assert list(packs.numbers(NUMBER + 1, NUMBER + 253)) == [[NUMBER + 252]]
    assert room_bytes(tmp_path / "packs") <= 3 * 16_384


def test_what_is_not_there_is_none_or_zeros(packs: Packs, tmp_path: Path) -> None:
    assert packs.read(NUMBER, 5) is None
    packs.free(NUMBER)
    packs.unlink_empty([NUMBER])
    assert numbers(packs) == []
    assert not (tmp_path / "packs").exists()
    write(packs, NUMBER, b"hello")
    assert packs.read(NUMBER + 1, 5) == bytes(5)
    os.truncate(tmp_path / "packs" / "0000000000000100", 3 * SLOT_BYTES + 2)
    assert packs.read(NUMBER, 5) is None


def test_content_and_names_are_on_the_disk_after_sync(
    packs: Packs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = {"fdatasync": os.fdatasync, "fsync": os.fsync}
    for call in real:

        def watched(fd: int, call: str = call) -> None:
            seen.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
            real[call](fd)

        monkeypatch.setattr(os, call, watched)
    write(packs, NUMBER, b"hello")
    assert seen == []
    packs.sync()
    assert seen == ["packs/0000000000000100", "packs", "."]
    packs.sync()
    assert len(seen) == 3
    write(packs, NUMBER + 1, b"world")
    packs.sync()
    assert seen[3:] == ["packs/0000000000000100"], "it has its name already"
    packs.free(NUMBER)
    packs.sync()
    assert seen[4:] == ["packs/0000000000000100"], (
        "that its room is free has to be known before it is forgotten"
    )


def test_what_is_freed_takes_no_room_and_an_empty_pack_goes(packs: Packs, tmp_path: Path) -> None:
    for number in (NUMBER, NUMBER + 1):
        write(packs, number, bytes(range(256)) * 1024)
    packs.sync()
    packs.free(NUMBER)
    assert packs.read(NUMBER, 3) == bytes(3)
    assert numbers(packs) == [NUMBER + 1]
    assert room_bytes(tmp_path / "packs") < 2 * SLOT_BYTES
    packs.unlink_empty([NUMBER])
    assert packs.read(NUMBER + 1, 3) == bytes(range(3)), "something else lies in it"
    packs.free(NUMBER + 1)
    packs.unlink_empty([NUMBER])
    assert list((tmp_path / "packs").iterdir()) == []
    assert packs.read(NUMBER + 1, 3) is None


def test_the_store_is_told_once_before_the_first_name(tmp_path: Path) -> None:
    told: list[bool] = []
    packs = Packs(
        tmp_path / "packs", synced=True, announce=lambda: told.append((tmp_path / "packs").exists())
    )
    packs.read(1, 1)
    assert told == []
    write(packs, 1, b"x")
    write(packs, 1000, b"x")
    assert told == [False]
    packs.close()


def test_a_disk_with_room_only_for_deleting_is_full(packs: Packs, monkeypatch: pytest.MonkeyPatch) -> None:
    write(packs, NUMBER, b"hello")
    real = os.statvfs("/")

    def nearly_full(fd: int) -> os.statvfs_result:
        blocks = list(real)
        blocks[4] = ((1 << 20) + 4096) // real.f_frsize
        return os.statvfs_result(blocks)

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    assert packs.to_write([NUMBER], 100) is not None
    with pytest.raises(StoreFull):
        packs.to_write([NUMBER], 10_000)


def test_where_files_cannot_have_holes_there_are_no_packs(
    packs: Packs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no holes here")

    monkeypatch.setattr("durable.packs._punch", refused)
    assert packs.to_write([NUMBER], 1) is None
    assert packs.to_write([NUMBER + 1], 1) is None
    assert list((tmp_path / "packs").iterdir()) == []


def test_what_the_disk_failed_to_take_is_never_pointed_at(
    packs: Packs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells once: when the batch is tried again job by job, fdatasync finds nothing wrong."""
    bulk = Environment.open(tmp_path / "bulk", map_bytes=1 << 22)
    index = Environment.open(tmp_path / "index", map_bytes=1 << 22)
    extents = Extents(tmp_path / "extents", synced=True, announce=lambda: None)
    writer = GroupWriter(
        bulk, index, extents, packs, SystemClock(), commit_bytes=1, backlog_bytes=1, linger_s=0
    )
    real, fails = os.fdatasync, [True]

    def failing(fd: int) -> None:
        if fails and "packs" in os.readlink(f"/proc/self/fd/{fd}"):
            fails.clear()
            raise OSError(errno.EIO, "the disk said no")
        real(fd)

    monkeypatch.setattr(os, "fdatasync", failing)

    def change(number: int) -> Job:
        def bulk_change(txn: Txn) -> None:
            packs.check([number])
            txn.put(b"%d" % number, b"row")

        return Job(bulk_change)

    write(packs, NUMBER, b"lost")
    with pytest.raises(EdgeError):
        writer.run(bulk=change(NUMBER).bulk)
    write(packs, NUMBER + SLOTS, b"well")
    writer.run(bulk=change(NUMBER + SLOTS).bulk)
    with bulk.reading() as txn:
        assert txn.get(b"%d" % NUMBER) is None
        assert txn.get(b"%d" % (NUMBER + SLOTS)) == b"row"
    writer.close()
    bulk.close()
    index.close()


def test_no_more_than_so_many_are_open_and_an_unlinked_one_is_let_go_of(packs: Packs, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for pack in range(100):
        write(packs, pack * SLOTS, b"%d" % pack)
    for pack in range(100):
        assert packs.read(pack * SLOTS, 1) == str(pack)[:1].encode()
    assert len(os.listdir("/proc/self/fd")) - before <= 64
    for path in (tmp_path / "packs").iterdir():
        path.unlink()
    packs.let_go()
    assert len(os.listdir("/proc/self/fd")) == before
