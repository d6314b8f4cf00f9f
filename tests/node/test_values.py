"""What people write in settings, and what it means."""

from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.values import Address, address, convert, duration_s, size_bytes


class Mode(Enum):
    FAST = "fast"
    SAFE = "safe"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("10s", 10),
        ("500ms", 0.5),
        ("5m", 300),
        ("5min", 300),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1h30m", 5_400),
        ("1h 30m", 5_400),
        ("1.5h", 5_400),
        ("10S", 10),
    ],
)
def test_durations_are_read_in_the_unit_written(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "s", "10x", "10s!", "ten", "1h30", "--1", "1e3", "10 s x", "∞", "١s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 10s, 5m, 12h or 30d"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("1_000", 1000),
        ("64MiB", 64 << 20),
        ("64 MiB", 64 << 20),
        ("64mib", 64 << 20),
        ("64MB", 64_000_000),
        ("1.5KiB", 1536),
        ("10B", 10),
        ("1TiB", 1 << 40),
        ("9PiB", 9 << 50),
        ("9007199254740993B", 9007199254740993),
    ],
)
def test_sizes_are_read_exactly_in_the_unit_written(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "64Mi", "1.5", "64 MiB x", "0x10", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as"):
        size_bytes(text)


def test_a_unit_that_could_mean_two_things_is_refused_with_both() -> None:
    with pytest.raises(ValueError, match="MiB counts in 1024s, MB in 1000s"):
        size_bytes("64M")


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        size_bytes("1.0001KiB")


@settings(deadline=None)  # other tests share the machine
@given(st.integers(0, 2**63), st.sampled_from(["B", "KiB", "GiB", "PB"]))
def test_a_size_with_a_unit_is_the_number_times_the_unit(number: int, unit: str) -> None:
    assert size_bytes(f"{number}{unit}") == number * size_bytes(f"1{unit}")


@settings(deadline=None)  # other tests share the machine
@given(st.text(max_size=40))
def test_readers_of_text_answer_or_raise_value_error_only(text: str) -> None:
    for read in (duration_s, size_bytes, address):
        try:
            read(text)
        except ValueError:
            pass


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:443", Address("::1", 443)),
        ("unix:/run/edge.sock", Address(path="/run/edge.sock")),
    ],
)
def test_addresses_are_read_and_written_back_the_same(text: str, place: Address) -> None:
    assert address(text) == place
    assert str(place) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        "host",
        "host:",
        ":8080",
        "host:-1",
        "host:65536",
        "host:80a",
        "host:٨",
        "::1:80",
        "unix:",
        "unix:rel",
        "unix:/" + "x" * 107,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must "):
        address(text)


def test_a_bare_ipv6_address_is_refused_with_the_brackets_it_needs() -> None:
    with pytest.raises(ValueError, match=r"\[fe80::1\]:80"):
        address("fe80::1:80")


@pytest.mark.parametrize(
    ("value", "kind", "key", "wanted"),
    [
        ("5m", float, "wait_s", 300.0),
        (5, float, "wait_s", 5.0),
        ("1KiB", int, "body_bytes", 1024),
        (7, int, "count", 7),
        (7.0, int, "count", 7),
        ("7", int, "count", 7),
        ("yes", bool, "on", True),
        (False, bool, "on", False),
        ("OFF", bool, "on", False),
        ("/a", Path, "data", Path("/a")),
        ("", int | None, "cap", None),
        ("none", str | None, "cap", None),
        ("12", int | None, "cap", 12),
        ("safe", Mode, "mode", Mode.SAFE),
        (Mode.FAST, Mode, "mode", Mode.FAST),
        ("b", Literal["a", "b"], "pick", "b"),
        ("a, b", tuple[str, ...], "names", ("a", "b")),
        (["a"], tuple[str, ...], "names", ("a",)),
    ],
)
def test_values_take_the_type_of_their_setting(value: object, kind: Any, key: str, wanted: object) -> None:
    got = convert(value, kind, key, {})
    assert got == wanted
    assert type(got) is type(wanted)


@pytest.mark.parametrize(
    ("value", "kind", "key", "complaint"),
    [
        (True, int, "count", "must be a number, not True"),
        ("x", int, "count", "must be a number, not 'x'"),
        (1.5, int, "count", "must be a whole number, not 1.5"),
        (float("nan"), float, "wait_s", "must be finite"),
        (float("inf"), float, "wait_s", "must be finite"),
        (-1, float, "wait_s", "must be at least 0, not -1.0"),
        (-1, int, "body_bytes", "must be at least 0, not -1"),
        (2**63, int, "count", "must be at most"),
        (1, bool, "on", "must be true or false, not 1"),
        ("maybe", bool, "on", "must be true or false, not 'maybe'"),
        (5, str, "name", "must be a text"),
        ("", Path, "data", "must be a text that is not empty"),
        ("slow", Mode, "mode", "must be one of fast, safe, not 'slow'"),
        ("c", Literal["a", "b"], "pick", "must be one of a, b"),
        (5, tuple[str, ...], "names", "must be a list, not 5"),
    ],
)
def test_values_of_the_wrong_type_are_refused_with_what_is_wanted(
    value: object, kind: Any, key: str, complaint: str
) -> None:
    with pytest.raises(ValueError) as caught:
        convert(value, kind, key, {})
    assert complaint in str(caught.value)


def test_bounds_of_the_field_are_kept_on_both_sides() -> None:
    bounds = {"min": 1, "max": 127}
    assert convert(1, int, "workers", bounds) == 1
    assert convert(127, int, "workers", bounds) == 127
    for outside in (0, 128):
        with pytest.raises(ValueError, match="must be at"):
            convert(outside, int, "workers", bounds)


def test_a_message_stays_short_whatever_was_pasted() -> None:
    with pytest.raises(ValueError) as caught:
        convert("x" * 10_000, int, "count", {})
    assert len(str(caught.value)) < 120
