"""Reading a list through pages of a Pinning Service API: nothing lost, nothing twice. Pure.

The API goes on with `before=` the created time of the oldest pin so far, which is exact only where created
times are unique. Many services print milliseconds, and pins that share one would be lost at the border of a
page. So the next page is asked for from one unit of the printed precision later, and what was seen of that
moment is left out: at a service with unique times that costs one pin a page.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from runtime.errors import Unreachable
from tools.pin.record import PinRecord

_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?([Zz]|[+-]\d\d:\d\d)")


class Pages:
    """Where a listing stands.

    `before`: what the next page is to be asked with. `over`: there is no next page. `crowd`: the created
    time that filled a whole page, so that `before` cannot tell what else was created then; else None.
    """

    def __init__(self, before: str | None) -> None:
        self.before = before
        self.over = False
        self.crowd: str | None = None
        self._digits = 0
        self._oldest: str | None = None
        self._seen: set[str] = set()  # request ids of the oldest moment

    def take(self, count: int, page: Sequence[PinRecord]) -> list[PinRecord]:
        """The pins of a page that are new; `count`: what matches, as the service says.

        Raises Unreachable when a time is none.
        """
        fresh = [record for record in page if record["requestid"] not in self._seen]
        self.crowd = None
        if count <= len(page) or not page:
            self.over = True
            return fresh
        forms = {(len(record["created"]), record["created"][-1:]): record["created"] for record in page}
        self._digits = max(self._digits, *map(_digits, forms.values()))
        oldest = page[-1]["created"]
        if oldest != self._oldest:
            self._oldest, self._seen = oldest, set()
        self._seen.update(record["requestid"] for record in page if record["created"] == oldest)
        self.before = shifted(oldest, self._digits, 1)
        if not fresh:
            self.crowd, self.before = oldest, oldest
        return fresh

    def around_crowd(self) -> tuple[str, str]:
        """`after` and `before` that hold the moment of the crowd between them."""
        assert self.crowd is not None, "asked of a crowd only"
        return shifted(self.crowd, self._digits, -1), shifted(self.crowd, self._digits, 1)

    def take_crowd(self, records: Sequence[PinRecord]) -> list[PinRecord]:
        """The pins of the crowd that are new."""
        fresh = {record["requestid"]: record for record in records if record["created"] == self.crowd}
        new = [record for name, record in fresh.items() if name not in self._seen]
        self._seen.update(fresh)
        return new


def shifted(created: str, digits: int, units: int) -> str:
    """`created` moved by `units` of its last of `digits` decimals. Raises Unreachable: not RFC 3339."""
    found = _RFC3339.fullmatch(created)
    if found is None:
        raise _no_time(created)
    scale = 10**digits
    fraction = int((found[2] or "").ljust(digits, "0")[:digits] or "0") + units
    carry, fraction = divmod(fraction, scale)
    whole = found[1]
    if carry:
        try:
            moment = datetime.fromisoformat(whole.upper().replace(" ", "T")).replace(tzinfo=UTC)
            whole = (moment + timedelta(seconds=carry)).strftime("%Y-%m-%dT%H:%M:%S")
        except (ValueError, OverflowError):
            raise _no_time(created) from None
    return f"{whole}{f'.{fraction:0{digits}}' if digits else ''}{found[3]}"


def _digits(created: str) -> int:
    found = _RFC3339.fullmatch(created)
    if found is None:
        raise _no_time(created)
    return len(found[2] or "")


def _no_time(created: str) -> Unreachable:
    return Unreachable(f"the service sent a created time that is none: {created[:60]!r}")
