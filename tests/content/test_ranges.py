"""Byte ranges: the tables of RFC 9110 §14.1.2, and laws that hold for every field."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content.ranges import MAX_RANGES, Unsatisfiable, parse_entity_bytes, parse_entity_ranges, parse_range
from runtime.errors import BadRequest


@pytest.mark.parametrize(
    ("field", "spans"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 500)]),
        ("bytes=9500-", [(9500, 10000)]),
        ("bytes=-500", [(9500, 10000)]),
        ("bytes=-20000", [(0, 10000)]),
        ("bytes=0-99999", [(0, 10000)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes= 1-2 ,, 4-5\t", [(1, 3), (4, 6)]),
        ("bytes=500-600,601-999", [(500, 601), (601, 1000)]),
        ("bytes=9999-,20000-", [(9999, 10000)]),
        ("bytes=5-6,1-2", [(5, 7), (1, 3)]),
    ],
)
def test_satisfiable_sets_keep_the_clients_order(field: str, spans: list[tuple[int, int]]) -> None:
    assert parse_range(field, 10_000) == spans


@pytest.mark.parametrize("field", ["bytes=10000-", "bytes=20000-30000", "bytes=-0", "bytes=-0,10000-"])
def test_sets_wholly_outside_are_unsatisfiable(field: str) -> None:
    assert parse_range(field, 10_000) == Unsatisfiable()


@pytest.mark.parametrize(
    "field",
    [
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=0-1,5-4",
        "bytes=1 -2",
        "bytes=1-2-3",
        "bytes=+1-2",
        "lines=1-2",
        "bytes=\u0661-2",
        "bytes=" + "1" * 21 + "-",
        "bytes=" + ",".join(f"{n}-{n}" for n in range(MAX_RANGES + 1)),
        "bytes=0-,0-",
    ],
)
def test_malformed_or_abusive_sets_are_answered_whole(field: str) -> None:
    assert parse_range(field, 10_000) is None


def test_an_empty_representation_is_answered_whole() -> None:
    assert parse_range("bytes=0-", 0) is None
    assert parse_range("bytes=-1", 0) is None


@given(st.text(alphabet="bytes=0123456789-, *", max_size=40), st.integers(0, 50))
def test_spans_always_lie_inside_and_are_never_empty(field: str, size: int) -> None:
    spans = parse_range("bytes=" + field, size)
    if isinstance(spans, list):
        assert spans
        assert all(0 <= start < stop <= size for start, stop in spans)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0:0", (0, 1)),
        ("0:*", (0, 100)),
        ("10:19", (10, 20)),
        ("-10:*", (90, 100)),
        ("-10:-1", (90, 100)),
        ("-10:-5", (90, 96)),
        ("0:1000", (0, 100)),
        ("-1000:4", (0, 5)),
        ("100:*", (100, 100)),
        ("500:600", (500, 500)),
    ],
)
def test_entity_bytes(text: str, span: tuple[int, int]) -> None:
    assert parse_entity_bytes(text, 100) == span


@pytest.mark.parametrize(
    "text", ["", ":", "1", "1:", "a:b", "*:1", "5:4", "1:2:3", "--1:2", " 1:2", "0:-101"]
)
def test_other_entity_bytes_are_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_entity_bytes(text, 100)


def test_a_list_of_entity_ranges_is_bounded() -> None:
    assert parse_entity_ranges("0:1,-2:*", 10) == [(0, 2), (8, 10)]
    with pytest.raises(BadRequest):
        parse_entity_ranges(",".join(["0:1"] * (MAX_RANGES + 1)), 10)
