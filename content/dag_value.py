"""The data model that dag-cbor and dag-json share: values, their links, and the way into them.

Source: the IPLD data model. Called by both codecs, by path resolution and by the gateway's previews.
"""

from collections.abc import Iterator
from typing import Final

from content.cid import Cid

Value = None | bool | int | float | str | bytes | list["Value"] | dict[str, "Value"] | Cid

# Nobody writes deeper values but to exhaust readers; both codecs take two frames of Python's stack a level
MAX_DEPTH: Final = 256
INT_MIN: Final = -(1 << 64)
INT_MAX: Final = (1 << 64) - 1


def links(value: Value) -> Iterator[Cid]:
    """All links, in the order in which they are written."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Cid):
            yield current
        elif isinstance(current, list):
            waiting.extend(reversed(current))
        elif isinstance(current, dict):
            waiting.extend(reversed(list(current.values())))


def child(value: Value, segment: str) -> tuple[bool, Value]:
    """(whether there is one, the value under a key or index of `value`)."""
    if isinstance(value, dict):
        return segment in value, value.get(segment)
    if isinstance(value, list) and segment.isascii() and segment.isdigit() and len(segment) < 10:
        index = int(segment)
        return (True, value[index]) if index < len(value) else (False, None)
    return False, None


def cbor_order(key: str) -> tuple[int, bytes]:
    """The place of a map key: shorter encodings first, then by bytes (dag-cbor, RFC 7049 §3.9)."""
    raw = key.encode()
    return len(raw), raw
