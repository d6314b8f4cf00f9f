"""Extents: where they lie, what is on the disk when, and that what was removed is let go of."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable import Environment, Extents, GroupWriter, Job, Packs, Txn
from runtime.clock import SystemClock
from runtime.errors import StoreFull

NUMBER = 0x1_007F


@pytest.fixture
def extents(tmp_path: Path) -> Iterator[Extents]:
    made = Extents(tmp_path / "extents", synced=True, announce=lambda: None)
    yield made
    made.close()


def files(folder: Path) -> list[Path]:
    """Every extent that takes room."""
    return list((folder / "extents").glob("*/*"))


class Watched:
    """What reached the disk, in order, as names below the folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._noting(folder, getattr(os, name)))

    def _noting(self, folder: Path, real: Callable[[int], None]) -> Callable[[int], None]:
        def noted(fd: int) -> None:
            self.seen.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), folder))
            real(fd)

        return noted


def test_an_extent_lies_where_the_format_says_and_reads_back(extents: Extents, tmp_path: Path) -> None:
    extents.write(NUMBER, 5, b"world")
    extents.write(NUMBER, 0, b"hello")
    extents.sync()
    path = tmp_path / "extents" / "7f" / "000000000001007f"
    assert path.read_bytes() == b"helloworld"
    assert path.stat().st_mode & 0o777 == 0o600
    extent = extents.get(NUMBER, 10)
    assert extent is not None
    part = extent.part(3, 7)
    assert part is not None
    assert part.readonly
    assert bytes(part) == b"lowo"
    assert os.pread(extent.fd, 4, 3) == b"lowo"
    assert extents.read(NUMBER, 3, 7) == b"lowo"
    assert [each for each in extents.numbers(0, 1 << 64) if each] == [[NUMBER]]
    assert [each for each in extents.numbers(NUMBER + 1, 1 << 64) if each] == []
    assert files(tmp_path) == [path]


def test_what_is_not_there_or_too_short_is_none(extents: Extents, tmp_path: Path) -> None:
    assert extents.get(NUMBER, 1) is None
    assert extents.read(NUMBER, 0, 1) is None
    extents.write(NUMBER, 0, b"hello")
    extents.sync()
    assert extents.get(NUMBER, 6) is None
    assert extents.read(NUMBER, 0, 6) is None
    extent = extents.get(NUMBER, 5)
    assert extent is not None
    os.truncate(tmp_path / "extents" / "7f" / "000000000001007f", 3)
    assert extent.part(0, 5) is None, "reading on would kill the process"
    os.truncate(tmp_path / "extents" / "7f" / "000000000001007f", 0)
    extents.close()
    assert extents.get(NUMBER, 0) is None


def test_one_that_grew_is_mapped_again(extents: Extents) -> None:
    extents.write(NUMBER, 0, b"hello")
    extents.sync()
    assert extents.get(NUMBER, 5) is not None
    extents.write(NUMBER, 5, b"world")
    extents.sync()
    extent = extents.get(NUMBER, 10)
    assert extent is not None
    assert bytes(extent.part(0, 10) or b"") == b"helloworld"


def test_content_names_and_folders_are_on_the_disk_after_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    extents = Extents(tmp_path / "extents", synced=True, announce=lambda: None)
    extents.write(NUMBER, 0, b"hello")
    extents.write(NUMBER + 256, 0, b"hello")
    assert watched.seen == []
    extents.sync()
    assert watched.seen[:2] == ["extents/7f/000000000001007f", "extents/7f/000000000001017f"]
    assert sorted(watched.seen[2:]) == [".", "extents", "extents/7f"]
    watched.seen.clear()
    extents.write(NUMBER, 5, b"world")
    extents.sync()
    assert watched.seen == ["extents/7f/000000000001007f"], "it has its name already"
    watched.seen.clear()
    extents.retire(NUMBER)
    extents.sync()
    assert watched.seen == ["extents/7f"]
    extents.sync()
    assert watched.seen == ["extents/7f"]


def test_nothing_waits_for_the_disk_where_that_is_not_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path, monkeypatch)
    extents = Extents(tmp_path / "extents", synced=False, announce=lambda: None)
    extents.write(NUMBER, 0, b"hello")
    extents.retire(NUMBER)
    extents.sync()
    assert watched.seen == []


def test_the_store_is_told_once_before_the_first_name(tmp_path: Path) -> None:
    told: list[bool] = []
    extents = Extents(
        tmp_path / "extents", synced=True, announce=lambda: told.append((tmp_path / "extents").exists())
    )
    assert extents.get(1, 1) is None
    extents.retire(1)
    extents.unlink_retired()
    assert list(extents.numbers(0, 100)) == [[]] * 256
    assert told == []
    extents.write(1, 0, b"x")
    extents.write(2, 0, b"x")
    assert told == [False]
    extents.close()


def test_what_is_retired_is_gone_at_once_and_its_room_after_unlinking(
    extents: Extents, tmp_path: Path
) -> None:
    for number in (1, 2):
        extents.write(number, 0, bytes(1 << 20))
    extents.sync()
    held = extents.get(1, 1)
    assert held is not None
    extents.retire(1)
    extents.retire(1)
    extents.retire(77)
    assert extents.get(1, 1) is None
    assert len(files(tmp_path)) == 2
    extents.unlink_retired()
    assert len(files(tmp_path)) == 1
    assert bytes(held.part(0, 5) or b"") == bytes(5), "who holds it may go on for the length of its call"
    assert list((tmp_path / "extents" / "gone").iterdir()) == []


def test_what_another_process_unlinked_is_let_go_of(extents: Extents, tmp_path: Path) -> None:
    extents.write(NUMBER, 0, b"hello")
    extents.sync()
    assert extents.get(NUMBER, 5) is not None
    path = tmp_path / "extents" / "7f" / "000000000001007f"
    extents.let_go()
    assert _open_files(path.name)
    path.unlink()
    extents.let_go()
    assert not _open_files(path.name)


def test_no_more_than_so_many_are_open(extents: Extents) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(200):
        extents.write(number, 0, b"%d" % number)
    extents.sync()
    for number in range(200):
        extent = extents.get(number, 1)
        assert extent is not None
        assert bytes(extent.part(0, 1) or b"") == str(number)[:1].encode()
        del extent
    assert len(os.listdir("/proc/self/fd")) - before <= 2 * 64 + 4
    extents.close()
    assert len(os.listdir("/proc/self/fd")) - before <= 2


def test_a_disk_with_room_only_for_deleting_is_full(
    extents: Extents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extents.write(NUMBER, 0, b"hello")
    real = os.statvfs(tmp_path)

    def nearly_full(fd: int) -> os.statvfs_result:
        blocks = list(real)
        blocks[4] = ((1 << 20) + 4096) // real.f_frsize
        return os.statvfs_result(blocks)

    monkeypatch.setattr(os, "fstatvfs", nearly_full)
    extents.write(NUMBER, 5, b"few")
    with pytest.raises(OSError, match="No space") as caught:
        extents.write(NUMBER, 5, bytes(10_000))
    assert caught.value.errno == errno.ENOSPC


def _open_files(name: str) -> list[str]:
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue  # the descriptor of the listing itself
    return [link for link in links if re.search(name, link)]


class Bench:
    """A writer over extents and two environments, and what it synced."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.watched = Watched(folder, monkeypatch)
        self.extents = Extents(folder / "extents", synced=True, announce=lambda: None)
        self.packs = Packs(folder / "packs", synced=True, announce=lambda: None)
        self.bulk = Environment.open(folder / "bulk", map_bytes=1 << 22)
        self.index = Environment.open(folder / "index", map_bytes=1 << 22)
        self.writer = GroupWriter(
            self.bulk,
            self.index,
            self.extents,
            self.packs,
            SystemClock(),
            commit_bytes=1,
            backlog_bytes=1,
            linger_s=0,
        )

    def put(self, number: int, data: bytes = b"data") -> Callable[[Txn], None]:
        def change(txn: Txn) -> None:
            self.extents.write(number, 0, data)
            txn.put(b"%d" % number, b"row")

        return change

    def row(self, number: int) -> bytes | None:
        with self.bulk.reading() as txn:
            return txn.get(b"%d" % number)

    def close(self) -> None:
        self.writer.close()
        self.extents.close()
        self.bulk.close()
        self.index.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.close()


def test_an_extent_is_on_the_disk_before_the_row_that_points_at_it(bench: Bench) -> None:
    rows_then: list[bytes | None] = []
    note = bench.watched.seen.append

    class Seen(list[str]):
        def append(self, name: str) -> None:
            if "000000000000002a" in name:
                rows_then.append(bench.row(42))
            note(name)

    bench.watched.seen = Seen()
    bench.writer.run(bulk=bench.put(42))
    assert rows_then == [None]
    assert bench.row(42) == b"row"


def test_a_disk_that_fails_to_sync_an_extent_keeps_its_row_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fd: int) -> None:
        raise OSError(errno.ENOSPC, "no room when it came to it")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(StoreFull):
            bench.writer.run(bulk=bench.put(42))
    assert bench.row(42) is None
    bench.writer.run(bulk=bench.put(42, b"again"))
    assert bench.extents.read(42, 0, 5) == b"again"


def test_an_idle_writer_lets_go_of_what_was_unlinked(bench: Bench, tmp_path: Path) -> None:
    bench.writer.run(bulk=bench.put(42))
    assert bench.extents.get(42, 4) is not None
    path = next((tmp_path / "extents").glob("*/000000000000002a"))
    path.unlink()
    stop = SystemClock().tick_s() + 20
    while _open_files(path.name):  # within its second of idleness
        assert SystemClock().tick_s() < stop
        os.sched_yield()


def test_a_failed_neighbour_does_not_unwrite_an_extent(bench: Bench) -> None:
    def breaks(txn: Txn) -> None:
        raise ValueError("a bug")

    failures: list[object] = []
    bench.writer.submit(Job(bulk=bench.put(1), urgent=False))
    bench.writer.submit(Job(bulk=breaks, urgent=False, done=failures.append))
    bench.writer.run(bulk=bench.put(2))
    assert len(failures) == 1
    assert (bench.row(1), bench.row(2)) == (b"row", b"row")
    assert bench.extents.read(1, 0, 4) == bench.extents.read(2, 0, 4) == b"data"
