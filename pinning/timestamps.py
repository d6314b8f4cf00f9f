"""Times as the Pinning Service API writes them: RFC 3339, to the nanosecond. Pure.

Clients page by time: the last `created` they saw comes back as `before`, so nothing may be rounded away.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from runtime.errors import BadRequest

MAX_NS: Final = (1 << 63) - 1  # April 2262; later and earlier times are taken for the nearest that fits
_DAY_S: Final = 86_400
_MINUTE_NS: Final = 60_000_000_000
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,32}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def written(ns: int) -> str:
    """Nanoseconds since the epoch as RFC 3339 in UTC, always with nine digits of a second; 0.5 us."""
    minute, left_ns = divmod(ns, _MINUTE_NS)
    digits = f"{left_ns:011d}"
    return f"{_minute(minute)}{digits[:2]}.{digits[2:]}Z"


def written_s(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the second: for what need not be exact."""
    return f"{written(int(seconds) * 1_000_000_000)[:19]}Z"


def read(text: str, where: str, *, up: bool = False) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time, 0 to MAX_NS. Raises BadRequest that names `where`.

    Digits beyond the ninth count: `up` rounds to the next nanosecond, else they are cut off.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise _refused(text, where)
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    try:  # a leap second is written :60 (RFC 3339 §5.6)
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC) - _EPOCH
    except ValueError:
        raise _refused(text, where) from None
    seconds = moment.days * _DAY_S + moment.seconds + (second == 60)
    offset_hours, offset_minutes = int(found[9] or 0), int(found[10] or 0)
    if second > 60 or offset_hours > 23 or offset_minutes > 59:
        raise _refused(text, where)
    offset_s = offset_hours * 3600 + offset_minutes * 60
    seconds += offset_s if found[8] == "-" else -offset_s
    digits = found[7] or ""
    ns = seconds * 1_000_000_000 + int(digits[:9].ljust(9, "0"))
    if up and digits[9:].strip("0"):
        ns += 1
    return min(max(ns, 0), MAX_NS)


def read_end(text: str, where: str, now_s: float) -> float:
    """Epoch seconds at which something is to end, which must be in the future. Raises BadRequest."""
    end_s = read(text, where) / 1e9
    if end_s <= now_s:
        raise BadRequest(f"{text[:40]} is not in the future", where=where)
    return end_s


@lru_cache(maxsize=4096)  # a page of a thousand pins has neighbours
def _minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")


def _refused(text: str, where: str) -> BadRequest:
    hint = "as in 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.123456789+02:00; in a URL, + is written %2B"
    return BadRequest(f"{text[:40]!r} is not an RFC 3339 time", where=where, hint=hint)
