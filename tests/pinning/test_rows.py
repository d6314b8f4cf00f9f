"""Rows of pins: their bytes are frozen, damage is noticed, wishes are bounded."""

import pytest

from content.cid import RAW, Cid
from pinning import rows
from pinning.pin import Pin, Progress, Status, Wish
from pinning.rows import Place
from runtime.errors import BadRequest, BlobDamaged
from tests.pinning.book_contract import cid

KEY = Place(7, 300).key
PIN = Pin(
    rows.request_id(1_700_000_000_123_456_789, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
    "a",
    1_700_000_000_123_456_789,
    Status.FAILED,
    Wish(cid(1), "näme", ("/ip4/192.0.2.1",), {"k": "v", "": ""}, 2e9),
    "gone",
    5,
    None,
    Progress(),
    2,
    1.5,
)
FROZEN = (
    "0104020015cd853dfe9c971701020304050607080500000000000000ffffffffffffffff000000000000f83f"
    "0000000065cddd4124050004001d000000015512200000000000000000000000000000000000000000000000"
    "0000000000000000016ec3a46d65676f6e650102000e002f6970342f3139322e302e322e3101006b01007600"
    "000000"
)


def test_the_bytes_of_a_pin_are_frozen() -> None:
    value = rows.pin_value(KEY, PIN)
    assert KEY.hex() == "00000007" + "000000000000012c"
    assert value[:-8].hex() == FROZEN
    assert rows.pin_row("a", KEY, value) == PIN
    assert hash(rows.pin_row("a", KEY, value).wish.cid) == hash(PIN.wish.cid)


def test_read_values_are_the_frozen_ones() -> None:
    pin = rows.pin_row("a", KEY, rows.pin_value(KEY, PIN))
    assert type(pin) is Pin
    assert type(pin.wish) is Wish
    with pytest.raises(AttributeError):
        pin.status = Status.PINNED  # type: ignore[misc]


def test_every_flipped_byte_is_noticed() -> None:
    value = rows.pin_value(KEY, PIN)
    for at in range(len(value)):
        damaged = value[:at] + bytes((value[at] ^ 0x10,)) + value[at + 1 :]
        with pytest.raises(BlobDamaged):
            rows.pin_row("a", KEY, damaged)
    for end in range(len(value)):
        with pytest.raises(BlobDamaged):
            rows.pin_row("a", KEY, value[:end])
    with pytest.raises(BlobDamaged):
        rows.pin_row("a", Place(7, 301).key, value)


@pytest.mark.parametrize(
    "wish",
    [
        Wish(cid(1)),
        Wish(cid(1), ""),
        Wish(Cid.v0(cid(1).multihash), "\x00ÿ" * 100),
        Wish(cid(1), None, tuple(f"/dns4/{number}.example" for number in range(20))),
        Wish(cid(1), "x", (), {str(number): "v" * 20 for number in range(1000)}),
        Wish(Cid.v1(RAW, b"\x00\x7f" + bytes(127)), "identity"),
    ],
)
def test_wishes_come_back_as_they_were(wish: Wish) -> None:
    rows.checked_wish(wish)
    pin = Pin(rows.request_id(5, bytes(8)), "a", 5, Status.QUEUED, wish)
    assert rows.pin_row("a", KEY, rows.pin_value(KEY, pin)) == pin


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("name", Wish(cid(1), "x" * 256)),
        ("name", Wish(cid(1), "\ud800")),
        ("origins", Wish(cid(1), None, ("x",) * 21)),
        ("origins", Wish(cid(1), None, ("x" * 2049,))),
        ("meta", Wish(cid(1), meta={str(number): "" for number in range(1001)})),
        ("meta", Wish(cid(1), meta={"k": "v" * 32_768})),
        ("meta", Wish(cid(1), meta={"\udfff": ""})),
        ("expires_s", Wish(cid(1), expires_s=float("nan"))),
        ("expires_s", Wish(cid(1), expires_s=0.0)),
        ("expires_s", Wish(cid(1), expires_s=float("inf"))),
    ],
)
def test_what_a_wish_may_not_hold_is_named(field: str, wish: Wish) -> None:
    with pytest.raises(BadRequest) as refused:
        rows.checked_wish(wish)
    assert refused.value.where == field


@pytest.mark.parametrize("account", ["", "a" * 129, "\ud800"])
def test_accounts_that_cannot_be_kept_are_refused(account: str) -> None:
    with pytest.raises(BadRequest):
        rows.checked_account(account)


def test_a_cursor_is_bounded() -> None:
    rows.work_value(KEY, Progress(1, 2, 3), bytes(rows.CURSOR_BYTES_MAX))
    with pytest.raises(BadRequest):
        rows.work_value(KEY, Progress(1, 2, 3), bytes(rows.CURSOR_BYTES_MAX + 1))


def test_a_request_id_has_one_spelling() -> None:
    request_id = rows.request_id(0xABCDEF, b"\xff" * 8)
    assert rows.created_of(request_id) == (0xABCDEF).to_bytes(8, "big")
    for other in (
        request_id.upper(),
        f" {request_id}",
        request_id[:-1],
        f"{request_id}0",
        request_id[:30] + " f",
    ):
        assert rows.created_of(other) is None
