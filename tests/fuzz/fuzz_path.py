"""Fuzz target `path`: ways from a root over random blocks of every codec, and walks below it.

Invariants
 1. Only NotFound (BlockMissing among it), BadRequest and Unverified are raised.
 2. Blocks read are at most one a segment, and one a level of a sharded directory.
 3. Each CID along the way leads on with what is left of the path to the same end.
 4. A walk gives each CID once, starts with the root, and reads no more than it gives.
"""

from itertools import islice

from content.cid import Cid
from content.dag_walk import walk
from content.path import Resolved, resolve
from runtime.errors import BadRequest, NotFound, Unverified
from tests.fuzz.blocks import NAMES, Blocks
from tests.fuzz.draws import Draws

TARGET = "path"
_WALK_MAX = 100
_HAMT_LEVELS = 23


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    draws = Draws(data)
    segments = [_segment(draws) for _ in range(draws.below(9))]
    blocks = Blocks(draws)
    root = blocks.cids[0]
    found = _resolved(blocks, root, segments)
    if found is not None:
        _check_way(blocks, found, segments)
    for repeats in (False, True):
        blocks.reads = 0
        met: list[Cid] = []
        try:
            met += islice(walk(root, blocks.read, repeats=repeats), _WALK_MAX)
        except (NotFound, BadRequest):
            pass
        assert blocks.reads <= len(met) + 1
        assert repeats or len(set(met)) == len(met)
        assert not met or met[0] == root


def _segment(draws: Draws) -> str:
    kind = draws.below(12)
    return (
        NAMES[kind] if kind < len(NAMES) else ("0", "1", draws.chunk(12).decode("utf-8", "replace"))[kind - 9]
    )


def _resolved(blocks: Blocks, root: Cid, segments: list[str]) -> Resolved | None:
    blocks.reads = 0
    try:
        return resolve(root, segments, blocks.read)
    except (NotFound, BadRequest, Unverified) as error:
        assert error.message
        return None
    finally:
        assert blocks.reads <= (len(segments) + 1) * _HAMT_LEVELS


def _check_way(blocks: Blocks, found: Resolved, segments: list[str]) -> None:
    assert found.along[0] == found.walked[0] == blocks.cids[0]
    assert found.along[-1] == found.walked[-1] == found.terminal
    assert len(found.along) <= len(segments) + 1
    assert tuple(segments[len(segments) - len(found.remainder) :]) == found.remainder
    taken = len(segments) - len(found.remainder)
    if len(found.along) == taken + 1:  # every step took one segment
        for index, cid in enumerate(found.along):
            again = _resolved(blocks, cid, segments[index:])
            assert again is not None
            assert (again.terminal, again.remainder) == (found.terminal, found.remainder)


SEEDS: list[bytes] = [
    *(bytes([count, *range(count), 5, *range(40)]) + bytes(range(1, 120)) for count in range(9)),
    *(bytes([2, 0, 1, 4, 4, 4, 4, 4, 255]) + bytes([3, kind]) + b"\x06\x01b\x03" * 30 for kind in range(11)),
    bytes(range(256)) * 2,
    bytes(reversed(range(256))) * 2,
]
