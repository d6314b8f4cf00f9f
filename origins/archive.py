"""A TAR whose content becomes the blocks it was added as again. Blocking: on a thread.

Theory of operation. It is read twice, by the code by which it was added (`blockstore.adding.tar`): first it
is hashed only, to see whether its root, or something in it, has the CID; then the directories are stored,
and each file that lacks against the CID that they give its path. So nothing of another archive is kept.
"""

import io
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO, Final, TypeVar, cast

from blockstore import Store
from blockstore.adding.reading import NOTHING, Attributes, Keep
from blockstore.adding.recipe import Recipe
from blockstore.adding.tar import add_tar, read_members
from blockstore.landings import Landings
from content.block import Block, BlockMissing
from content.cid import DAG_PB, Cid
from content.path import resolve
from content.unixfs.build_directory import DirectoryMade, Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder, FileMade
from content.unixfs.profile import Profile
from origins.folder_hash import BLOCKS_BYTES_MAX, Found, Parts
from origins.places import Fit
from origins.rebuild import Rebuild
from runtime.errors import BadRequest, Interrupted, NotFound, TooLarge, Unverified, UsageError

ENTRIES_MAX: Final = 250_000  # about 75 MB of names, twice that of the longest there are
_PIECE_BYTES: Final = 1 << 20
_Result = TypeVar("_Result")


class Archive:
    """One TAR, which may be read from its beginning more than once."""

    def __init__(
        self,
        store: Store,
        file: BinaryIO,
        recipe: Recipe,
        stop: threading.Event,
        *,
        most_bytes: int,
        packed: bool,
    ) -> None:
        """`stop`: set when nobody waits any more. `most_bytes`: of all files in it. `packed`: it may be
        compressed.
        """
        self._store, self._file, self._recipe, self._stop = store, file, recipe, stop
        self._most_bytes, self._packed = most_bytes, packed

    def restore(self, cid: Cid, wanted: Cid | None) -> Fit:
        """Have `cid`, the tree in it or a part of that: what is needed for the block `wanted`, or all of it.

        Raises Unverified when it holds no such thing, TooLarge, StoreFull, Interrupted.
        """
        watched = {each.multihash for each in (cid, wanted) if each is not None}
        for profile in self._recipe.profiles:
            hashing = _Hashing(profile, self._recipe.keep, watched, self._most_bytes)
            root = self._read(partial(add_tar, hashing))
            found = _found(root, hashing, cid, wanted)
            if found is not None:
                self._store_from(profile, hashing, found, wanted)
                recipe = Recipe(profile.name, True, self._recipe.mode, self._recipe.mtime)
                is_it = root.multihash == cid.multihash or cid.multihash in hashing.found
                return Fit(recipe.text, sub_path="/".join(found.parts)) if is_it else Fit()
        hint = "put it back as it was, or add it again under the CID it has now"
        what = "what is in the TAR has changed since it was added, or never was this"
        raise Unverified(what, where=cid.text(), hint=hint)

    def _read(self, read: Callable[..., _Result]) -> _Result:
        self._file.seek(0)
        file = cast(BinaryIO, _Stoppable(self._file, self._stop))
        try:
            return read(file, "", entries_max=ENTRIES_MAX, packed=self._packed)
        except UsageError as error:
            raise Unverified(f"it is not the TAR it was: {error.message}") from None

    def _store_from(self, profile: Profile, hashing: "_Hashing", found: Found, wanted: Cid | None) -> None:
        """Store what lies at `found`, or of that the directories and the file that has `wanted`."""
        dag, landings, depth = self._store.dag, Landings(), len(found.parts)
        dag.settle()  # damage that was just found counts as missing when it is on record
        for parts, block in hashing.blocks:
            if parts[:depth] == found.parts:
                dag.put_soon(block, landings)
        landings.wait()
        only = None if wanted is None else hashing.found.get(wanted.multihash)
        if wanted is not None and (only is None or hashing.holds(wanted)):
            return
        picking = _Picking(self._store, profile, self._recipe.keep, found, None if only is None else only.cid)
        self._read(partial(read_members, picking))
        picking.landings.wait()


def _found(root: Cid, hashing: "_Hashing", cid: Cid, wanted: Cid | None) -> Found | None:
    """What of the archive is asked for: all of it, or the part that has the CID or at least the block."""
    if root.multihash == cid.multihash:
        return Found((), root)
    part = hashing.found.get(cid.multihash)
    return part if part is not None or wanted is None else hashing.found.get(wanted.multihash)


class _Reading:
    """In place of `Adding`: what both readings of an archive have in common."""

    def __init__(self, keep: Keep) -> None:
        self.keep = keep

    def note(self, text: str) -> None:
        """See `Adding.note`."""

    def finish(self) -> None:
        """See `Adding.finish`."""

    def data(
        self, data: bytearray, attributes: Attributes, shown: str, then: Callable[[FileMade], None]
    ) -> None:
        """See `Adding.data`."""
        self.stream(cast(BinaryIO, io.BytesIO(data)), shown, then, attributes)

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """See `Adding.stream`."""
        raise AssertionError("each reading has its own")


class _Hashing(_Reading):
    """What members would become, and where what is `watched` (multihashes) belongs."""

    def __init__(self, profile: Profile, keep: Keep, watched: set[bytes], most_bytes: int) -> None:
        super().__init__(keep)
        self._profile, self._watched, self._left_bytes = profile, watched, most_bytes
        self._blocks_bytes = 0
        self.blocks: list[tuple[Parts, Block]] = []
        self.found: dict[bytes, Found] = {}

    def holds(self, cid: Cid) -> bool:
        """Whether a block is among `blocks`."""
        return any(block.cid.multihash == cid.multihash for _, block in self.blocks)

    def after(self, then: Callable[[], None]) -> None:
        """See `Adding.after`."""
        then()

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """See `Adding.stream`. Raises TooLarge."""
        builder = FileBuilder(self._profile, attributes.mode, attributes.mtime)
        names: set[bytes] = set()
        while data := file.read(_PIECE_BYTES):
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                raise TooLarge("what is in the archive is more than there is room for")
            names.update(each.cid.multihash for each in builder.write(data))
            names &= self._watched
        rest, made = builder.finish()
        names.update(each.cid.multihash for each in rest)
        for name in names & self._watched:
            self.found[name] = Found(_parts(shown), made.cid)
        then(made)

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        """See `Adding.symlink`."""
        block = build_symlink(self._profile, target, mtime=attributes.mtime)
        self._hold(_parts(shown), block, block.cid)
        then(Entry("", block.cid, len(block.data)))

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        """See `Adding.directory`. Raises TooLarge."""
        made = build_directory(self._profile, entries, attributes.mode, attributes.mtime)
        for block in made.blocks:
            self._hold(_parts(shown), block, made.cid)
        return made

    def _hold(self, parts: Parts, block: Block, of: Cid) -> None:
        self._blocks_bytes += len(block.data)
        if self._blocks_bytes > BLOCKS_BYTES_MAX:
            raise TooLarge(f"an archive whose directories have more than {BLOCKS_BYTES_MAX >> 20} MiB")
        self.blocks.append((parts, block))
        if block.cid.multihash in self._watched:
            self.found[block.cid.multihash] = Found(parts, of)


class _Picking(_Reading):
    """Stores the files whose CIDs the directories that are here by now tell.

    Of several members of one name those that are not the last do not match, and are passed over.
    """

    def __init__(self, store: Store, profile: Profile, keep: Keep, root: Found, only: Cid | None) -> None:
        super().__init__(keep)
        self.landings = Landings()
        self._store, self._profile, self._root, self._only = store, profile, root, only

    def after(self, then: Callable[[], None]) -> None:
        """Directories and links are there."""

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """See `Adding.stream`. Raises StoreFull."""
        cid = self._lacking(_parts(shown))
        if cid is None:
            return
        rebuild = Rebuild(self._store, cid, (self._profile,), attributes, self.landings)
        try:
            while data := file.read(_PIECE_BYTES):
                rebuild.write(data)
            rebuild.finish()
        except Unverified:
            rebuild.abort()
        except BaseException:
            rebuild.abort()
            raise

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        """They are there."""

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        """Directories are built in `after`, which passes over them here."""
        raise AssertionError("a directory was built outside `after`")

    def _lacking(self, parts: Parts) -> Cid | None:
        """The CID that a file has to have, where it is asked for and not here."""
        dag, depth = self._store.dag, len(self._root.parts)
        if parts[:depth] != self._root.parts:
            return None
        try:
            cid = resolve(self._root.cid, parts[depth:], dag.read_sound).terminal
        except (BlockMissing, NotFound, BadRequest, Unverified):
            return None  # another member of that name is what counts
        if self._only is not None:
            return cid if cid.multihash == self._only.multihash else None
        is_here = dag.whole_file(cid) is not None if cid.codec == DAG_PB else dag.has(cid)
        return None if is_here else cid


class _Stoppable(io.RawIOBase):
    """A file that cannot be read any more when nobody waits for what it is read for."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        super().__init__()
        self._source, self._stop = file, stop

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`. Raises Interrupted."""
        if self._stop.is_set():
            raise Interrupted("given up")
        return cast(int, self._source.readinto(buffer))  # type: ignore[attr-defined]


def _parts(shown: str) -> Parts:
    return tuple(part for part in shown.split("/") if part)
