"""Fuzz target `unixfs`: files and directories over a small random store, truthful, lying and in circles.

Invariants
 1. Only BlockMissing, BadRequest and Unverified are raised.
 2. Work is bounded: blocks read are at most a node a level for each run of bytes, entry or block handed out.
 3. Runs of a file are in order, without gap or overlap, inside their blocks; a part of a file is the same
    bytes as that part of the whole.
 4. Walking a sharded directory reads no block twice; what is found by its name is in the listing.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from content.block import BlockMissing
from content.cid import Cid
from content.unixfs import directory, file
from content.unixfs.file import Leaf
from runtime.errors import BadRequest, Unverified
from tests.fuzz.blocks import Blocks
from tests.fuzz.draws import Draws

TARGET = "unixfs"
_TAKEN_MAX = 60
_LEVELS = file.MAX_DEPTH + 2
_HAMT_LEVELS = 23  # 64 bits at 3 a level, the root, and the one that is refused
Item = TypeVar("Item")


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    draws = Draws(data)
    start, length = draws.below(200), draws.below(200)
    blocks = Blocks(draws)
    root = blocks.cids[0]
    block = blocks.read(root)
    if _attempt(lambda: directory.is_directory(directory.kind_of(root, block))):
        _directory(blocks, root, block)
    else:
        _file(blocks, root, start, start + length)


def _attempt(work: Callable[[], Item]) -> Item | None:
    try:
        return work()
    except (BlockMissing, BadRequest, Unverified) as error:
        assert error.message
        return None


def _taken(items: Iterator[Item], limit: int = _TAKEN_MAX) -> tuple[list[Item], bool]:
    """(what came out, whether the end was reached) of at most `limit` items."""
    found: list[Item] = []
    try:
        found += islice(items, limit)  # what came before an error stays
    except (BlockMissing, BadRequest, Unverified):
        return found, False
    return found, len(found) < limit


def _file(blocks: Blocks, root: Cid, start: int, stop: int) -> None:
    for low, high in ((0, None), (start, stop)):
        blocks.reads = 0
        leaves, _ = _taken(file.leaves(root, blocks.read, low, high))
        assert blocks.reads <= _LEVELS * (len(leaves) + 2), "work without result"
        _check_runs(blocks, leaves, low, high)
        blocks.reads = 0
        needed, _ = _taken(file.blocks(root, blocks.read, low, high), 4 * _TAKEN_MAX)
        assert blocks.reads <= len(needed) + 1
    whole, complete = _taken(file.leaves(root, blocks.read), 400)
    part, ended = _taken(file.leaves(root, blocks.read, start, stop), 400)
    if complete:
        assert ended, "a part of a sound file is refused"
        content = _bytes(blocks, whole)
        assert len(content) == file.size_of(root, blocks.read(root))
        assert _bytes(blocks, part) == content[start:stop]


def _check_runs(blocks: Blocks, leaves: list[Leaf], low: int, high: int | None) -> None:
    at = low
    for leaf in leaves:
        assert leaf.file_offset == at
        assert 0 <= leaf.block_start < leaf.block_stop <= leaf.block_bytes == len(blocks.read(leaf.cid))
        at += leaf.block_stop - leaf.block_start
    assert high is None or at <= max(high, low)


def _bytes(blocks: Blocks, leaves: list[Leaf]) -> bytes:
    return b"".join(blocks.read(leaf.cid)[leaf.block_start : leaf.block_stop] for leaf in leaves)


def _directory(blocks: Blocks, root: Cid, block: bytes) -> None:
    blocks.reads = 0
    entries = _attempt(lambda: directory.entries(root, block, blocks.read))
    assert blocks.reads <= blocks.count, "a shard is read twice"
    blocks.reads = 0
    shards, _ = _taken(directory.shards(root, block, blocks.read), 400)
    assert blocks.reads <= len(shards) + 1
    node = file.node(root, block)
    if entries is not None:
        for entry in entries:
            found = _attempt(lambda entry=entry: directory.lookup(root, node, entry.name or "", blocks.read))  # type: ignore[misc]
            named = [each.cid for each in entries if each.name == entry.name]
            # an entry that is listed in a slot that is not its name's is not found, and nothing else either
            assert found is None or found[0] is None or found[0] in named, "a listed name leads elsewhere"
    for name in ("a", "é", "never"):
        blocks.reads = 0
        found = _attempt(lambda name=name: directory.lookup(root, node, name, blocks.read))  # type: ignore[misc]
        assert blocks.reads <= _HAMT_LEVELS
        if found is not None and found[0] is not None and entries is not None:
            assert any(entry.name == name for entry in entries), "found, and not listed"


SEEDS: list[bytes] = [
    *(bytes([3, 40, count, *range(20)]) + bytes(range(1, 90)) for count in range(8)),
    *(bytes([0, 0, 3, 0, 0, 0, 0, 255, kind, 0, 0]) + bytes(range(200, 256)) * 3 for kind in range(5)),
    b"\x00\x10\x07\x00\x00\x00\x00\x03\x03\x03\x03\xff" + b"\x0aabcdefghij" * 20,
    bytes(range(256)),
    bytes(reversed(range(256))) * 2,
]
