"""Seeds from real content: blocks and records of public gateway fixtures, where those are at hand.

A target must hold without them as well; they are where mutation starts, so that it begins in places that
real encoders reach.
"""

from functools import cache

from content.block import Block
from content.car import CarReader
from tests.shared_data import shared_files

_SEED_BYTES_MAX = 4096
_SEEDS_MAX = 48  # of a kind: `make test` runs each seed of each target


@cache
def cars() -> tuple[bytes, ...]:
    """CAR files, the smallest first."""
    return _smallest([path.read_bytes() for path in shared_files("gateway-fixtures", "*.car")])


@cache
def blocks(codec: int) -> tuple[Block, ...]:
    """Different blocks of one codec."""
    found: dict[bytes, Block] = {}
    for path in shared_files("gateway-fixtures", "*.car"):
        for block in CarReader().feed(path.read_bytes()):
            if block.cid.codec == codec and len(block.data) <= _SEED_BYTES_MAX:
                found.setdefault(block.cid.raw, block)
    return tuple(found.values())[:_SEEDS_MAX]


@cache
def records() -> tuple[tuple[str, bytes], ...]:
    """(name, IPNS record)."""
    return tuple(
        (path.name.removesuffix(".ipns-record").split("_")[0], path.read_bytes())
        for path in shared_files("gateway-fixtures", "*.ipns-record")
    )


def _smallest(found: list[bytes]) -> tuple[bytes, ...]:
    kept = sorted((each for each in found if len(each) <= 4 * _SEED_BYTES_MAX), key=len)
    return tuple(kept[:_SEEDS_MAX])
