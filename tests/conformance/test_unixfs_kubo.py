"""`add` gives the CIDs that kubo gives: generated trees and files, at every bound where the form changes."""

import json
import os
import random
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mmh3
import pytest

from content.block import Block
from content.cid import RAW
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.build_file import FileBuilder
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Estimate, Profile
from tests.bench import kubo
from tests.bench.kubo import Kubo
from tests.bench.servers import FLEEK_EDGE

pytestmark = [pytest.mark.needs("ipfs"), pytest.mark.slow, pytest.mark.timeout(300)]
KIB = 1 << 10
FLAGS: dict[str, tuple[str, ...]] = {
    "unixfs-v1-2025": kubo.V1_2025,
    "unixfs-v0-2015": ("--chunker=size-262144",),
}
SMALL_SHARD_BYTES = 1000


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Kubo:
    return kubo.new_repository(tmp_path_factory.mktemp("kubo"))


@pytest.fixture(scope="module")
def small_shards(tmp_path_factory: pytest.TempPathFactory) -> Kubo:
    """A kubo that shards directories of more than 1000 bytes.

    Up to 0.39 it sharded at its bound already, from 0.40 on only above it (IPIP-499): its bound is one more.
    """
    peer = kubo.new_repository(tmp_path_factory.mktemp("kubo-small"))
    config_path = peer.repo / "config"
    config = json.loads(config_path.read_text())
    config["Import"]["UnixFSHAMTDirectorySizeThreshold"] = f"{SMALL_SHARD_BYTES + 1}B"
    config_path.write_text(json.dumps(config))
    return peer


def theirs(peer: Kubo, path: Path, *flags: str) -> dict[str, str]:
    """CIDs by path, as kubo tells them."""
    done = peer.run("add", "-r", "-H", "--pin=false", "--progress=false", *flags, str(path))
    lines = (line.split(" ", 2) for line in done.stdout.decode().splitlines())
    return {name: cid for _, cid, name in lines}


def ours(data: Path, path: Path, *flags: str) -> dict[str, str]:
    done = subprocess.run(
        [FLEEK_EDGE, "add", "--json", "--no-pin", "--data", str(data), *flags, str(path)],
        capture_output=True,
        check=True,
    )
    return {each["path"]: each["cid"] for each in map(json.loads, done.stdout.splitlines())}


def _files(folder: Path) -> Path:
    """Files of every size at which a profile changes the form of the DAG, up to two levels."""
    folder.mkdir()
    chance = random.Random(1)
    content = chance.randbytes(3 << 20)
    chunks = (256 * KIB, 1024 * KIB)
    sizes = {0, 1, 2, 255, 256, 16 * KIB, 16 * KIB + 1}
    sizes |= {count * chunk + by for chunk in chunks for count in (1, 2) for by in (-1, 0, 1)}
    for size in sorted(sizes):
        (folder / f"random-{size}").write_bytes(content[:size])
    width_bytes = 174 * 256 * KIB  # one full node of the older profile
    for size in (width_bytes - 1, width_bytes, width_bytes + 1, 2 * width_bytes + 1):
        with (folder / f"zeros-{size}").open("wb") as file:
            file.truncate(size)
    return folder


def _names(folder: Path) -> Path:
    """Names of every kind, empty directories, symlinks, and a deep path."""
    (folder / "empty" / "more" / "nothing").mkdir(parents=True)
    for name in ("é", "e\u0301", "n" * 255, "ü" * 127, " ", "%2F", ".hidden", "日本語"):
        (folder / name).write_bytes(name.encode())
    deep = folder / "deep" / "/".join("d" * 200)
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"deep")
    for target in ("é", "nowhere", "/", "..", "t" * 4000):
        (folder / f"to-{len(target)}-{target[:5].replace('/', '_')}").symlink_to(target)
    (folder / "same-1").write_bytes(b"same")
    (folder / "same-2").write_bytes(b"same")
    return folder


@pytest.mark.parametrize("profile", FLAGS)
def test_files_at_every_bound_have_kubos_cids(peer: Kubo, tmp_path: Path, profile: str) -> None:
    tree = _files(tmp_path / "files")
    assert ours(tmp_path / "data", tree, "--profile", profile) == theirs(peer, tree, *FLAGS[profile])


@pytest.mark.parametrize("profile", FLAGS)
def test_names_symlinks_and_depth_have_kubos_cids(peer: Kubo, tmp_path: Path, profile: str) -> None:
    tree = _names(tmp_path / "names")
    assert ours(tmp_path / "data", tree, "--profile", profile) == theirs(peer, tree, *FLAGS[profile])


@pytest.mark.parametrize(
    "flags", [("--preserve-mode",), ("--preserve-mtime",), ("--preserve-mode", "--preserve-mtime")]
)
def test_attributes_have_kubos_cids(peer: Kubo, tmp_path: Path, flags: tuple[str, ...]) -> None:
    """kubo has no form for attributes of raw leaves, so only under the older profile."""
    tree = _names(tmp_path / "names")
    (tree / "large").write_bytes(bytes(700_000))
    chance = random.Random(5)
    for path in sorted(tree.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if not path.is_symlink():
            path.chmod(chance.choice((0o400, 0o644, 0o755, 0o1777, 0o2750, 0o4711)) | 0o400)
        seconds = chance.choice((-(10**9), -1, 0, 1, 1_700_000_000, 5_000_000_000))
        nanos = chance.choice((0, 1, 999_999_999, 120_000_000))
        os.utime(path, ns=(0, seconds * 10**9 + nanos), follow_symlinks=False)
    expected = theirs(peer, tree, *flags, *FLAGS["unixfs-v0-2015"])
    assert ours(tmp_path / "data", tree, "--profile", "unixfs-v0-2015", *flags) == expected


# Trees of several levels, by chunks and nodes so small that a few kilobytes have them


def _built(profile: Profile, content: bytes) -> str:
    builder = FileBuilder(profile)
    for start in range(0, len(content), 1000):
        builder.write(content[start : start + 1000])
    return builder.finish()[1].cid.text()


@pytest.mark.parametrize("version", [0, 1])
def test_trees_of_several_levels_have_kubos_cids(peer: Kubo, tmp_path: Path, version: int) -> None:
    chunk, width = 64, 3
    kind = UNIXFS_V1_2025 if version else UNIXFS_V0_2015
    profile = replace(kind, chunk_bytes=chunk, width=width)
    content = random.Random(2).randbytes(chunk * width**4 + 2)
    sizes = {
        max(0, chunk * width**level * count + by)
        for level in range(5)
        for count in (1, 2)
        for by in (-chunk - 1, -chunk, -1, 0, 1, chunk, chunk + 1)
    }
    folder = tmp_path / "files"
    folder.mkdir()
    expected = {}
    for size in sorted(size for size in sizes if size <= len(content)):
        (folder / str(size)).write_bytes(content[:size])
        expected[f"files/{size}"] = _built(profile, content[:size])
    flags = ("--cid-version=1", "--raw-leaves") if version else ()
    told = theirs(peer, folder, f"--chunker=size-{chunk}", f"--max-file-links={width}", *flags)
    del told["files"]
    assert len(expected) > 40
    assert told == expected


# Sharded directories


def _entries(names: Iterable[str]) -> list[Entry]:
    block = Block.sealed(RAW, b"-")
    return [Entry(name, block.cid, 1) for name in names]


def _folder_of(folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"-")
    return folder


def _root(profile: Profile, names: Iterable[str]) -> str:
    return build_directory(profile, _entries(names)).cid.text()


SMALL = replace(UNIXFS_V1_2025, shard_above_bytes=SMALL_SHARD_BYTES, estimate=Estimate.LINKS)
V1_FLAGS = ("--cid-version=1", "--raw-leaves")


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 2])
def test_directories_at_the_bound_of_sharding_have_kubos_cids(
    small_shards: Kubo, tmp_path: Path, by: int
) -> None:
    cid_bytes, name_bytes, count = 36, 8, 20
    last = SMALL_SHARD_BYTES + by - count * (cid_bytes + name_bytes) - cid_bytes
    names = [f"{index:0{name_bytes}}" for index in range(count)] + ["w" * last]
    folder = _folder_of(tmp_path / "folder", names)
    assert theirs(small_shards, folder, *V1_FLAGS)["folder"] == _root(SMALL, names)


def _bits(name: str) -> int:
    return mmh3.hash64(name.encode(), 0, x64arch=True, signed=False)[0]


def test_shards_inside_shards_have_kubos_cids(small_shards: Kubo, tmp_path: Path) -> None:
    """Names whose hashes begin alike, so that they meet again four levels down."""
    # sorted by hash, neighbours share the longest beginnings
    hashed = sorted((_bits(f"name-{index}"), f"name-{index}") for index in range(300_000))
    pairs = sorted(((one[0] ^ two[0]).bit_length(), one[1], two[1]) for one, two in pairwise(hashed))
    assert pairs[0][0] <= 32, "the closest two share four levels of eight bits at least"
    names = {name for _, *two in pairs[:40] for name in two} | {f"other-{index}" for index in range(300)}
    folder = _folder_of(tmp_path / "folder", names)
    assert theirs(small_shards, folder, *V1_FLAGS)["folder"] == _root(SMALL, names)


@pytest.mark.parametrize("seed", range(6))
def test_directories_of_any_names_have_kubos_cids(small_shards: Kubo, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    letters = "abcXYZ019-_ éü日\u0301"
    names = {
        "".join(chance.choice(letters) for _ in range(chance.randint(1, 40)))
        for _ in range(chance.choice((5, 17, 22, 30, 400)))
    }
    folder = _folder_of(tmp_path / "folder", names)
    assert theirs(small_shards, folder, *V1_FLAGS)["folder"] == _root(SMALL, names)
