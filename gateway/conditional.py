"""Conditional requests over one entity tag (RFC 9110 §13).

Content here is named by its hash, so a representation never changes and there is no
Last-Modified: the date conditions are ignored, as §13.1.3 and §13.1.4 have it for a resource
without a modification date, and an `If-Range` with a date never matches.
"""

import re
from enum import Enum
from typing import Final

from net.http1 import Request

# entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE; etagc = %x21 / %x23-7E / obs-text (RFC 9110 §8.8.3)
_ENTITY_TAG: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Verdict(Enum):
    """What the conditions of a request allow."""

    PERFORM = 200
    NOT_MODIFIED = 304
    PRECONDITION_FAILED = 412


def evaluate(etag: str, *, if_match: str | None, if_none_match: str | None, is_read: bool) -> Verdict:
    """The order of RFC 9110 §13.2.2: If-Match (strong), then If-None-Match (weak).

    `etag` is the current tag with its quotes, and its W/ if it is weak; `is_read` is true for GET and
    HEAD, whose failed If-None-Match is a 304 and not a 412.
    """
    if if_match is not None and not _matches(if_match, etag, weakly=False):
        return Verdict.PRECONDITION_FAILED
    if if_none_match is not None and _matches(if_none_match, etag, weakly=True):
        return Verdict.NOT_MODIFIED if is_read else Verdict.PRECONDITION_FAILED
    return Verdict.PERFORM


def evaluate_read(etag: str, request: Request) -> Verdict:
    """`evaluate` for the conditions of a GET or HEAD."""
    fields = request.fields
    return evaluate(
        etag, if_match=fields.get("if-match"), if_none_match=fields.get("if-none-match"), is_read=True
    )


def range_applies(etag: str, if_range: str | None) -> bool:
    """Whether a `Range` field counts: no If-Range, or one that is exactly the strong tag (§13.1.5)."""
    return if_range is None or if_range.strip() == etag


def _matches(field: str, etag: str, *, weakly: bool) -> bool:
    text = field.strip()
    is_weak, current = etag.startswith("W/"), etag.removeprefix("W/")
    if text == "*":
        return True
    position = 0
    while position < len(text):
        match = _ENTITY_TAG.match(text, position)
        if match is None:
            return False  # a malformed list matches nothing: the request is then done in full
        weak, opaque = match.groups()
        if opaque == current and (weakly or not (weak or is_weak)):
            return True
        position = match.end()
        while position < len(text) and text[position] in " \t,":
            position += 1
    return False
