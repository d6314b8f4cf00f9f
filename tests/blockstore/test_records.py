"""Rows of the index: what is written is read back, and nothing else is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockstore import records
from blockstore.records import BlobRow, BlobState, RangeRow, RootKind, RootRow, Tally
from runtime.errors import BlobDamaged, UsageError

HASH = bytes(range(32))
U64 = st.integers(0, 2**64 - 1)


@given(U64, U64, U64, st.text(max_size=40), st.sampled_from(BlobState))
def test_a_blob_row_comes_back_as_it_went(
    storage_id: int, size: int, created: int, kind: str, state: BlobState
) -> None:
    row = BlobRow(storage_id, size, created, kind, state)
    assert records.blob_row(HASH, records.blob_value(HASH, row)) == row


@given(U64, U64, U64, st.text(max_size=200))
def test_a_root_row_comes_back_as_it_went(created: int, expires: int, size: int, name: str) -> None:
    key = records.root_key(HASH, RootKind.ACCOUNT, "somebody")
    row = RootRow(created, expires, size, name)
    assert records.root_row(key, records.root_value(key, row)) == row


def test_the_rows_are_frozen() -> None:
    row = BlobRow(65_536, 3, 1_700_000_000_000, "text/plain")
    assert records.blob_value(HASH, row)[:-8].hex() == (
        "0101" + "0a00" + "0000010000000000" + "0300000000000000" + "0068e5cf8b010000" + b"text/plain".hex()
    )
    assert records.root_key(HASH, RootKind.PIN, "x") == HASH + b"\x01x"
    assert (RootKind.PIN, RootKind.LEASE, RootKind.ACCOUNT) == (1, 2, 3)


def test_a_row_with_a_flipped_bit_or_under_another_key_is_damage() -> None:
    rows = {
        "blob": (records.blob_value(HASH, BlobRow(65_536, 3, 4, "a/b")), records.blob_row),
        "range": (records.range_value(HASH, RangeRow(9, bytes(16))), records.range_row),
        "tally": (records.tally_value(HASH, Tally(1, 2)), records.tally_row),
        "damage": (records.damage_value(HASH, 1, 2), records.damage_row),
    }
    for value, read in rows.values():
        for bit in range(len(value) * 8):
            broken = bytearray(value)
            broken[bit // 8] ^= 1 << bit % 8
            with pytest.raises(BlobDamaged):
                read(HASH, bytes(broken))
        for wrong in (value[:-1], value + b"\0", b""):
            with pytest.raises(BlobDamaged):
                read(HASH, wrong)
        with pytest.raises(BlobDamaged):
            read(bytes(32), value)


def test_names_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="255"):
        records.root_key(HASH, RootKind.PIN, "x" * 256)
    with pytest.raises(UsageError, match="1024"):
        records.root_value(HASH, RootRow(0, 0, 0, "x" * 1025))
    with pytest.raises(UsageError, match="255"):
        records.blob_value(HASH, BlobRow(1, 1, 1, "x" * 256))
