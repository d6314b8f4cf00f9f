"""Values of the IPLD data model out of draws, for the targets of dag-cbor, dag-json and paths."""

import struct

from content.block import Block
from content.cid import RAW, Cid
from content.dag_value import INT_MAX, INT_MIN, Value
from tests.fuzz.draws import Draws

_LINKS = tuple(Block.sealed(RAW, bytes([number])).cid for number in range(4))
_WIDTHS = (1, 2, 4, 8)


def value(draws: Draws, depth: int = 0, links: tuple[Cid, ...] = _LINKS) -> Value:
    """Any value, `depth` levels below the root; flat where the draws are over."""
    kind = draws.below(11)
    if kind >= 7 and (depth > 12 or draws.is_empty):
        kind -= 7
    if kind == 0:
        return (None, False, True)[draws.below(3)]
    if kind in (1, 2):
        number = int.from_bytes(draws.chunk(_WIDTHS[draws.below(4)]), "big")
        return number if kind == 1 else -1 - number
    if kind == 3:
        return float_of(draws.chunk(8))
    if kind == 4:
        return draws.chunk(40)
    if kind == 5:
        return text(draws)
    if kind == 6:
        return links[draws.below(len(links))]
    if kind in (7, 8):
        return [value(draws, depth + 1, links) for _ in range(draws.below(5))]
    return {text(draws): value(draws, depth + 1, links) for _ in range(draws.below(5))}


def text(draws: Draws) -> str:
    """A text without halves of surrogate pairs."""
    return draws.chunk(30).decode("utf-8", "replace")


def float_of(raw: bytes) -> float:
    """A finite float from its bytes."""
    (number,) = struct.unpack(">d", raw.ljust(8, b"\0"))
    return float(number) if number - number == 0 else 0.5


def same(one: Value, other: Value) -> bool:
    """Equality that tells 1, 1.0 and True apart, and 0.0 from -0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(each, other[key]) for key, each in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return one == other


def depth_of(value_: Value) -> int:
    """Levels of lists and maps."""
    deepest, waiting = 0, [(value_, 0)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(current, list):
            waiting += [(each, depth + 1) for each in current]
        elif isinstance(current, dict):
            waiting += [(each, depth + 1) for each in current.values()]
    return deepest


_NESTED: list[Value] = [
    [],
    {},
    [[]],
    {"": {}},
    {"b": 1, "aa": 2, "é": 3},
    {"l": list(_LINKS)},
    [True, None],
]
EDGES: list[Value] = [
    *(0, 23, 24, 255, 256, 65_535, 65_536, 2**32, 2**53, INT_MAX, INT_MIN, -1, -24, -25),
    *(0.0, -0.0, 1.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, 0.1),
    *("", "/", "\0", "é", "e\u0301", "\U0001f680", "a" * 24, '\\"', b"", b"\xff" * 24, _LINKS[0]),
    *_NESTED,
]
