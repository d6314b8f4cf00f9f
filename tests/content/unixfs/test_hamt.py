"""Sharded directories that lie or are built to exhaust their reader are refused, each with its reason."""

from collections.abc import Iterable, Iterator

import pytest

from content import dag_pb, multihash
from content.block import Block, BlockMissing
from content.cid import DAG_PB, RAW, Cid
from content.unixfs import directory, hamt
from content.unixfs.build_directory import DirectoryMade, Entry, build_directory
from content.unixfs.file import node
from content.unixfs.message import Kind, Message, encode
from content.unixfs.profile import UNIXFS_V1_2025, Estimate, Profile
from runtime.errors import BadRequest, TooLarge, Unverified

LEAF = Cid.v1(RAW, multihash.sha2_256(b"leaf"))
SMALL = Profile("small", 1, True, 64, 3, 16, 200, Estimate.BLOCK)


class Shards:
    """Blocks of one directory, and how it is read."""

    def __init__(self, made: DirectoryMade | None = None) -> None:
        self.blocks = {block.cid.raw: block.data for block in made.blocks} if made is not None else {}

    def add(
        self,
        links: Iterable[tuple[int, str, Cid]],
        *,
        fanout: int = 256,
        bits: int | None = None,
        hash_type: int = hamt.MURMUR3_X64_64,
        field_bytes: int = 0,
    ) -> Cid:
        """A shard of (slot, name behind it, CID); `bits` in place of the honest bitfield."""
        placed = list(links)
        width = len(f"{fanout - 1:X}")
        if bits is None:
            bits = sum(1 << place for place, _, _ in placed)
        field = bits.to_bytes(max(field_bytes, (bits.bit_length() + 7) // 8), "big")
        message = Message(Kind.HAMT_SHARD, data=field, hash_type=hash_type, fanout=fanout)
        named = tuple(dag_pb.Link(cid, f"{place:0{width}X}{name}", 1) for place, name, cid in placed)
        block = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node(named, encode(message))))
        self.blocks[block.cid.raw] = block.data
        return block.cid

    def read(self, cid: Cid) -> bytes:
        if cid.raw not in self.blocks:
            raise BlockMissing(cid)
        return self.blocks[cid.raw]

    def names(self, cid: Cid, limit: int = 1000) -> list[str | None]:
        return [link.name for link in directory.entries(cid, self.read(cid), self.read, limit)]

    def in_order(self, cid: Cid) -> Iterator[dag_pb.Link]:
        return hamt.entries(cid, node(cid, self.read(cid)), self.read)

    def find(self, cid: Cid, name: str) -> Cid | None:
        return directory.lookup(cid, node(cid, self.read(cid)), name, self.read)[0]


def place_of(name: str, level: int = 0) -> int:
    return hamt.slot(hamt.hash_bits(name), level, 256)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"bits": 0b111}, "disagree"),  # more slots than links
        ({"bits": 0b1}, "disagree"),  # fewer
        ({"bits": 0b101}, "disagree"),  # others
        ({"bits": 0b11 | 1 << 256}, "disagree"),  # beyond the fanout
        ({"field_bytes": 33}, "disagree"),  # a bitfield longer than the fanout
        ({"field_bytes": 1 << 20}, "disagree"),
        ({"fanout": 2048}, "fanout of 2048"),
        ({"fanout": 1 << 40}, "fanout of"),
        ({"fanout": 4}, "fanout of 4"),
        ({"fanout": 24}, "fanout of 24"),
        ({"hash_type": 0x12}, "hash function 18"),
    ],
)
def test_a_shard_that_contradicts_itself_is_refused(lie: dict[str, int], reason: str) -> None:
    shards = Shards()
    root = shards.add([(0, "a", LEAF), (1, "b", LEAF)], **lie)
    for ask in (shards.names, lambda cid: shards.find(cid, "a")):
        with pytest.raises((BadRequest, Unverified), match=reason):
            ask(root)


def test_links_out_of_their_slots_are_refused_even_if_another_name_is_asked_for() -> None:
    shards = Shards()
    root = shards.add([(1, "b", LEAF), (0, "a", LEAF)])
    with pytest.raises(Unverified, match="disagree"):
        shards.find(root, "c")


def test_a_tree_deeper_than_its_hash_has_bits_is_refused() -> None:
    shards = Shards()
    at = shards.add([(place_of("deep", 7), "deep", LEAF)])
    for level in reversed(range(7)):
        at = shards.add([(place_of("deep", level), "", at)])
    assert shards.find(at, "deep") == LEAF
    assert shards.names(at) == ["deep"]
    deeper = shards.add([(0, "deep", LEAF)])
    for level in reversed(range(8)):
        deeper = shards.add([(place_of("deep", level), "", deeper)])
    for ask in (shards.names, lambda cid: shards.find(cid, "deep")):
        with pytest.raises(Unverified, match="more levels"):
            ask(deeper)


def test_shards_that_repeat_are_refused_before_they_multiply() -> None:
    """Eight levels of one shard 256 times each would be 2^64 reads, out of eight blocks."""
    shards = Shards()
    at = shards.add([(0, "a", LEAF)])
    for _ in range(7):
        below = at
        at = shards.add([(place, "", below) for place in range(256)])
    with pytest.raises(Unverified, match="occurs twice"):
        shards.names(at)
    for walk in (directory.shards(at, shards.read(at), shards.read), shards.in_order(at)):
        with pytest.raises(Unverified, match="occurs twice"):
            list(walk)


def test_a_shard_that_repeats_further_away_is_refused_too() -> None:
    shards = Shards()
    twice = shards.add([(0, "a", LEAF)])
    left = shards.add([(0, "", twice), (1, "b", LEAF)])
    right = shards.add([(0, "", twice), (1, "c", LEAF)])
    with pytest.raises(Unverified, match="occurs twice"):
        shards.names(shards.add([(0, "", left), (1, "", right)]))


def test_more_entries_than_may_be_held_are_refused() -> None:
    names = [f"entry {number}" for number in range(60)]
    made = build_directory(SMALL, [Entry(name, LEAF, 4) for name in names])
    shards = Shards(made)
    assert shards.names(made.cid, 60) == sorted(names)
    with pytest.raises(TooLarge, match="more than 59 entries"):
        shards.names(made.cid, 59)


def test_a_flat_directory_is_bounded_and_in_order_too() -> None:
    made = build_directory(UNIXFS_V1_2025, [Entry(name, LEAF, 4) for name in ("b", "a", "c")])
    shards = Shards(made)
    assert shards.names(made.cid) == ["a", "b", "c"]
    with pytest.raises(TooLarge):
        shards.names(made.cid, 2)


def test_a_walk_names_each_shard_before_it_reads_it() -> None:
    made = build_directory(SMALL, [Entry(f"entry {number}", LEAF, 4) for number in range(60)])
    shards = Shards(made)
    seen: list[Cid] = []

    def read(cid: Cid) -> bytes:
        assert seen[-1] == cid
        return shards.read(cid)

    count = 0
    for run in directory.runs(made.cid, node(made.cid, shards.read(made.cid)), read):
        if isinstance(run, Cid):
            seen.append(run)
        else:
            count += len(run)
    assert count == 60
    assert [cid.raw for cid in seen] == [
        cid.raw for cid in directory.shards(made.cid, shards.read(made.cid), shards.read)
    ]
    assert len(seen) == len(made.blocks) - 1


def test_entries_in_order_are_those_of_the_tree_with_its_shards_at_their_places() -> None:
    shards = Shards()
    below = shards.add([(0, "c", LEAF), (9, "d", LEAF)])
    root = shards.add([(1, "b", LEAF), (2, "", below), (3, "a", LEAF)])
    walk = shards.in_order(root)
    assert next(walk).name == "b"
    kept = shards.blocks.pop(below.raw)
    with pytest.raises(BlockMissing):
        next(walk)
    shards.blocks[below.raw] = kept
    assert [link.name for link in shards.in_order(root)] == ["b", "c", "d", "a"]
    assert shards.names(root) == ["a", "b", "c", "d"]


def test_a_tree_of_shards_without_entries_is_refused_like_one_of_many_entries() -> None:
    shards = Shards()
    empty = [shards.add([], field_bytes=count) for count in range(1, 30)]
    root = shards.add([(place, "", cid) for place, cid in enumerate(empty)])
    assert shards.names(root, 29) == []
    with pytest.raises(TooLarge, match="28 entries or shards"):
        shards.names(root, 28)
