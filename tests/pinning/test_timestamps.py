"""RFC 3339 to the nanosecond, there and back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinning import timestamps
from runtime.errors import BadRequest

NS = 1_000_000_000


@given(st.integers(0, timestamps.MAX_NS))
def test_what_is_written_is_read_again_to_the_nanosecond(ns: int) -> None:
    assert timestamps.read(timestamps.written(ns), "t") == ns


@given(st.integers(0, timestamps.MAX_NS // NS))
def test_what_is_written_is_what_the_library_says(seconds: int) -> None:
    expected = datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
    assert timestamps.written(seconds * NS + 5) == f"{expected}.000000005Z"
    assert timestamps.written_s(seconds + 0.5) == f"{expected}Z"


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_any_offset_names_the_same_moment(moment: datetime, offset_minutes: int) -> None:
    moment = moment.replace(tzinfo=UTC)
    sign, minutes = "-" if offset_minutes < 0 else "+", abs(offset_minutes)
    local = (moment + timedelta(minutes=offset_minutes)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    text = f"{local}{sign}{minutes // 60:02}:{minutes % 60:02}"
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert timestamps.read(text, "t") == expected


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", NS),
        ("1970-01-01t00:00:01.5z", NS + NS // 2),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:59Z", 59 * NS),
        ("1970-01-01T00:00:60Z", 60 * NS),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1960-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+23:59", 0),
        ("9999-12-31T23:59:59Z", timestamps.MAX_NS),
        ("2024-02-29T00:00:00Z", 1_709_164_800 * NS),
    ],
)
def test_forms(text: str, ns: int) -> None:
    assert timestamps.read(text, "t") == ns


def test_digits_beyond_a_nanosecond_are_not_lost_to_a_comparison() -> None:
    text = "1970-01-01T00:00:00.0000000019Z"
    assert (timestamps.read(text, "t"), timestamps.read(text, "t", up=True)) == (1, 2)
    assert timestamps.read("1970-01-01T00:00:00.0000000010Z", "t", up=True) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1700000000",
        "2023-02-29T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-01-01 00:00:00Z",
        "2023-01-01T00:00:00",
        "2023-01-01T24:00:00Z",
        "2023-01-01T00:60:00Z",
        "2023-01-01T00:00:61Z",
        "2023-01-01T00:00:00.Z",
        "2023-01-01T00:00:00+24:00",
        "2023-01-01T00:00:00+01:60",
        "2023-01-01T00:00:00+0100",
        "2023-01-01T00:00:00 01:00",
        "2023-01-01T00:00Z",
        "٢023-01-01T00:00:00Z",
        "2023-01-01T00:00:00Z\n",
        "0000-01-01T00:00:00Z",
    ],
)
def test_anything_else_is_refused_and_the_field_named(text: str) -> None:
    with pytest.raises(BadRequest) as refused:
        timestamps.read(text, "before")
    assert refused.value.where == "before"
