"""What every `PinBook` and `PinWork` does, whatever keeps its pins. Subclassed with a fixture `pins`."""

import dataclasses
from typing import Any, Protocol

import pytest

from content.cid import RAW, Cid
from content.multihash import SHA2_256
from pinning.pin import Filter, Match, Pin, Progress, Status, Wish
from pinning.ports import PinBook, PinWork
from runtime.errors import NotFound, QuotaExceeded

NOBODY = "0" * 32


class Both(PinBook, PinWork, Protocol):
    """What `pinning.pins.Pins` is."""


def cid(number: int, codec: int = RAW) -> Cid:
    return Cid.v1(codec, bytes((SHA2_256, 32)) + number.to_bytes(32, "big"))


def named(number: int, name: str | None = None, **more: Any) -> Wish:
    return Wish(cid(number), name, **more)


def names(pins: "tuple[Pin, ...] | list[Pin]") -> list[str | None]:
    return [pin.wish.name for pin in pins]


class BookContract:
    """The promises of `pinning.ports`."""

    def test_an_added_pin_is_queued_and_reads_back(self, pins: Both) -> None:
        wish = Wish(cid(1), "first", ("/ip4/203.0.113.7/tcp/4001",), {"app": "x"}, 2e9)
        added = pins.add("a", wish)
        assert (added.status, added.wish, added.account) == (Status.QUEUED, wish, "a")
        assert pins.get("a", added.request_id) == added

    def test_pins_are_listed_newest_first_and_created_strictly_increases(self, pins: Both) -> None:
        added = [pins.add("a", named(number)) for number in range(20)]
        created = [pin.created_ns for pin in added]
        assert created == sorted(set(created))
        page = pins.page("a", Filter(), 7)
        assert page.count == 20
        assert list(page.pins) == added[::-1][:7]
        assert list(pins.stream("a", Filter())) == added[::-1]

    def test_paging_by_before_visits_every_pin_once(self, pins: Both) -> None:
        added = [pins.add("a", named(number)) for number in range(23)]
        seen: list[Pin] = []
        before_ns = None
        while True:
            page = pins.page("a", Filter(before_ns=before_ns), 5)
            assert page.count == 23 - len(seen)
            if not page.pins:
                break
            seen += page.pins
            before_ns = page.pins[-1].created_ns
        assert seen == added[::-1]

    def test_accounts_see_only_their_own(self, pins: Both) -> None:
        mine, other = pins.add("a", named(1)), pins.add("b", named(1))
        assert [pin.request_id for pin in pins.page("a", Filter(), 10).pins] == [mine.request_id]
        for call in (pins.get, pins.remove):
            with pytest.raises(NotFound):
                call("a", other.request_id)
        with pytest.raises(NotFound):
            pins.replace("a", other.request_id, named(2))
        assert pins.get("b", other.request_id) == other
        assert list(pins.stream(None, Filter())) == [other, mine]

    @pytest.mark.parametrize("request_id", [NOBODY, "", "x", "F" * 32, "\ud800", "é" * 32, "0" * 10_000])
    def test_an_unknown_request_id_is_not_found(self, pins: Both, request_id: str) -> None:
        pins.add("a", named(1))
        with pytest.raises(NotFound):
            pins.get("a", request_id)
        with pytest.raises(NotFound):
            pins.remove("a", request_id)
        assert pins.begin(request_id) is None
        assert not pins.failed(request_id, "")
        assert pins.cursor(request_id) == b""

    def test_an_empty_name_means_pins_without_one(self, pins: Both) -> None:
        for number, name in enumerate(["x", None, "", "y"] * 100):
            pins.add("a", named(number, name))
        gone = pins.add("a", named(1000))
        pins.remove("a", gone.request_id)
        first = pins.page("a", Filter(name="x"), 1000).pins[-1]
        pins.replace("a", first.request_id, named(1001))
        for match, expected in ((Match.EXACT, 201), (Match.IEXACT, 201), (Match.PARTIAL, 400)):
            page = pins.page("a", Filter(name="", match=match), 1000)
            assert (page.count, len(page.pins)) == (expected, expected)
            assert {pin.wish.name for pin in page.pins} <= {None, "", *("xy" if expected > 201 else "")}
        assert pins.page("a", Filter(name="", statuses=frozenset((Status.PINNED,))), 10).count == 0
        queued = Filter(name="", statuses=frozenset((Status.QUEUED,)), cids=(cid(1001),))
        assert pins.page("a", queued, 10).count == 1
        assert len(pins.page("a", Filter(name=""), 7).pins) == 7
        assert pins.page("a", Filter(name=""), 7).count == 201
        assert pins.page("nobody", Filter(name=""), 7).count == 0

    def test_names_match_as_asked(self, pins: Both) -> None:
        for number, name in enumerate(["Report.pdf", "report.pdf", "my report", None, "straße", "STRASSE"]):
            pins.add("a", named(number, name))

        def found(name: str, match: Match) -> list[str | None]:
            page = pins.page("a", Filter(name=name, match=match), 10)
            assert page.count >= len(page.pins)
            return names(page.pins)[::-1]

        assert found("report.pdf", Match.EXACT) == ["report.pdf"]
        assert found("REPORT.PDF", Match.IEXACT) == ["Report.pdf", "report.pdf"]
        assert found("eport", Match.PARTIAL) == ["Report.pdf", "report.pdf", "my report"]
        assert found("REPORT", Match.PARTIAL) == []
        assert found("rEPORT", Match.IPARTIAL) == ["Report.pdf", "report.pdf", "my report"]
        assert found("strasse", Match.IEXACT) == ["straße", "STRASSE"]

    def test_filters_hold_together(self, pins: Both) -> None:
        first = pins.add("a", named(1, "one", meta={"app": "x", "env": "live"}))
        second = pins.add("a", named(2, "two", meta={"app": "x"}))
        third = pins.add("a", named(1, "three"))
        pins.begin(second.request_id)

        def found(**conditions: Any) -> list[str | None]:
            return names(pins.page("a", Filter(**conditions), 10).pins)

        assert found(cids=(cid(1),)) == ["three", "one"]
        assert found(cids=(cid(1), cid(2)), statuses=frozenset((Status.PINNING,))) == ["two"]
        assert found(meta={"app": "x"}) == ["two", "one"]
        assert found(meta={"app": "x", "env": "live"}) == ["one"]
        assert found(after_ns=first.created_ns, before_ns=third.created_ns) == ["two"]
        assert found(cids=(cid(1),), after_ns=first.created_ns) == ["three"]
        assert found(statuses=frozenset((Status.QUEUED, Status.PINNED))) == ["three", "one"]

    def test_replace_gives_a_new_pin_and_takes_the_old_one(self, pins: Both) -> None:
        old = pins.add("a", named(1, "old"))
        new = pins.replace("a", old.request_id, named(2, "new"))
        assert new.request_id != old.request_id
        assert new.created_ns > old.created_ns
        with pytest.raises(NotFound):
            pins.get("a", old.request_id)
        assert names(pins.page("a", Filter(), 10).pins) == ["new"]

    def test_removed_pins_are_gone_from_every_list(self, pins: Both) -> None:
        pin = pins.add("a", named(1, "x", meta={"k": "v"}))
        pins.remove("a", pin.request_id)
        for wanted in (Filter(), Filter(name="x"), Filter(meta={"k": "v"}), Filter(cids=(cid(1),))):
            assert pins.page("a", wanted, 10).count == 0
        assert not any(pins.usage("a").pins.values())
        assert pins.due(0.0, 10) == []

    def test_changes_is_another_number_after_each_change(self, pins: Both) -> None:
        seen = [pins.changes()]
        pin = pins.add("a", named(1))
        seen.append(pins.changes())
        pin = pins.replace("a", pin.request_id, named(2))
        seen.append(pins.changes())
        pins.remove("a", pin.request_id)
        seen.append(pins.changes())
        assert len(set(seen)) == 4

    # The worker's side

    def test_accounts_take_turns(self, pins: Both) -> None:
        many = [pins.add("many", named(number)) for number in range(10)]
        single = pins.add("one", named(99))
        due = pins.due(2e9, 3)
        assert len(due) == 3
        assert single in due
        assert [pin for pin in due if pin.account == "many"] == many[:2], "oldest first"
        busy = [pin.request_id for pin in many[:4]]
        assert pins.due(2e9, 1, busy) == [single], "who has nothing in hand comes first"

    def test_what_is_in_hand_is_not_due_and_what_was_interrupted_is(self, pins: Both) -> None:
        first, second = pins.add("a", named(1)), pins.add("a", named(2))
        begun = pins.begin(first.request_id)
        assert begun is not None
        assert begun.status is Status.PINNING
        assert pins.due(2e9, 10, [first.request_id]) == [second]
        assert [pin.request_id for pin in pins.due(2e9, 10)] == [first.request_id, second.request_id]

    def test_a_pin_to_be_tried_again_waits_for_its_time(self, pins: Both) -> None:
        pin = pins.add("a", named(1))
        pins.begin(pin.request_id)
        assert pins.retry(pin.request_id, "nobody has it", 1000.5)
        waiting = pins.get("a", pin.request_id)
        assert (waiting.status, waiting.details, waiting.attempts) == (Status.QUEUED, "nobody has it", 1)
        assert waiting.next_try_s == 1000.5
        assert pins.due(1000.4, 10) == []
        assert pins.due(1000.5, 10) == [waiting]

    def test_pinned_pins_have_sizes_and_nothing_to_do(self, pins: Both) -> None:
        pin = pins.add("a", named(1))
        pins.begin(pin.request_id)
        assert pins.pinned(pin.request_id, 1000, 900)
        kept = pins.get("a", pin.request_id)
        assert (kept.status, kept.dag_bytes, kept.raw_bytes) == (Status.PINNED, 1000, 900)
        assert pins.due(2e9, 10) == []
        assert pins.usage("a").pins[Status.PINNED] == 1

    def test_a_failed_pin_says_why_and_is_not_due(self, pins: Both) -> None:
        pin = pins.add("a", named(1))
        assert pins.failed(pin.request_id, "no provider has it")
        failed = pins.get("a", pin.request_id)
        assert (failed.status, failed.details) == (Status.FAILED, "no provider has it")
        assert pins.due(2e9, 10) == []

    def test_what_was_removed_takes_no_more_work(self, pins: Both) -> None:
        pin = pins.add("a", named(1))
        pins.remove("a", pin.request_id)
        assert pins.begin(pin.request_id) is None
        assert not pins.progress(pin.request_id, Progress(1, 2, 3), b"cursor")
        assert not pins.pinned(pin.request_id, 1, 1)
        assert not pins.retry(pin.request_id, "", 1.0)
        assert not pins.failed(pin.request_id, "")

    def test_bytes_of_a_root_count_once_while_any_pin_has_it(self, pins: Both) -> None:
        first, second = pins.add("a", named(1)), pins.add("a", named(1))
        third = pins.add("a", named(2))
        for pin, size in ((first, 100), (second, 100), (third, 30)):
            pins.pinned(pin.request_id, size, size)
        assert pins.usage("a").bytes_ == 130
        pins.remove("a", first.request_id)
        assert pins.usage("a").bytes_ == 130
        pins.remove("a", second.request_id)
        assert pins.usage("a").bytes_ == 30

    def test_the_quota_refuses_at_its_bound_and_when_it_would_be_passed(self, pins: Both) -> None:
        first = pins.add("a", named(1), quota_bytes=100)
        second = pins.add("a", named(2), quota_bytes=100)
        assert pins.pinned(first.request_id, 60, 60, quota_bytes=100)
        with pytest.raises(QuotaExceeded):
            pins.pinned(second.request_id, 41, 41, quota_bytes=100)
        assert pins.get("a", second.request_id).status is Status.QUEUED
        assert pins.pinned(second.request_id, 40, 40, quota_bytes=100)
        with pytest.raises(QuotaExceeded):
            pins.add("a", named(3), quota_bytes=100)
        assert pins.page("a", Filter(), 10).count == 2
        pins.add("b", named(3), quota_bytes=100)
        replaced = pins.replace("a", second.request_id, named(4), quota_bytes=100)
        assert replaced.status is Status.QUEUED, "the old one's bytes make room"

    def test_expired_pins_go(self, pins: Both) -> None:
        pins.add("a", named(1, "soon", expires_s=1000.0))
        pins.add("a", named(2, "later", expires_s=2000.0))
        pins.add("a", named(3, "never"))
        assert pins.expire(999.0, 10) == 0
        assert pins.expire(1000.0, 10) == 1
        assert names(pins.page("a", Filter(), 10).pins) == ["never", "later"]
        assert pins.expire(3000.0, 10) == 1
        assert pins.expire(3000.0, 10) == 0

    def test_replacing_a_pinned_pin_with_the_same_content_keeps_it_pinned(self, pins: Both) -> None:
        old = pins.add("a", named(1, "old"))
        pins.pinned(old.request_id, 100, 90)
        new = pins.replace("a", old.request_id, dataclasses.replace(old.wish, name="new"))
        assert (new.status, new.dag_bytes, new.raw_bytes) == (Status.PINNED, 100, 90)
        assert pins.usage("a").bytes_ == 100
        other = pins.replace("a", new.request_id, named(2))
        assert other.status is Status.QUEUED
        assert pins.usage("a").bytes_ == 0
