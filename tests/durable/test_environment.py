"""Opening environments: what each durability asks of LMDB, and errors in our own words."""

import errno
from pathlib import Path

import lmdb
import pytest

from durable import AliveFile, Durability, Environment, is_alive, translated, write_file_durably
from runtime.errors import BlobDamaged, Busy, EdgeError, StoreFull, UsageError


@pytest.mark.parametrize(
    ("durability", "lazy_meta", "sync", "metasync"),
    [
        (Durability.FULL, False, True, True),
        (Durability.FULL, True, True, True),
        (Durability.LAZY, False, True, True),
        (Durability.LAZY, True, True, False),
        (Durability.NONE, False, False, False),
    ],
)
def test_each_durability_asks_lmdb_for_what_it_promises(
    tmp_path: Path, durability: Durability, lazy_meta: bool, sync: bool, metasync: bool
) -> None:
    environment = Environment.open(
        tmp_path / "e", map_bytes=1 << 20, durability=durability, lazy_meta=lazy_meta, max_readers=16
    )
    flags = environment._env.flags()
    assert (flags["sync"], flags["metasync"]) == (sync, metasync)
    assert not flags["writemap"]
    environment.close()
    environment.close()


def test_the_lock_file_has_its_blocks_before_it_is_mapped(tmp_path: Path) -> None:
    environment = Environment.open(tmp_path / "e", map_bytes=1 << 20, max_readers=1024)
    stat = (tmp_path / "e" / "lock.mdb").stat()
    assert stat.st_blocks * 512 >= stat.st_size
    environment.close()


def test_an_error_inside_a_read_is_translated_and_the_snapshot_ends(tmp_path: Path) -> None:
    environment = Environment.open(tmp_path / "e", map_bytes=1 << 20, max_readers=16)
    for _ in range(50):
        with pytest.raises(EdgeError), environment.reading() as txn:
            txn.get(b"")
    assert environment.use().readers <= 3  # fifty reads took place
    environment.close()


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "data.mdb").write_bytes(b"nonsense" * 2000)
    with pytest.raises(BlobDamaged):
        Environment.open(tmp_path / "e", map_bytes=1 << 20, max_readers=16)


def test_use_tells_used_and_free_bytes(tmp_path: Path) -> None:
    environment = Environment.open(tmp_path / "e", map_bytes=1 << 24, max_readers=16)
    with environment.begin_write() as txn:
        txn.put(b"k", bytes(1 << 20))
    full = environment.use()
    with environment.begin_write() as txn:
        txn.delete(b"k")
    empty = environment.use()
    assert full.map_bytes == 1 << 24
    assert full.used_bytes > 1 << 20 > full.free_bytes
    assert empty.free_bytes > 1 << 20
    environment.close()


def coded(code: int) -> Exception:
    """An LMDB error that carries a system error number, as the library makes them."""
    error = lmdb.Error("x")
    error.code = code  # type: ignore[misc]
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (lmdb.MapFullError("x"), StoreFull),
        (lmdb.MapResizedError("x"), StoreFull),
        (lmdb.DiskError("x"), StoreFull),
        (coded(errno.ENOSPC), StoreFull),
        (coded(errno.EPERM), UsageError),
        (OSError(errno.EDQUOT, "x"), StoreFull),
        (OSError(errno.ENOMEM, "x"), StoreFull),
        (lmdb.ReadersFullError("x"), Busy),
        (lmdb.CorruptedError("x"), BlobDamaged),
        (lmdb.PanicError("x"), BlobDamaged),
        (OSError(errno.EIO, "x"), BlobDamaged),
        (PermissionError(errno.EACCES, "x"), UsageError),
        (OSError(errno.EROFS, "x"), UsageError),
        (FileNotFoundError(errno.ENOENT, "x"), UsageError),
        (FileExistsError(errno.EEXIST, "x"), UsageError),
        (ValueError("x"), EdgeError),
    ],
)
def test_foreign_errors_have_one_name_each(error: Exception, kind: type[EdgeError], tmp_path: Path) -> None:
    named = translated(error, str(tmp_path))
    assert type(named) is kind
    assert named.where
    assert translated(named, "elsewhere") is named


def test_a_file_is_written_whole_once_and_by_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert write_file_durably(path, b"first")
    assert not write_file_durably(path, b"second")
    assert path.read_bytes() == b"first"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_an_alive_file_says_alive_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "alive-1"
    assert not is_alive(path)
    alive = AliveFile(path)
    assert is_alive(path)
    assert is_alive(path)
    alive.close()
    assert not is_alive(path)
    assert [each.name for each in path.parent.iterdir()] == ["alive-1"]
