"""Byte ranges as clients write them: the `Range` field and the `entity-bytes` parameter.

Pure arithmetic over a known size. Ranges come out as half-open `(start, stop)` pairs, the only
form used inside. Sources: RFC 9110 §14.1.2 and §14.2; trustless gateway specification
(`entity-bytes`).
"""

import re
from dataclasses import dataclass
from typing import Final

from runtime.errors import BadRequest

Span = tuple[int, int]

# A set above this is answered whole (RFC 9110 §14.2 allows it; each part costs about 100 bytes of
# header, so many small parts are an amplification attack). Video players ask for at most a few.
MAX_RANGES: Final = 64
MAX_DIGITS: Final = 20  # 2^64 has 20; longer numbers are attacks on the integer parser

_RANGE_SPEC: Final = re.compile(r"(?:(\d{1,20})-(\d{0,20})|-(\d{1,20}))", re.ASCII)
_ENTITY_BYTES: Final = re.compile(r"(-?\d{1,20}):(-?\d{1,20}|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """A well-formed range set no part of which lies inside the representation: 416."""


def parse_range(field: str, size_bytes: int) -> list[Span] | Unsatisfiable | None:
    """The spans a `Range` field selects of a representation of `size_bytes`.

    None means answer as if the field were absent: another unit, malformed, too many parts, parts
    that together are larger than the whole (nginx's rule against amplification), or an empty
    representation, of which no part can be shown. Spans keep the client's order.
    """
    unit, equals, specs_text = field.partition("=")
    if not equals or unit.strip().lower() != "bytes" or size_bytes == 0:
        return None
    specs = [spec.strip(" \t") for spec in specs_text.split(",")]
    specs = [spec for spec in specs if spec]  # RFC 9110 §5.6.1: empty list elements are skipped
    if not specs or len(specs) > MAX_RANGES:
        return None
    spans: list[Span] = []
    for spec in specs:
        match = _RANGE_SPEC.fullmatch(spec)
        if match is None:
            return None
        first, last, suffix = match.groups()
        if suffix is not None:
            start, stop = max(0, size_bytes - int(suffix)), size_bytes
        else:
            start = int(first)
            if last and int(last) < start:
                return None  # RFC 9110 §14.1.1: such a set is invalid, not unsatisfiable
            stop = min(size_bytes, int(last) + 1) if last else size_bytes
        if start < stop:
            spans.append((start, stop))
    if not spans:
        return Unsatisfiable()
    if len(spans) > 1 and sum(stop - start for start, stop in spans) > size_bytes:
        return None
    return spans


def parse_entity_bytes(text: str, size_bytes: int) -> Span:
    """The span of `entity-bytes=FROM:TO` (TO inclusive, `*` = to the end, negative = from the end).

    The start may lie past the end: a proof then shows where the content ends. The stop is cut to
    the size. Raises BadRequest for anything else than the two forms.
    """
    match = _ENTITY_BYTES.fullmatch(text)
    if match is None:
        raise BadRequest(
            "entity-bytes is not FROM:TO",
            where=text[:64],
            hint="whole numbers, TO inclusive or *; negative counts from the end, e.g. 0:1023 or -100:*",
        )
    first, last = match.groups()
    start = int(first)
    if start < 0:
        start = max(0, size_bytes + start)
    stop = size_bytes if last == "*" else int(last) + 1 + (size_bytes if int(last) < 0 else 0)
    if stop <= start and start < size_bytes:
        raise BadRequest("entity-bytes ends before it starts", where=text[:64])
    return start, max(start, min(stop, size_bytes))


def parse_entity_ranges(text: str, size_bytes: int) -> list[Span]:
    """The spans of a comma-separated list of `FROM:TO`, at most MAX_RANGES. Raises BadRequest."""
    parts = text.split(",")
    if len(parts) > MAX_RANGES:
        raise BadRequest(f"more than {MAX_RANGES} ranges in entity-bytes", where=text[:64])
    return [parse_entity_bytes(part, size_bytes) for part in parts]
