"""`fleek-edge add`: files, directories, symlinks, standard input and TARs as UnixFS.

One pass over the bytes: they are chunked and hashed for their CIDs while the store takes them as one blob a
file. Small files share commits; a directory is written when all below it is.
"""

import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import click

from blockstore import Root, Store
from blockstore.flat import Flat
from blockstore.landings import Landings
from content.cid import Cid
from content.unixfs.build_directory import Entry, build_directory, build_symlink
from content.unixfs.build_file import FileBuilder, FileMade, LeafMade, Made
from content.unixfs.message import Mtime
from content.unixfs.profile import PROFILES, UNIXFS_V1_2025, Profile
from runtime.errors import UsageError
from tools.edge import walk
from tools.edge.invocation import Invocation, command
from tools.edge.output import Progress
from tools.edge.put import opened

_READ_BYTES: Final = 1 << 20
_DEPTH_MAX: Final = 400  # two frames of the stack a level; the deepest source trees have some 30
_TAR_ENTRIES_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Choices:
    """How things are added."""

    profile: Profile
    hidden: bool
    keep_mode: bool
    keep_mtime: bool

    def attributes(self, found: os.stat_result) -> tuple[int | None, Mtime | None]:
        """Mode and mtime of a file, where they are to be kept."""
        seconds, nanos = divmod(found.st_mtime_ns, 1_000_000_000)
        mode = stat.S_IMODE(found.st_mode) if self.keep_mode else None
        return mode, Mtime(seconds, nanos or None) if self.keep_mtime else None


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--profile", "profile_name", type=click.Choice(sorted(PROFILES)), default=UNIXFS_V1_2025.name,
    show_default=True, help="Decides which CIDs the same bytes get.",
)  # fmt: skip
@click.option("-Q", "--quieter", is_flag=True, help="Print the last root only.")
@click.option("--hidden/--no-hidden", "-H/ ", default=True, show_default=True, help="Names with a dot first.")
@click.option("--preserve-mode", is_flag=True, help="Keep permissions in the DAG.")
@click.option("--preserve-mtime", is_flag=True, help="Keep times of change in the DAG.")
@click.option("--tar", "as_tar", is_flag=True, help="PATHs are TAR archives: add what is in them.")
@click.option("--no-pin", is_flag=True, help="Keep for the lease time only; gc may take it afterwards.")
@click.option("--name", metavar="NAME", default="", help="Name of the pin.")
@command
def add(
    invocation: Invocation,
    /,
    paths: tuple[str, ...],
    profile_name: str,
    quieter: bool,
    **flags: bool,
) -> None:
    """Store files and directories as UnixFS, under the CIDs that other IPFS tools give them.

    - is standard input. Prints a CID and a path per file and directory, the root last. Roots are pinned, so
    that gc leaves them alone.

    \b
    Example:
      fleek-edge add site/ -Q
      tar c site | fleek-edge add --tar - --json
      fleek-edge add --profile unixfs-v0-2015 photo.jpg
    """
    name = str(flags.pop("name", ""))
    choices = Choices(
        PROFILES[profile_name], flags["hidden"], flags["preserve_mode"], flags["preserve_mtime"]
    )
    walk.check_named(paths)
    total_bytes = walk.total_bytes(paths) if sys.stderr.isatty() and not invocation.out.as_json else None
    with (
        invocation.store(create=True) as store,
        invocation.out.progress("adding", total_bytes) as progress,
    ):
        last = ""
        for path in paths:
            adding = _Adding(invocation, store, choices, progress, quiet=quieter)
            root = adding.tar(path) if flags["as_tar"] else adding.path(path)
            adding.landings.wait()
            if not flags["no_pin"]:
                store.dag.pin(root, Root.pin(name))
            last = root.text()
        if quieter:
            invocation.out.record({"cid": last}, last, flush=True)


class _Adding:
    """One argument on its way in."""

    def __init__(
        self, invocation: Invocation, store: Store, choices: Choices, progress: Progress, *, quiet: bool
    ) -> None:
        self._out, self._dag, self._choices = invocation.out, store.dag, choices
        self._progress, self._quiet = progress, quiet
        self.landings = Landings()

    def path(self, path: str) -> Cid:
        """Add a path given on the command line; returns its root."""
        if path == walk.STDIN:
            with opened(path) as file:
                return self._file(file, path, path).cid
        entry = self._entry(path, os.path.basename(os.path.normpath(path)) or path, 0)
        assert entry is not None, "what is named on the command line is added or refused"
        return entry.cid

    def tar(self, path: str) -> Cid:
        """Add what is in a TAR as one directory; returns its root."""
        tree = _TarTree()
        with opened(path) as file:
            try:
                with tarfile.open(fileobj=file, mode="r|*") as archive:
                    for member in archive:
                        self._member(archive, member, tree)
            except tarfile.TarError as error:
                raise UsageError(f"not a sound TAR: {error}", where=path) from None
        return self._folder(tree, path).cid

    def _entry(self, path: str, shown: str, depth: int) -> Entry | None:
        if depth > _DEPTH_MAX:
            raise UsageError(f"more than {_DEPTH_MAX} folders inside one another", where=path[:200])
        name = os.path.basename(os.path.normpath(path))
        try:
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode) and depth:
                return self._symlink(os.readlink(path), name, found)
            if not depth:
                found = os.stat(path)
        except OSError as fault:
            raise walk.translated(fault, path) from None
        if stat.S_ISDIR(found.st_mode):
            return self._directory(path, name, shown, found, depth)
        if not stat.S_ISREG(found.st_mode):
            self._out.warn(f"left out: {path} (neither a file, a folder nor a symlink)")
            return None
        with opened(path) as file:
            mode, mtime = self._choices.attributes(found)
            made = self._file(file, path, shown, mode, mtime)
        return Entry(name, made.cid, made.dag_bytes)

    def _directory(self, path: str, name: str, shown: str, found: os.stat_result, depth: int) -> Entry:
        try:
            names = sorted(os.listdir(path))
        except OSError as fault:
            raise walk.translated(fault, path) from None
        entries = []
        for child in names:
            if child.startswith(".") and not self._choices.hidden:
                continue
            entry = self._entry(os.path.join(path, child), f"{shown}/{child}", depth + 1)
            if entry is not None:
                entries.append(entry)
        mode, mtime = self._choices.attributes(found)
        return self._close_directory(entries, name, shown, mode, mtime)

    def _close_directory(
        self, entries: list[Entry], name: str, shown: str, mode: int | None, mtime: Mtime | None
    ) -> Entry:
        made = build_directory(self._choices.profile, entries, mode, mtime)
        for block in made.blocks:
            self._dag.put_soon(block, self.landings)
        self._tell(made.cid, shown, made.dag_bytes)
        return Entry(name, made.cid, made.dag_bytes)

    def _symlink(self, target: str, name: str, found: os.stat_result) -> Entry:
        mode, mtime = self._choices.attributes(found)
        block = build_symlink(self._choices.profile, target, mode, mtime)
        self._dag.put_soon(block, self.landings)
        return Entry(name, block.cid, len(block.data))

    def _file(
        self,
        file: BinaryIO,
        path: str,
        shown: str,
        mode: int | None = None,
        mtime: Mtime | None = None,
    ) -> FileMade:
        self.landings.check()
        builder = FileBuilder(self._choices.profile, mode, mtime)
        flat = Flat(self._dag, self._dag.new_ingest(), self.landings)
        try:
            for data in _pieces(file, path):
                self._take(flat, builder.write(data))
                flat.write(data)
                self._progress.advance(len(data))
            rest, made = builder.finish()
            self._take(flat, rest)
        except BaseException:
            flat.abort()
            raise
        flat.finish_soon(made.cid)
        self._tell(made.cid, shown, made.size_bytes)
        return made

    def _take(self, flat: Flat, made: list[Made]) -> None:
        for each in made:
            if isinstance(each, LeafMade):
                flat.leaf(each.cid.multihash, each.offset, each.length, each.prefix, each.suffix)
            else:
                flat.inner(each)

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo, tree: "_TarTree") -> None:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts or member.name.startswith("/"):
            raise UsageError("a name in the TAR leads out of it", where=member.name[:200])
        if not parts or not (member.isfile() or member.isdir() or member.issym()):
            return
        mode = member.mode & 0o7777 if self._choices.keep_mode else None
        mtime = Mtime(int(member.mtime)) if self._choices.keep_mtime else None
        if member.isdir():
            tree.folder(parts)
        elif member.issym():
            block = build_symlink(self._choices.profile, member.linkname, mode, mtime)
            self._dag.put_soon(block, self.landings)
            tree.put(parts, Entry(parts[-1], block.cid, len(block.data)))
        else:
            content = archive.extractfile(member)
            assert content is not None, "isfile() has checked"
            made = self._file(content, member.name, "/".join(parts), mode, mtime)  # type: ignore[arg-type]
            tree.put(parts, Entry(parts[-1], made.cid, made.dag_bytes))

    def _folder(self, tree: "_TarTree", shown: str) -> Entry:
        entries = list(tree.entries.values())
        for name, below in tree.folders.items():
            made = self._folder(below, f"{shown}/{name}")
            entries.append(Entry(name, made.cid, made.dag_bytes))
        return self._close_directory(entries, "", shown, None, None)

    def _tell(self, cid: Cid, shown: str, size_bytes: int) -> None:
        if not self._quiet:
            record = {"path": shown, "cid": cid.text(), "size_bytes": size_bytes}
            self._out.record(record, f"{cid}  {shown}")


class _TarTree:
    """The folders of a TAR, whose members come in any order. Bounded by `_TAR_ENTRIES_MAX` in all."""

    count = 0

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.folders: dict[str, _TarTree] = {}

    def folder(self, parts: list[str]) -> "_TarTree":
        """The folder at a path, made when missing. Raises UsageError for one that is a file as well."""
        at = self
        if len(parts) > _DEPTH_MAX:
            raise UsageError(
                f"more than {_DEPTH_MAX} folders inside one another", where="/".join(parts)[:200]
            )
        for part in parts:
            if part in at.entries:
                raise UsageError("a name in the TAR is a file and a folder", where="/".join(parts)[:200])
            at = at.folders.setdefault(part, _TarTree())
        return at

    def put(self, parts: list[str], entry: Entry) -> None:
        """Put a file or symlink at a path; the last of one name counts, as tar has it."""
        parent = self.folder(parts[:-1])
        if parts[-1] in parent.folders:
            raise UsageError("a name in the TAR is a file and a folder", where="/".join(parts)[:200])
        parent.entries[parts[-1]] = entry
        self.count += 1
        if self.count > _TAR_ENTRIES_MAX:
            raise UsageError(f"a TAR of more than {_TAR_ENTRIES_MAX} entries")


def _pieces(file: BinaryIO, path: str) -> Iterator[bytes]:
    try:
        while data := file.read(_READ_BYTES):
            yield data
    except OSError as fault:
        raise walk.translated(fault, path) from None
