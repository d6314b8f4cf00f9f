"""The format file: the first bytes of a store, and what refuses to open."""

from dataclasses import replace
from pathlib import Path

import pytest

from blockstore import Store
from blockstore import format as store_format
from blockstore.format import Format
from runtime.errors import BlobDamaged, NewerFormat, UsageError
from tests.blockstore.conftest import KILL_SAFE, Opener

FORMAT = Format(1, 0, 0, bytes(range(16)), 1_700_000_000_000)


def test_the_bytes_are_frozen() -> None:
    packed = store_format.pack(FORMAT)
    assert len(packed) == 64
    assert packed[:56] == (
        b"FLEEKST1"
        + bytes.fromhex("01000000" + "00" * 20)
        + bytes(range(16))
        + bytes.fromhex("0068e5cf8b010000")
    )
    assert store_format.unpack(packed, "x") == FORMAT


def test_a_newer_version_or_an_unknown_feature_is_refused_with_exit_8(tmp_path: Path) -> None:
    for newer in (replace(FORMAT, version=2), replace(FORMAT, needed_features=1 << 40)):
        data = tmp_path / str(newer.version)
        data.mkdir()
        (data / "format").write_bytes(store_format.pack(newer))
        with pytest.raises(NewerFormat) as caught:
            Store.open(data, KILL_SAFE)
        assert caught.value.outcome.exit_code == 8
        assert not (data / "index").exists()


def test_a_newer_version_is_recognised_whatever_follows_it() -> None:
    with pytest.raises(NewerFormat):
        store_format.unpack(b"FLEEKST1\x02\0\0\0 another layout", "x")


def test_features_that_may_be_ignored_are(tmp_path: Path) -> None:
    (tmp_path / "format").write_bytes(store_format.pack(replace(FORMAT, other_features=1 << 63)))
    Store.open(tmp_path, KILL_SAFE).close()


def test_a_damaged_format_file_is_refused() -> None:
    packed = store_format.pack(FORMAT)
    for bit in range(len(packed) * 8):
        broken = bytearray(packed)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises((BlobDamaged, NewerFormat)):
            store_format.unpack(bytes(broken), "x")
    for length in range(64):
        with pytest.raises(BlobDamaged):
            store_format.unpack(packed[:length], "x")


def test_content_without_a_format_file_is_damage(open_store: Opener, tmp_path: Path) -> None:
    open_store().close()
    (tmp_path / "data" / "format").unlink()
    with pytest.raises(BlobDamaged, match="no format file"):
        open_store()


def test_no_store_and_no_leave_to_make_one_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store"):
        Store.open(tmp_path / "nothing", KILL_SAFE, create=False)
    assert not (tmp_path / "nothing").exists()


def test_a_data_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    for place in (tmp_path / "data", tmp_path / "data" / "below"):
        with pytest.raises(UsageError):
            Store.open(place, KILL_SAFE)


def test_a_second_open_in_one_process_is_a_usage_error(open_store: Opener) -> None:
    open_store()
    with pytest.raises(UsageError, match="open already"):
        open_store()
