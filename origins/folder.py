"""A file or a folder of this machine that becomes the blocks it was added as again. Blocking: on a thread.

Theory of operation. The root names directories, and these what is in them. Where a directory is here its
entries say which CID each path below it has to have, so that only the path that is asked for is read. A
directory that is lost needs all below it read: that is hashed first (`folder_hash`), and its blocks are
stored when its root is what was lost. Files are stored one by one, each against its own CID (`rebuild`).

Invariants
 1. Nothing enters the store that did not match a CID that was asked for, or that a directory here names.
 2. No symlink is followed below the address (`disk`).
 3. Each step of `steps` is a mebibyte, an entry or a block: it can be left between any two.
"""

import logging
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, suppress
from typing import Final

from blockstore import Store
from blockstore.adding.recipe import Recipe
from blockstore.landings import Landings
from blockstore.origin import Origin
from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.dag_walk import walk
from content.unixfs import directory
from content.unixfs.file import Node, is_file, node
from content.unixfs.hamt import Row
from content.unixfs.profile import Profile
from origins.disk import Spot, pieces, spot
from origins.folder_hash import FolderHash, Found, Parts, symlink_block
from origins.rebuild import Rebuild
from runtime.errors import BadRequest, EdgeError, NotFound, TooLarge, Unreachable, Unverified

log = logging.getLogger("fleek.origins")

_ROOT: Final[Parts] = ()
_RAW_V1: Final = bytes((1, codecs.RAW))
Steps = Generator[None, None, None]


class Folder:
    """One way back. Iterate `steps` to the end, or close them."""

    def __init__(self, store: Store, origin: Origin, cid: Cid, profile: Profile, wanted: Cid | None) -> None:
        """`cid`: of what lies at the origin's address and path. `wanted`: the one block of it that is needed;
        None for all that is not here. Raises BadRequest for an origin that cannot be read.
        """
        self._store, self._dag, self._origin, self._cid = store, store.dag, origin, cid
        self._profile, self._recipe = profile, Recipe.parsed(origin.profile)
        self._base = tuple(origin.sub_path.split("/")) if origin.sub_path else _ROOT
        self._wanted = wanted
        self._landings = Landings()
        self.size_bytes: int | None = None  # of a file that came back
        self._problem: EdgeError | None = None
        self._lacking: list[Found] = []  # directories, perhaps files, whose own block is not here
        self._files: list[Found] = []  # of several blocks, which may lack one

    def steps(self) -> Steps:
        """Do it, a step at a time. Raises Unverified where something has changed, NotFound where it is gone,
        Unreachable, StoreFull; whatever else came back stays.
        """
        if self._wanted is None:
            yield from self._all()
        else:
            yield from self._one(self._wanted.multihash)
        self._landings.wait()
        if self._problem is not None:
            raise self._problem

    # All that lacks

    def _all(self) -> Steps:
        yield from self._tried(Found(_ROOT, self._cid))
        waiting = [(_ROOT, self._rows(self._cid))]
        while waiting:
            parts, rows = waiting[-1]
            row = next(rows, None)
            if row is None:
                waiting.pop()
                continue
            below = Found((*parts, row[0]), Cid.from_bytes(row[1]))
            yield from self._tried(below)
            if below.cid.codec == codecs.DAG_PB:
                waiting.append((below.parts, self._rows(below.cid)))

    def _tried(self, found: Found) -> Steps:
        """Have one thing, a directory without what is in it; what it fails by is kept for the end."""
        try:
            if not self._is_here(found.cid):
                yield from self._restored(found)
        except (NotFound, Unverified, Unreachable, BadRequest, TooLarge) as error:
            log.info("%s in %s: %s", "/".join(found.parts) or ".", self._origin.address, error.message)
            self._problem = self._problem or error

    def _is_here(self, cid: Cid) -> bool:
        """Whether nothing of a file, a symlink or a directory's own blocks lacks."""
        if cid.is_identity or cid.codec != codecs.DAG_PB:
            return self._dag.has(cid)
        try:
            found = node(cid, self._dag.read_sound(cid))
            if is_file(found.message):
                return self._dag.whole_file(cid) is not None or not found.links.cids()
            if directory.is_directory(found.message.kind):
                for _ in directory.runs(cid, found, self._dag.read_sound):
                    pass
        except BlockMissing:
            return False
        return True

    def _rows(self, cid: Cid) -> Iterator[Row]:
        """The entries of what is a directory, as far as it is here."""
        with suppress(BlockMissing, BadRequest, Unverified):
            found = self._directory(cid)
            if found is not None:
                for run in directory.runs(cid, found, self._dag.read_sound):
                    if not isinstance(run, Cid):
                        yield from run

    def _directory(self, cid: Cid) -> Node | None:
        if cid.codec != codecs.DAG_PB:
            return None
        found = node(cid, self._dag.read_sound(cid))
        return found if directory.is_directory(found.message.kind) else None

    # One block

    def _one(self, wanted: bytes) -> Steps:
        found = yield from self._located(wanted)
        if found is None:
            found = yield from self._read_for(wanted)
        if found is not None:
            yield from self._restored(found)
        elif self._problem is None:
            raise NotFound("it is not in what it was added from any more")

    def _located(self, wanted: bytes) -> Generator[None, None, Found | None]:
        """Where a block belongs, by the directories and files that are here."""
        if wanted == self._cid.multihash:
            return Found(_ROOT, self._cid)
        waiting = [Found(_ROOT, self._cid)]
        while waiting:
            at = waiting.pop()
            yield
            try:
                hit = self._look_in(at, wanted, waiting)
            except BlockMissing as missing:
                if missing.cid.multihash == wanted:
                    return at  # a shard
                self._lacking.append(at)
                continue
            except (BadRequest, Unverified):
                continue
            if hit is not None:
                return hit
        for at in self._files:
            yield
            if self._dag.whole_file(at.cid) is None and self._has_block(at.cid, wanted):
                return at
        return None

    def _look_in(self, at: Found, wanted: bytes, waiting: list[Found]) -> Found | None:
        """The entry with that name; directories below `at` are to wait. Raises BlockMissing, BadRequest."""
        if at.cid.codec != codecs.DAG_PB:
            return None
        found = node(at.cid, self._dag.read_sound(at.cid))
        if is_file(found.message):
            if found.links.cids():
                self._files.append(at)
        elif directory.is_directory(found.message.kind):
            for run in directory.runs(at.cid, found, self._dag.read_sound):
                if isinstance(run, Cid):
                    if run.multihash == wanted:
                        return at
                    continue
                for name, raw, _ in run:
                    if raw.endswith(wanted):
                        return Found((*at.parts, name), Cid.from_bytes(raw))
                    if not raw.startswith(_RAW_V1):
                        waiting.append(Found((*at.parts, name), Cid.from_bytes(raw)))
        return None

    def _has_block(self, file: Cid, wanted: bytes) -> bool:
        with suppress(BadRequest):
            return any(each.multihash == wanted for each in walk(file, self._read_or_nothing))
        return False

    def _read_or_nothing(self, cid: Cid) -> bytes:
        try:
            return self._dag.read_sound(cid)
        except BlockMissing:
            return b""

    def _read_for(self, wanted: bytes) -> Generator[None, None, Found | None]:
        """Where a block belongs, by hashing what is behind every directory and file that is not here."""
        for lacking in self._lacking:
            hashing = FolderHash(self._profile, self._recipe, wanted)
            try:
                yield from self._hashed(lacking, hashing)
            except (NotFound, Unverified, Unreachable) as error:
                self._problem = self._problem or error
            if hashing.found is not None:
                self._problem = None
                return hashing.found
        return None

    # From the disk

    def _restored(self, found: Found) -> Steps:
        """Store what is at a path if it has the CID, of a directory the blocks that are its own and those of
        directories below. Raises Unverified, NotFound, Unreachable, StoreFull.
        """
        with self._spot(found.parts) as at:
            mode = at.status().st_mode
            if stat.S_ISREG(mode):
                yield from self._file(at, found.cid)
                return
            if stat.S_ISLNK(mode):
                block = symlink_block(at, self._profile, self._recipe)
                self._check(block.cid, found.cid)
                self._dag.put_soon(block, self._landings)
                return
        yield from self._hashed(found, FolderHash(self._profile, self._recipe, b""))

    def _file(self, at: Spot, cid: Cid) -> Steps:
        with at.opened() as fd:
            status = os.fstat(fd)
            attributes = self._recipe.keep.of(status.st_mode, status.st_mtime_ns)
            rebuild = Rebuild(self._store, cid, (self._profile,), attributes, self._landings)
            try:
                for data in pieces(fd):
                    rebuild.write(data)
                    yield
                rebuild.finish()
                if cid == self._cid:
                    self.size_bytes = rebuild.size_bytes
            except Unverified:
                rebuild.abort()
                raise _changed(cid) from None
            except BaseException:
                rebuild.abort()
                raise

    def _hashed(self, found: Found, hashing: FolderHash) -> Steps:
        """Read all that is at a path; when it has the CID its directories are stored, durably."""
        with self._spot(found.parts) as at, closing(hashing.entry(at, found.parts)) as reading:
            made = yield from reading
        self._check(made.cid, found.cid)
        self._dag.settle()  # damage that was just found counts as missing when it is on record
        for block in hashing.blocks:
            self._dag.put_soon(block, self._landings)
            yield
        self._landings.wait()

    def _spot(self, parts: Parts) -> AbstractContextManager[Spot]:
        return spot(self._origin.address, (*self._base, *parts))

    def _check(self, made: Cid, cid: Cid) -> None:
        if made.multihash != cid.multihash:
            raise _changed(cid)


def _changed(cid: Cid) -> Unverified:
    hint = "put it back as it was, or add it again under the CID it has now"
    return Unverified("what it was added from has changed since", where=cid.text(), hint=hint)
