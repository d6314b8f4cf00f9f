"""Small DAGs that stand for endless ones: work is counted in blocks read, memory is measured."""

import tracemalloc
from dataclasses import dataclass, field
from itertools import islice

import pytest

from content import dag_pb
from content.block import Block, BlockMissing
from content.cid import DAG_PB, RAW, Cid
from content.dag_pb import Link, Node
from content.dag_walk import MAX_DEPTH, MAX_WAITING, walk
from content.path import MAX_SEGMENTS, resolve
from content.unixfs import file
from content.unixfs.message import Kind, Message, encode
from runtime.errors import BadRequest, Unverified

LEVELS = 40


@dataclass
class Bomb:
    """Blocks in memory, a `BlockReader` that counts."""

    blocks: dict[bytes, bytes] = field(default_factory=dict)
    reads: int = 0

    def put(self, codec: int, data: bytes) -> Cid:
        """Keep a block."""
        block = Block.sealed(codec, data)
        self.blocks[block.cid.multihash] = data
        return block.cid

    def read(self, cid: Cid) -> bytes:
        """The block."""
        self.reads += 1
        if cid.multihash not in self.blocks:
            raise BlockMissing(cid)
        return self.blocks[cid.multihash]

    def node(self, links: list[Link], said: Message) -> Cid:
        """Keep a UnixFS node."""
        return self.put(DAG_PB, dag_pb.encode(Node(tuple(links), encode(said))))

    def file(self, levels: int, leaf: bytes = b"leaf") -> tuple[Cid, int]:
        """(root, size) of a file of 2^levels times one leaf."""
        at, size = self.put(RAW, leaf), len(leaf)
        for _ in range(levels):
            at = self.node([Link(at, "", size)] * 2, Message(Kind.FILE, None, 2 * size, (size, size)))
            size *= 2
        return at, size

    def folder(self, levels: int) -> Cid:
        """Folders in one another: 2^levels files, one of each."""
        at = self.put(RAW, b"leaf")
        for _ in range(levels):
            at = self.node([Link(at, "a", 1), Link(at, "b", 1)], Message(Kind.DIRECTORY))
        return at


def test_a_walk_over_a_bomb_meets_each_block_once() -> None:
    for bomb, root in ((b := Bomb(), b.folder(LEVELS)), (b := Bomb(), b.file(LEVELS)[0])):
        met = list(walk(root, bomb.read))
        assert len(met) == len(set(met)) == LEVELS + 1
        assert bomb.reads == LEVELS


def test_a_walk_with_repeats_is_as_long_as_somebody_listens_and_holds_one_path() -> None:
    bomb = Bomb()
    root = bomb.folder(LEVELS)
    tracemalloc.start()
    assert sum(1 for _ in islice(walk(root, bomb.read, repeats=True), 20_000)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bomb.reads <= 20_000
    assert peak < 1 << 20


def test_a_range_of_a_file_of_two_to_the_forty_leaves_reads_one_path() -> None:
    bomb = Bomb()
    root, size = bomb.file(LEVELS)
    assert size == 4 << LEVELS
    assert file.size_of(root, bomb.read(root)) == size
    for start in (0, 1, size // 2 - 3, size // 3, size - 10):
        bomb.reads = 0
        runs = list(file.leaves(root, bomb.read, start, start + 10))
        assert sum(run.block_stop - run.block_start for run in runs) == 10
        assert bomb.reads <= 4 * (LEVELS + 1)
        bomb.reads = 0
        assert len(list(file.blocks(root, bomb.read, start, start + 10))) <= 4 * (LEVELS + 1)


def test_a_file_deeper_than_files_are_is_refused_by_name() -> None:
    bomb = Bomb()
    at, size = bomb.put(RAW, b"x"), 1
    for _ in range(file.MAX_DEPTH + 2):
        at = bomb.node([Link(at, "", size)], Message(Kind.FILE, None, size, (size,)))
    for work in (file.leaves, file.blocks):
        bomb.reads = 0
        with pytest.raises(Unverified, match="more than 64 levels") as caught:
            list(work(at, bomb.read))
        assert caught.value.where
        assert bomb.reads <= file.MAX_DEPTH + 2


def test_a_chain_without_end_is_refused_by_a_walk() -> None:
    bomb = Bomb()
    at = bomb.put(RAW, b"x")
    for _ in range(MAX_DEPTH + 1):
        at = bomb.put(DAG_PB, dag_pb.encode(Node((Link(at, "", 1),))))
    with pytest.raises(BadRequest, match="more than 10000 levels"):
        list(walk(at, bomb.read))


def test_wide_nodes_in_a_chain_are_refused_before_they_fill_the_memory() -> None:
    bomb = Bomb()
    wide = tuple(Link(bomb.put(RAW, number.to_bytes(2, "big")), "", 1) for number in range(20_000))
    at = bomb.put(RAW, b"end")
    for _ in range(30):  # 1 MB a level on the disk, 7 MB in a walk
        at = bomb.put(DAG_PB, dag_pb.encode(Node((Link(at, "", 1), *wide))))
    tracemalloc.start()
    with pytest.raises(BadRequest, match=f"more than {MAX_WAITING:,} links") as caught:
        list(walk(at, bomb.read))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.where
    assert peak < 250 << 20
    assert bomb.reads <= MAX_WAITING // 20_000 + 1


def test_a_path_without_end_is_refused_unread() -> None:
    bomb = Bomb()
    root = bomb.folder(2)
    with pytest.raises(BadRequest, match="more than 1024 segments"):
        resolve(root, ["a"] * (MAX_SEGMENTS + 1), bomb.read)
    assert bomb.reads == 0
