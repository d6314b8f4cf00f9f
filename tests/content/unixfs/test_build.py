"""UnixFS built here has the CIDs that kubo gives, and reads back as what went in."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content import dag_pb
from content.block import Block, BlockMissing
from content.cid import DAG_PB, Cid
from content.path import resolve
from content.unixfs import directory
from content.unixfs.build_directory import DirectoryMade, Entry, build_directory
from content.unixfs.build_file import FileBuilder, FileMade, LeafMade
from content.unixfs.file import leaves, node, parts, size_of
from content.unixfs.message import Kind, Message, Mtime, encode
from content.unixfs.profile import PROFILES, Estimate, Profile
from runtime.errors import BadRequest, NotFound, Unverified

SMALL = Profile("small", 1, True, 64, 3, 256, 2000, Estimate.BLOCK)
OLD = Profile("old", 0, False, 64, 3, 256, 2000, Estimate.LINKS)


@dataclass
class Built:
    """Blocks by multihash; a `BlockReader`."""

    profile: Profile
    blocks: dict[bytes, bytes] = field(default_factory=dict)

    def read(self, cid: Cid) -> bytes:
        found = self.blocks.get(cid.multihash)
        if found is None:
            raise BlockMissing(cid)
        return found

    def file(self, content: bytes, step: int = 1 << 20, **attributes: object) -> FileMade:
        builder = FileBuilder(self.profile, **attributes)  # type: ignore[arg-type]
        made = []
        for at in range(0, len(content), step):
            made += builder.write(content[at : at + step])
        rest, whole = builder.finish()
        for each in (*made, *rest):
            if isinstance(each, LeafMade):
                data = each.prefix + content[each.offset : each.offset + each.length] + each.suffix
                self.blocks[each.cid.multihash] = data
            else:
                self.blocks[each.cid.multihash] = each.data
        return whole

    def folder(self, entries: Iterable[Entry], **attributes: object) -> DirectoryMade:
        made = build_directory(self.profile, entries, **attributes)  # type: ignore[arg-type]
        self.blocks |= {block.cid.multihash: block.data for block in made.blocks}
        return made

    def bytes_of(self, cid: Cid, start: int = 0, stop: int | None = None) -> bytes:
        return b"".join(
            self.read(leaf.cid)[leaf.block_start : leaf.block_stop]
            for leaf in leaves(cid, self.read, start, stop)
        )


# CIDs that kubo v0.39.0 gave for these bytes (`add -Q`, and with the flags of unixfs-v1-2025)
KNOWN = {
    b"hello\n": (
        "QmZULkCELmmk5XNfCgTnCyFgAVxBRBXyDHGGMVoLFLiXEN",
        "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am",
    ),
    b"": (
        "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    ),
}


@pytest.mark.parametrize("content", KNOWN, ids=["hello", "empty"])
def test_files_everybody_knows(content: bytes) -> None:
    for name, cid in zip(("unixfs-v0-2015", "unixfs-v1-2025"), KNOWN[content], strict=True):
        assert Built(PROFILES[name]).file(content).cid.text() == cid


def test_mode_and_mtime_stand_where_kubo_puts_them() -> None:
    built = Built(PROFILES["unixfs-v0-2015"])
    made = built.file(b"hello\n", mode=0o640, mtime=Mtime(1_700_000_000, 5))
    assert made.cid.text() == "QmYyri5JH8EBry1jMhZZdkPLRRVKRouXq51W8JZs3gb1Z3"
    assert built.file(b"", mode=0o640, mtime=Mtime(1_700_000_000, 5)).cid.text() == (
        "Qmb7zDNii6K66ZD83Xfr9fQ9cfLauTpMAp8x7jc9Wk9iST"
    )
    large = built.file(bytes(2_500_000), mode=0o640, mtime=Mtime(1_700_000_000, 5))
    assert large.cid.text() == "QmNMbPvXibDUTein49sJPuFbvA5vjY42vy8nnCML25aG8R"
    for profile in (SMALL, OLD):
        other = Built(profile)
        for size in (0, 10, 64, 65, 700):
            cid = other.file(bytes(size), mode=0o755, mtime=Mtime(-3, None)).cid
            assert cid.codec == DAG_PB
            message = node(cid, other.read(cid)).message
            assert (message.mode, message.mtime) == (0o755, Mtime(-3, None))
            assert other.bytes_of(cid) == bytes(size)


@pytest.mark.parametrize("profile", [SMALL, OLD], ids=["raw", "dag-pb"])
@given(size=st.integers(0, 2500), step=st.integers(1, 400), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_reads_back_whole_and_in_ranges(
    profile: Profile, size: int, step: int, data: st.DataObject
) -> None:
    content = random.Random(size).randbytes(size)
    built = Built(profile)
    made = built.file(content, step)
    assert made == Built(profile).file(content), "however it was fed"
    assert made.size_bytes == size_of(made.cid, built.read(made.cid)) == size
    assert made.dag_bytes >= sum(len(block) for block in built.blocks.values())
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    assert built.bytes_of(made.cid, start, stop) == content[start:stop]
    assert built.bytes_of(made.cid) == content


NAMES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)


@given(st.sets(NAMES, max_size=60))
@settings(max_examples=50, deadline=None)
def test_directories_flat_and_sharded_find_and_list_every_name(names: set[str]) -> None:
    built = Built(SMALL)
    leaf = built.file(b"x")
    made = built.folder([Entry(name, leaf.cid, 1) for name in names])
    block = built.read(made.cid)
    assert {entry.name for entry in directory.entries(made.cid, block, built.read)} == names
    for name in names:
        assert resolve(made.cid, [name], built.read).terminal == leaf.cid
    with pytest.raises(NotFound):
        resolve(made.cid, ["\0never"], built.read)


@pytest.mark.parametrize("profile", [SMALL, OLD])
@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 129, 192, 64 * 9, 64 * 9 + 1])
def test_a_chunk_that_may_be_the_last_is_kept_back(profile: Profile, size: int) -> None:
    """However the bytes come, and whether it is said that more follow, the file is one and the same."""
    content = random.Random(size).randbytes(size)
    expected = Built(profile).file(content, mode=0o600)
    for step in (1, 63, 64, 65, 128, 1000):
        assert Built(profile).file(content, step, mode=0o600) == expected
        builder = FileBuilder(profile, 0o600)
        for at in range(0, size, step):
            builder.write(content[at : at + step], more=at + step < size)
        assert builder.finish()[1] == expected
    built = Built(profile)
    assert node(expected.cid, built.read(built.file(content, mode=0o600).cid)).message.mode == 0o600


@pytest.mark.parametrize(("by", "kind"), [(-1, Kind.DIRECTORY), (0, Kind.DIRECTORY), (1, Kind.HAMT_SHARD)])
def test_a_directory_is_sharded_above_its_bound_and_not_at_it(by: int, kind: Kind) -> None:
    cid = Block.sealed(DAG_PB, b"").cid
    bound = OLD.shard_above_bytes
    names = [f"{index:08}" for index in range(20)]
    names.append("w" * (bound + by - 20 * (8 + 36) - 36))
    while len(names[-1]) > 255:  # a name has 255 bytes at most
        names[-1:] = ["x" * 200 + f"{len(names):03}", "w" * (len(names[-1]) - 203 - 36)]
    made = build_directory(OLD, [Entry(name, cid, 1) for name in names])
    assert node(made.cid, made.blocks[-1].data).message.kind is kind


def test_deep_trees_and_hard_names_round_trip() -> None:
    built = Built(PROFILES["unixfs-v1-2025"])
    names = ["n" * 255, "\u00e9", "e\u0301", "a b", "%41", "\udcff\udcfe", "ę" * 127]
    leaf = built.file(b"deep")
    made = built.folder([Entry(name, leaf.cid, 4) for name in names])
    for depth in range(200):
        made = built.folder([Entry(f"d{depth}", made.cid, made.dag_bytes)])
    way = [f"d{depth}" for depth in reversed(range(200))]
    for name in names:
        assert built.read(resolve(made.cid, [*way, name], built.read).terminal) == b"deep"


@pytest.mark.parametrize("names", [["a", "a"], [""], ["a/b"], ["\0"], ["."], [".."], ["x" * 256]])
def test_names_that_cannot_be_are_refused(names: list[str]) -> None:
    leaf = Built(SMALL).file(b"x")
    with pytest.raises(BadRequest):
        build_directory(SMALL, [Entry(name, leaf.cid, 1) for name in names])


def test_dags_that_lie_about_lengths_are_refused() -> None:
    built = Built(SMALL)
    whole = built.file(random.Random(1).randbytes(1000))
    (first, _), *_ = parts(whole.cid, built.read(whole.cid))
    built.blocks[first.multihash] = (
        built.read(first)[:-1] if first.codec != DAG_PB else built.file(b"short").cid.raw
    )
    with pytest.raises((Unverified, BadRequest)):
        built.bytes_of(whole.cid)


def test_a_chain_that_never_ends_is_refused() -> None:
    from_leaf = Built(SMALL)
    at, size = from_leaf.file(b"x").cid, 1
    chain = Built(Profile("chain", 1, True, 64, 1, 256, 2000, Estimate.BLOCK), from_leaf.blocks)
    for _ in range(200):
        message = Message(Kind.FILE, file_bytes=size, block_bytes=(size,))
        block = Block.sealed(DAG_PB, dag_pb.encode(dag_pb.Node((dag_pb.Link(at, "", 1),), encode(message))))
        chain.blocks[block.cid.multihash] = block.data
        at = block.cid
    with pytest.raises(Unverified):
        chain.bytes_of(at)
