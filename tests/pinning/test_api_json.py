"""Pins as JSON, written by hand: the same as the library would write, and never more than a page."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blockstore.origin_address import shown
from pinning.api_json import PAGE_CHARS_MAX, delegates_json, page_json, pin_json
from pinning.pin import Page, Pin, Progress, Status, Wish
from tests.pinning.service import DELEGATE, V0, cid_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
WISHES = st.builds(
    Wish,
    cid=st.sampled_from([V0, cid_of("x")]),
    name=st.none() | TEXT,
    origins=st.lists(TEXT, max_size=3).map(tuple),
    meta=st.dictionaries(TEXT, TEXT, max_size=3),
    expires_s=st.none() | st.floats(1.8e9, 4e9),
)
PINS = st.builds(
    Pin,
    request_id=TEXT,
    account=TEXT,
    created_ns=st.integers(0, (1 << 63) - 1),
    status=st.sampled_from(Status),
    wish=WISHES,
    details=TEXT,
    dag_bytes=st.none() | st.integers(0, 1 << 60),
    raw_bytes=st.none() | st.integers(0, 1 << 60),
    progress=st.builds(Progress, st.integers(0, 9), st.integers(0, 99), st.integers(0, 9)),
)


def expected_pin(wish: Wish) -> dict[str, Any]:
    pin: dict[str, Any] = {"cid": str(wish.cid)}
    if wish.name is not None:
        pin["name"] = wish.name
    if shown(wish.origins):
        pin["origins"] = list(shown(wish.origins))
    if wish.meta:
        pin["meta"] = wish.meta
    return pin


@given(PINS)
def test_a_pin_is_the_object_of_the_specification(pin: Pin) -> None:
    told = json.loads(pin_json(pin, delegates_json((DELEGATE, '/"'))))
    info = told.pop("info", {})
    assert all(isinstance(value, str) for value in info.values())
    created = told.pop("created")
    assert len(created) == len("2023-11-14T22:13:20.123456789Z")
    assert told == {
        "requestid": pin.request_id,
        "status": pin.status.value,
        "pin": expected_pin(pin.wish),
        "delegates": [DELEGATE, '/"'],
    }
    if pin.details:
        assert info["status_details"].endswith(pin.details)
    assert info.get("dag_size") == (None if pin.dag_bytes is None else str(pin.dag_bytes))
    assert info.get("raw_size") == (None if pin.raw_bytes is None else str(pin.raw_bytes))
    assert ("pinned_until" in info) is (pin.wish.expires_s is not None)
    assert ("progress" in info) is (pin.status is not Status.PINNED and pin.progress != Progress())


def test_progress_and_what_is_waited_for_are_told() -> None:
    pin = Pin("id", "ada", 5, Status.PINNING, Wish(V0), progress=Progress(3, 700, 9))
    assert json.loads(pin_json(pin, "[]"))["info"] == {
        "progress": "3 of at least 12 blocks, 700 bytes",
        "progress_blocks": "3",
        "progress_bytes": "700",
        "progress_wanted": "9",
    }
    queued = Pin("id", "ada", 5, Status.QUEUED, Wish(V0, expires_s=1_800_000_000.9))
    assert json.loads(pin_json(queued, "[]"))["info"] == {
        "status_details": "waits for its turn",
        "pinned_until": "2027-01-15T08:00:00Z",
    }


@given(st.lists(PINS, max_size=4), st.integers(0, 1 << 40))
def test_a_page_holds_its_pins_in_order(pins: list[Pin], more: int) -> None:
    page = Page(len(pins) + more, tuple(pins))
    told = json.loads(page_json(page, "[]"))
    assert told["count"] == page.count
    assert told["results"] == [json.loads(pin_json(pin, "[]")) for pin in pins]


def test_a_page_of_huge_pins_ends_early_and_says_that_there_are_more() -> None:
    meta = {str(index): "é" * 10 for index in range(1000)}
    pins = tuple(Pin(str(index), "ada", index, Status.QUEUED, Wish(V0, meta=meta)) for index in range(1000))
    told = page_json(Page(1000, pins), delegates_json((DELEGATE,)))
    assert len(told) < PAGE_CHARS_MAX + 100
    parsed = json.loads(told)
    assert 1 <= len(parsed["results"]) < parsed["count"] == 1000
    assert [pin["requestid"] for pin in parsed["results"]] == [str(i) for i in range(len(parsed["results"]))]


def test_a_pin_that_is_tried_again_says_so_before_what_came_of_the_last_try() -> None:
    pin = Pin("id", "ada", 5, Status.PINNING, Wish(V0), details="it answered 503; try 2 of 8", attempts=2)
    told = json.loads(pin_json(pin, "[]"))["info"]["status_details"]
    assert told == "try 3 is under way; the one before: it answered 503; try 2 of 8"
