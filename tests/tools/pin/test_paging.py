"""Lists of services that print less of a time than they keep: no pin is lost, none comes twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import Unreachable
from tests.tools.pin.fake_service import SECOND_NS, START_S, Conduct
from tools.pin.paging import Pages, shifted
from tools.pin.record import PinRecord, record_of

CID = "bafkqaaa"


def read_all(conduct: Conduct, before: str | None = None) -> list[str]:
    """The request ids of a whole listing, as `remote` reads it."""
    pages, found = Pages(before), []
    statuses = "queued,pinning,pinned,failed"
    for _ in range(10_000):
        query = {"limit": "1000", "status": statuses} | ({"before": pages.before} if pages.before else {})
        fresh = pages.take(*_parsed(conduct.page(query)))
        if pages.crowd is not None:
            after, until = pages.around_crowd()
            crowd = []
            for status in statuses.split(","):
                count, page = _parsed(
                    conduct.page({"limit": "1000", "status": status, "before": until, "after": after})
                )
                assert count <= len(page), "the test made a crowd that nothing tells apart"
                crowd += page
            fresh = pages.take_crowd(crowd)
        found += [record["requestid"] for record in fresh]
        if pages.over:
            return found
    raise AssertionError("the listing never ends")


def _parsed(page: dict[str, object]) -> tuple[int, list[PinRecord]]:
    results, count = page["results"], page["count"]
    assert isinstance(results, list)
    assert isinstance(count, int)
    return count, [record_of(each, "test") for each in results]


@given(
    gaps_us=st.lists(st.sampled_from([0, 1, 1, 400, 999, 1000, 100_000]), min_size=15, max_size=60),
    digits=st.sampled_from([3, 6, 9]),
    trims=st.booleans(),
    page_max=st.integers(3, 12),
    count_max=st.sampled_from([None, 1]),
)
def test_every_pin_comes_once_and_in_order(
    gaps_us: list[int], digits: int, trims: bool, page_max: int, count_max: int | None
) -> None:
    conduct = Conduct(digits=digits, trims=trims, page_max=page_max, count_max=count_max)
    at_ns, streak = START_S * SECOND_NS, 0
    for gap_us in gaps_us:
        # no more than a page at one printed moment: crowds have a test of their own
        before = conduct.printed(at_ns)
        at_ns += gap_us * 1000
        streak = streak + 1 if conduct.printed(at_ns) == before else 0
        if streak >= page_max - 1:
            at_ns, streak = at_ns + SECOND_NS, 0
        conduct.add({"cid": CID}, created_ns=at_ns)
    expected = sorted(conduct.pins, key=lambda name: conduct.pins[name][0], reverse=True)
    got = read_all(conduct)
    assert sorted(got) == sorted(expected)
    times = [conduct.printed(conduct.pins[name][0]) for name in got]
    moments = [shifted(time, 9, 0) for time in times]
    assert moments == sorted(moments, reverse=True)


def test_more_pins_at_one_moment_than_a_page_holds_are_told_apart_by_status() -> None:
    conduct = Conduct(digits=3, page_max=10)
    for index in range(40):
        status = ("queued", "pinning", "pinned", "failed")[index % 4]
        conduct.add({"cid": CID}, status, created_ns=START_S * SECOND_NS + (0 if index < 30 else 5_000_000))
    assert sorted(read_all(conduct)) == sorted(conduct.pins)


def test_unique_times_cost_one_pin_a_page_twice() -> None:
    conduct = Conduct(page_max=10)
    for _ in range(28):
        conduct.add({"cid": CID})
    pages, sizes = Pages(None), []
    while not pages.over:
        query = {"limit": "1000"} | ({"before": pages.before} if pages.before else {})
        sizes.append(len(pages.take(*_parsed(conduct.page(query)))))
    assert sizes == [10, 9, 9]


def test_a_service_without_pins_is_one_empty_page() -> None:
    assert read_all(Conduct()) == []


@pytest.mark.parametrize(
    ("created", "digits", "units", "result"),
    [
        ("2025-01-31T23:59:59.999Z", 3, 1, "2025-02-01T00:00:00.000Z"),
        ("2025-01-31T23:59:59Z", 0, 1, "2025-02-01T00:00:00Z"),
        ("2025-01-01T00:00:00.000Z", 3, -1, "2024-12-31T23:59:59.999Z"),
        ("2025-01-31T12:00:00.2Z", 9, 1, "2025-01-31T12:00:00.200000001Z"),
        ("2025-01-31T12:00:00.999999999+02:00", 9, 1, "2025-01-31T12:00:01.000000000+02:00"),
    ],
)
def test_a_time_moves_by_a_unit_of_what_is_printed(
    created: str, digits: int, units: int, result: str
) -> None:
    assert shifted(created, digits, units) == result


@pytest.mark.parametrize(
    "created", ["", "yesterday", "2025-01-31", "2025-99-31T23:59:59.9Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_that_is_none_is_refused(created: str) -> None:
    with pytest.raises(Unreachable, match="created time"):
        shifted(created, 1, 10)
