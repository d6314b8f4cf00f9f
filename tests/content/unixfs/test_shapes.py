"""The 32 shapes of the public vectors have kubo's CIDs, blocks and bytes, under both profiles.

Bytes of a file are SHAKE-256 of its label, so anybody makes the same trees (`shared_data` says where the
vectors are). Blocks are counted and never kept: two shapes have a gibibyte.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder, LeafMade
from content.unixfs.profile import PROFILES, Profile
from tests.shared_data import shared_data

KIB: Final = 1 << 10
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Zeros:
    """A file of so many zero bytes, made as they are read."""

    size_bytes: int


# A file's bytes, a symlink's target, or a directory's entries
Tree = bytes | Zeros | str | dict[str, "Tree"]


@dataclass
class Sizes:
    """Bytes of each different block, by multihash."""

    profile: Profile
    blocks: dict[bytes, int] = field(default_factory=dict)

    def add(self, name: str, tree: Tree) -> Entry:
        """Build a tree; its entry in the directory above."""
        if isinstance(tree, str):
            link = build_symlink(self.profile, tree)
            self.blocks[link.cid.multihash] = len(link.data)
            return Entry(name, link.cid, len(link.data))
        if isinstance(tree, dict):
            made = build_directory(self.profile, [self.add(each, below) for each, below in tree.items()])
            self.blocks |= {block.cid.multihash: len(block.data) for block in made.blocks}
            return Entry(name, made.cid, made.dag_bytes)
        builder = FileBuilder(self.profile)
        parts = [each for piece in pieces(tree) for each in builder.write(piece)]
        rest, whole = builder.finish()
        for each in (*parts, *rest):
            size = len(each.prefix) + each.length + len(each.suffix) if isinstance(each, LeafMade) else 0
            self.blocks[each.cid.multihash] = size if isinstance(each, LeafMade) else len(each.data)
        return Entry(name, whole.cid, whole.dag_bytes)


def pieces(content: bytes | Zeros) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    whole, rest = divmod(content.size_bytes, MIB)
    zeros = bytes(MIB)
    for _ in range(whole):
        yield zeros
    yield zeros[:rest]


def labelled(label: str, size_bytes: int) -> bytes:
    return hashlib.shake_256(label.encode()).digest(size_bytes)


def one(size_bytes: int) -> Callable[[str], Tree]:
    return lambda shape: labelled(shape, size_bytes)


def of(sizes: dict[str, int]) -> Callable[[str], Tree]:
    """Files by their paths, each with a label of its own."""

    def make(shape: str) -> Tree:
        top: dict[str, Tree] = {}
        for path, size_bytes in sizes.items():
            *above, name = path.split("/")
            at = top
            for each in above:
                below = at.setdefault(each, {})
                assert isinstance(below, dict)
                at = below
            at[name] = labelled(f"{shape}/{path}", size_bytes)
        return top

    return make


def many(count: int, pattern: str) -> Callable[[str], Tree]:
    return lambda shape: {pattern % index: labelled(f"{shape}/{index}", 11) for index in range(count)}


def padded(count: int, last_name_bytes: int) -> Callable[[str], Tree]:
    """A directory whose size is tuned to the byte by its last name."""
    names = [f"e{index:07d}" for index in range(count)] + ["w" * last_name_bytes]
    return lambda shape: dict.fromkeys(names, b"-")


def deep(shape: str) -> Tree:
    tree: Tree = {"leaf": labelled(shape, 100)}
    for _ in range(60):
        tree = {"d": tree}
    return tree


def symlinks(shape: str) -> Tree:
    return {
        "target.txt": labelled(shape, 50),
        "relative": "target.txt",
        "dangling": "/nowhere/at/all",
        "up": "../outside",
    }


def nested(shape: str) -> Tree:
    tree = many(6000, "n-%06d-" + "p" * 20)(shape)
    assert isinstance(tree, dict)
    return {**tree, "sub": {"f": labelled(f"{shape}/f", 9)}}


NAMES = ("with space", "per%cent", "plus+plus", "q?uery", "ha#sh", "new\nline", "ünïcödé", "x" * 255)
SHAPES: dict[str, Callable[[str], Tree]] = {
    "file-empty": one(0),
    "file-1": one(1),
    "file-256KiB": one(256 * KIB),
    "file-256KiB+1": one(256 * KIB + 1),
    "file-1MiB": one(MIB),
    "file-1MiB-1": one(MIB - 1),
    "file-1MiB+1": one(MIB + 1),
    "file-45MiB": one(45 * MIB + 17),
    "sparse-174x256KiB": lambda _: Zeros(174 * 256 * KIB),
    "sparse-175x256KiB": lambda _: Zeros(174 * 256 * KIB + 1),
    "sparse-1024x1MiB": lambda _: Zeros(1024 * MIB),
    "sparse-1025x1MiB": lambda _: Zeros(1024 * MIB + 1),
    "dir-empty": lambda _: {},
    "dir-nested-empty": lambda _: {"a": {"b": {"c": {}}}},
    "dir-mixed": of({"a.txt": 10, "b/c.bin": 300_000, "b/d/e.bin": 1_500_000, "z": 0}),
    "dir-order": of(dict.fromkeys(("a", "a.b", "a-b", "A", "ab", "aa/x", "é"), 1)),
    "dir-names": of(dict.fromkeys((*NAMES, "emoji-\U0001f600"), 5)),
    "dir-nfc-nfd": of({"\u00e9": 5, "e\u0301": 6}),
    "dir-1000": many(1000, "entry-%04d"),
    "dir-threshold-a": padded(5039, 10),
    "dir-threshold-b": padded(5039, 60),
    "dir-threshold-c": padded(5039, 68),
    "dir-threshold-d": padded(5039, 100),
    "dir-threshold-e": padded(6240, 10),
    "dir-threshold-f": padded(6240, 40),
    "dir-hamt-10000": many(10_000, "name-%06d.txt"),
    "dir-hamt-long": many(1500, "y" * 200 + "-%06d"),
    "dir-hamt-nested": nested,
    "dir-deep-60": deep,
    "dir-symlinks": symlinks,
    "dir-duplicates": lambda shape: dict.fromkeys(("one", "two", "three"), labelled(shape, 3 * MIB + 5)),
    "dir-big-small": of({"big.bin": 12 * MIB + 3, **{f"s/{index:03d}": index * 37 for index in range(200)}}),
}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_kubos_cid_blocks_and_bytes(profile: Profile, shape: str) -> None:
    expected = json.loads(shared_data("unixfs-vectors.json").read_text())[shape][profile.name]
    sizes = Sizes(profile)
    made = sizes.add("", SHAPES[shape](shape))
    assert made.cid.text() == expected["cid"]
    if expected["blocks"] is not None:  # nobody counted those of the empty raw file
        assert (len(sizes.blocks), sum(sizes.blocks.values())) == (expected["blocks"], expected["bytes"])


def test_the_vectors_are_of_these_shapes() -> None:
    assert set(json.loads(shared_data("unixfs-vectors.json").read_text())) == set(SHAPES)
