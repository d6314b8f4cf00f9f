"""What uploads in one request hold of a quota, over all processes."""

import errno
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pinning.arrival import Sender
from pinning.shares import Share, Shares
from pinning.spool import Spools
from pinning.spool_record import Record
from runtime.errors import QuotaExceeded

MIB = 1 << 20


def process(tmp_path: Path) -> Shares:
    """What a worker has; two of them in one process see each other by their files only, as two workers do."""
    return Shares(Spools(tmp_path / "uploads", 100.0))


@contextmanager
def held(shares: Shares, account: str, length: int, room: Callable[[], int | None]) -> Iterator[Share]:
    share = Share(shares, account, room)
    try:
        share.begin(length)
        yield share
    finally:
        share.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_uploads_at_once_are_not_given_the_same_room(tmp_path: Path, workers: int) -> None:
    one = process(tmp_path)
    two = one if workers == 1 else process(tmp_path)
    with held(one, "a", 60, lambda: 100) as first:
        with pytest.raises(QuotaExceeded), held(two, "a", 41, lambda: 100):
            pass
        with held(two, "b", 100, lambda: 100), held(two, "a", 0, lambda: 100) as second:
            second.arrived(40)
            with pytest.raises(QuotaExceeded):
                second.arrived(1)
            first.arrived(60)
            with pytest.raises(QuotaExceeded):
                first.arrived(1)
        assert one.of("a") == two.of("a") == 60
    assert one.of("a") == two.of("b") == 0
    assert list((tmp_path / "uploads").iterdir()) == [], "nothing is left of who holds nothing"


def test_who_has_no_quota_holds_nothing(tmp_path: Path) -> None:
    shares = process(tmp_path)
    with held(shares, "a", 1 << 50, lambda: None) as free:
        free.arrived(1 << 50)
        assert shares.of("a") == 0


def test_two_without_a_length_get_no_more_than_there_is(tmp_path: Path) -> None:
    room = 100 * MIB
    with (
        held(process(tmp_path), "a", 0, lambda: room) as one,
        held(process(tmp_path), "a", 0, lambda: room) as two,
    ):
        came = 0
        with pytest.raises(QuotaExceeded):
            for _ in range(room // MIB + 1):
                one.arrived(MIB)
                came += MIB
                two.arrived(MIB)
                came += MIB
        assert room - 2 * 8 * MIB <= came <= room


def test_a_resumable_upload_gets_no_room_that_one_request_holds_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    spools = Spools(tmp_path / "uploads", 100.0)
    shares, elsewhere = Shares(spools), process(tmp_path)
    record = Record("car", 50, 0.0, Sender("a", 100), "", metadata="")
    with held(elsewhere, "a", 60, lambda: 100), pytest.raises(QuotaExceeded):
        spools.create(record, lambda: 100 - shares.of("a"))
    spools.create(record, lambda: 100 - shares.of("a"))
    with pytest.raises(QuotaExceeded), held(elsewhere, "a", 60, lambda: 100 - spools.promised_bytes("a")):
        pass
    with held(elsewhere, "a", 0, lambda: 100 - spools.promised_bytes("a")) as grows:
        grows.arrived(40)
        with pytest.raises(QuotaExceeded):
            grows.arrived(20)


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    here, there = multiprocessing.get_context("spawn").Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_hold_and_wait, args=(tmp_path, there))
    child.start()
    assert here.recv() == 60
    shares = process(tmp_path)
    assert shares.of("a") == 60
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert shares.of("a") == 0
    assert list((tmp_path / "uploads").iterdir()) == []


def _hold_and_wait(tmp_path: Path, told: Connection) -> None:
    share = Share(process(tmp_path), "a", lambda: 100)
    share.begin(60)
    told.send(share.held_bytes)
    told.recv()


def test_what_was_held_is_given_back_where_the_folder_cannot_be_had(tmp_path: Path) -> None:
    shares, folder = process(tmp_path), tmp_path / "uploads"
    with held(shares, "a", 60, lambda: 100):
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("no folder")
    folder.unlink()
    (tmp_path / "elsewhere").rename(folder)
    assert shares.of("a") == 0
    with held(shares, "b", 10, lambda: 100):
        assert process(tmp_path).of("a") == 0, "the next change tells others"


def test_what_was_held_is_given_back_where_its_file_cannot_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = process(tmp_path)

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with held(shares, "a", 60, lambda: 100):
        monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.undo()
    assert shares.of("a") == 0
