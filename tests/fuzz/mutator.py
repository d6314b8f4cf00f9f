"""Mutation without guidance: the same seed makes the same inputs, on any machine.

Used where coverage guidance is not installed, and for the short run inside `make test`. Inputs grow to
MAX_BYTES at most; the operators are those that break length-prefixed and line-based formats: flips, edge
values, cuts, repeats, splices of two inputs, and numbers replaced by their neighbours.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final

MAX_BYTES: Final = 1 << 17  # eight groups and their nodes; larger inputs only slow the search
_EDGES: Final = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b",",
    b"-",
    b";",
)
_WIDE: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x400, 0x4000, 0x40000, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def mutations(corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endless mutated inputs, after each of `corpus` itself once."""
    yield from corpus
    chance = random.Random(seed)
    pool = list(corpus) or [b""]
    while True:
        data = bytearray(chance.choice(pool))
        for _ in range(1 << chance.randrange(5)):
            _mutate(chance, data, pool)
        yield bytes(data[:MAX_BYTES])


def _mutate(chance: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(8)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[at : at + chance.randrange(2)] = chance.choice(_EDGES)
    elif kind == 2:
        del data[at : at + chance.randrange(1, 65)]
    elif kind == 3:
        data[at:at] = data[at : at + chance.randrange(1, 65)] * chance.randrange(1, 4)
    elif kind == 4:
        other = chance.choice(pool)
        start = chance.randrange(len(other) + 1)
        data[at:] = other[start:]
    elif kind == 5:
        width = chance.choice((1, 2, 4, 8))
        value = chance.choice(_WIDE) & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))
    elif kind == 6:
        data[at : at + 1] = chance.randbytes(chance.randrange(1, 17))
    else:
        del data[at:]
