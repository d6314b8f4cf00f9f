"""The bytes kept beside an upload: torn and foreign ones are never believed."""

import pytest

from pinning.arrival import Sender
from pinning.spool_record import (
    HEADER_BYTES,
    SLOT_BYTES,
    Position,
    Record,
    newest,
    pack_position,
    pack_record,
    read_record,
)
from runtime.errors import BlobDamaged


def header(*slots: bytes) -> bytes:
    return b"".join(slot.ljust(SLOT_BYTES, b"\0") for slot in slots).ljust(HEADER_BYTES, b"\0")


def test_the_newest_whole_slot_counts_whichever_it_is() -> None:
    old, new = Position(6, 100, 90), Position(7, 200, 150)
    assert newest(header(pack_position(old), pack_position(new))) == new
    assert newest(header(pack_position(new), pack_position(old))) == new


@pytest.mark.parametrize("at", range(len(pack_position(Position()))))
def test_a_torn_slot_leaves_the_one_before(at: int) -> None:
    old, torn = Position(6, 100, 90), bytearray(pack_position(Position(7, 200, 150)))
    torn[at] ^= 1
    assert newest(header(pack_position(old), bytes(torn))) == old


def test_no_slot_is_damage_and_not_a_beginning() -> None:
    for data in (b"", bytes(HEADER_BYTES), b"x" * HEADER_BYTES, header(pack_position(Position(1, 5, 6)))):
        with pytest.raises(BlobDamaged):
            newest(data)


def test_a_record_comes_back_as_it_was() -> None:
    record = Record("car", 7, 1.5, Sender("a", 9, "n", (("k", "v"),), 2.5), "p", "m", {"pins": []})
    assert read_record(pack_record(record), "here") == record


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"sender":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_record_is_damage(data: bytes) -> None:
    with pytest.raises(BlobDamaged, match="record"):
        read_record(data, "here")
