"""What a file or a folder of the disk would become, without storing any of it. Blocking: on a thread.

It is read by the rules by which `add` reads it (`blockstore.adding`, `tools.edge.add_tree`). Every method is
a generator that pauses after a mebibyte or an entry, and so can be left at any time.
"""

import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from blockstore.adding.recipe import Recipe
from content.block import Block
from content.cid import Cid
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder
from content.unixfs.profile import Profile
from origins.disk import DEPTH_MAX, Spot, pieces
from runtime.errors import TooLarge, Unverified

# Of the directories of one folder, which are held until its root is known: some four million entries
BLOCKS_BYTES_MAX: Final = 256 << 20

Parts = tuple[str, ...]
Hashed = Generator[None, None, Entry]


@dataclass(frozen=True, slots=True)
class Found:
    """A file, symlink or directory: its path below what was added, and its CID."""

    parts: Parts
    cid: Cid


class FolderHash:
    """One reading. `blocks`: of the directories, those inside first. `found`: what the block `watched` (a
    multihash) is or belongs to.
    """

    def __init__(self, profile: Profile, recipe: Recipe, watched: bytes) -> None:
        self._profile, self._recipe, self._watched = profile, recipe, watched
        self._blocks_bytes = 0
        self.blocks: list[Block] = []
        self.found: Found | None = None

    def entry(self, spot: Spot, parts: Parts) -> Hashed:
        """What lies at a spot. Raises OSError, Unverified, TooLarge."""
        mode = spot.status().st_mode
        if stat.S_ISDIR(mode):
            return (yield from self._directory(spot, parts))
        if stat.S_ISREG(mode):
            return (yield from self._file(spot, parts))
        if stat.S_ISLNK(mode):
            return self._symlink(spot, parts)
        raise Unverified("what it was added from is something else by now")

    def _directory(self, spot: Spot, parts: Parts) -> Hashed:
        if len(parts) > DEPTH_MAX:
            raise TooLarge(f"more than {DEPTH_MAX} folders inside one another")
        entries: list[Entry] = []
        with spot.opened(folder=True) as fd:
            status = os.fstat(fd)
            for child in _children(fd, hidden=not self._recipe.no_hidden):
                if stat.S_IFMT(child.status().st_mode) in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK):
                    made = yield from self.entry(child, (*parts, child.name))
                    entries.append(Entry(child.name, made.cid, made.dag_bytes))
                    yield
        attributes = self._recipe.keep.of(status.st_mode, status.st_mtime_ns)
        directory = build_directory(self._profile, entries, attributes.mode, attributes.mtime)
        for block in directory.blocks:
            self._watch(block.cid, parts, directory.cid)
            self._hold(block)
        return Entry("", directory.cid, directory.dag_bytes)

    def _file(self, spot: Spot, parts: Parts) -> Hashed:
        is_watched = False
        with spot.opened() as fd:
            status = os.fstat(fd)
            attributes = self._recipe.keep.of(status.st_mode, status.st_mtime_ns)
            builder = FileBuilder(self._profile, attributes.mode, attributes.mtime)
            for data in pieces(fd):
                made = builder.write(data)
                is_watched = is_watched or any(each.cid.multihash == self._watched for each in made)
                yield
        rest, file = builder.finish()
        if is_watched or any(each.cid.multihash == self._watched for each in rest):
            self.found = Found(parts, file.cid)
        return Entry("", file.cid, file.dag_bytes)

    def _symlink(self, spot: Spot, parts: Parts) -> Entry:
        block = symlink_block(spot, self._profile, self._recipe)
        self._watch(block.cid, parts, block.cid)
        self._hold(block)
        return Entry("", block.cid, len(block.data))

    def _watch(self, cid: Cid, parts: Parts, of: Cid) -> None:
        if cid.multihash == self._watched:
            self.found = Found(parts, of)

    def _hold(self, block: Block) -> None:
        self._blocks_bytes += len(block.data)
        if self._blocks_bytes > BLOCKS_BYTES_MAX:
            raise TooLarge(f"a folder whose directories have more than {BLOCKS_BYTES_MAX >> 20} MiB")
        self.blocks.append(block)


def symlink_block(spot: Spot, profile: Profile, recipe: Recipe) -> Block:
    """A symlink as `add` makes it: of what may be kept its time alone. Raises OSError."""
    status = spot.status()
    mtime = recipe.keep.of(status.st_mode, status.st_mtime_ns).mtime
    return build_symlink(profile, spot.target(), mtime=mtime)


def _children(fd: int, *, hidden: bool) -> list[Spot]:
    with os.scandir(fd) as listing:
        return [Spot(fd, each.name) for each in listing if hidden or not each.name.startswith(".")]
