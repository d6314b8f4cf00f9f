"""Rows of origins: what is written is read back, nothing else is believed, and who makes room is fair."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockstore.origin import PER_NAME_MAX, Origin, OriginKind
from blockstore.origin_rows import check, is_name, loser, merged, name_of, row, row_key, row_value, worth
from runtime.errors import BadRequest, BlobDamaged

NAME = b"\x12\x20" + bytes(range(32))
TIMES = st.integers(0, 2**41).map(lambda ms: ms / 1000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ORIGINS = st.builds(
    Origin,
    st.sampled_from(OriginKind),
    TEXTS,
    TEXTS,
    TIMES,
    st.none() | st.integers(0, 2**62),
    TIMES,
    TIMES,
    TIMES,
    TEXTS.filter(lambda text: len(text.encode()) <= 64),
    TEXTS,
    st.booleans(),
)


@given(ORIGINS)
def test_an_origin_comes_back_as_it_went(origin: Origin) -> None:
    key = row_key(NAME, origin)
    assert name_of(key) == NAME
    assert row(key, row_value(key, origin)) == origin


def test_the_row_is_frozen() -> None:
    origin = Origin(OriginKind.HTTP, "https://h/", "ann", 1.5, 7, 2.0, 3.0, 4.0, "p", "s/t", True)
    key = row_key(NAME, origin)
    assert key.hex() == NAME.hex() + "8b54e594aa46b07123165bc53ee26b13"
    assert row_value(key, origin)[:-8].hex() == (
        "01010303" + "0a00" + "0100" + "0300" + "0700000000000000" + "dc05000000000000" + "d007000000000000"
        "b80b000000000000" + "a00f000000000000" + b"annhttps://h/ps/t".hex()
    )


def test_a_row_with_a_flipped_bit_or_under_another_key_is_damage() -> None:
    origin = Origin(OriginKind.LOCAL, "/a", size_bytes=3)
    key = row_key(NAME, origin)
    value = row_value(key, origin)
    for bit in range(len(value) * 8):
        broken = bytearray(value)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BlobDamaged):
            row(key, bytes(broken))
    for other in (value[:-1], value + b"\0", b""):
        with pytest.raises(BlobDamaged):
            row(key, other)
    with pytest.raises(BlobDamaged):
        row(key[:-1] + b"\0", value)


def test_a_file_name_that_is_no_text_is_kept() -> None:
    origin = Origin(OriginKind.LOCAL, "/srv/\udcff\udcfe", sub_path="\udc80")
    key = row_key(NAME, origin)
    assert row(key, row_value(key, origin)) == origin


def test_texts_that_do_not_fit_are_refused() -> None:
    made: list[tuple[int, Callable[[str], Origin]]] = [
        (2048, lambda text: Origin(OriginKind.HTTP, text)),
        (255, lambda text: Origin(OriginKind.HTTP, "a", text)),
        (64, lambda text: Origin(OriginKind.HTTP, "a", profile=text)),
        (2048, lambda text: Origin(OriginKind.HTTP, "a", sub_path=text)),
    ]
    for most, origin in made:
        check(origin("x" * most))
        with pytest.raises(BadRequest, match=str(most)):
            check(origin("x" * (most + 1)))


def test_the_same_place_named_by_another_or_as_another_kind_is_another_row() -> None:
    origin = Origin(OriginKind.HTTP, "https://h")
    others = [
        replace(origin, account="ann"),
        replace(origin, kind=OriginKind.GATEWAY),
        replace(origin, address="https://i"),
    ]
    assert len({row_key(NAME, each) for each in (origin, *others)}) == 4
    assert row_key(NAME, replace(origin, added_s=9.0, profile="p", size_bytes=1)) == row_key(NAME, origin)


@given(ORIGINS, ORIGINS)
def test_merging_only_widens(old: Origin, new: Origin) -> None:
    both = merged(old, new)
    for name in ("added_s", "first_success_s"):
        times = [each for each in (getattr(old, name), getattr(new, name)) if each]
        assert getattr(both, name) == min(times, default=0.0)
    assert both.last_success_s == max(old.last_success_s, new.last_success_s)
    assert both.last_failure_s == max(old.last_failure_s, new.last_failure_s)
    assert (both.profile == "") == (old.profile == new.profile == "")
    assert merged(both, new) == both


def test_a_name_is_a_multihash_that_does_not_carry_its_content() -> None:
    assert is_name(NAME)
    for wrong in (b"", NAME[:-1], NAME + b"\0", b"\x00\x03abc", bytes(32)):
        assert not is_name(wrong)


def test_what_is_worth_more_is_what_can_be_fetched_and_worked_and_did_not_fail_since() -> None:
    ordered = [
        Origin(OriginKind.UPLOAD, "u", added_s=9, first_success_s=9, last_success_s=9),
        Origin(OriginKind.HTTP, "cut", added_s=9, last_success_s=9, is_cut=True),
        Origin(OriginKind.HTTP, "failed", added_s=9, last_failure_s=9),
        Origin(OriginKind.HTTP, "old", added_s=1),
        Origin(OriginKind.HTTP, "new", added_s=2),
        Origin(OriginKind.HTTP, "worked", last_success_s=1, last_failure_s=2),
        Origin(OriginKind.HTTP, "works", last_success_s=1, last_failure_s=0.5),
        Origin(OriginKind.HTTP, "works now", last_success_s=2),
    ]
    # what is cut or was uploaded cannot be fetched; among those the newest stays
    assert sorted([*ordered[5:], *ordered[:5]], key=worth)[2:] == ordered[2:]


def test_nobody_makes_room_before_there_are_too_many() -> None:
    full = [Origin(OriginKind.HTTP, f"https://h{n}", added_s=n + 1) for n in range(PER_NAME_MAX)]
    assert loser(full) is None
    newer = Origin(OriginKind.HTTP, "https://new", added_s=PER_NAME_MAX + 1)
    assert loser([*full, newer]) is full[0]


def test_an_account_with_many_origins_pushes_out_its_own_and_not_anothers() -> None:
    mine = Origin(OriginKind.UPLOAD, "mine", "ann")
    full = [
        Origin(OriginKind.HTTP, f"https://h{n}", "bob", last_success_s=n + 1) for n in range(PER_NAME_MAX)
    ]
    assert loser([mine, *full]) is full[0]
