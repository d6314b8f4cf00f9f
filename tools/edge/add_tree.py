"""A file or a directory on the disk, on its way into a store.

Symlinks are followed where they are named on the command line and kept as symlinks below it. Entries that
are neither file, directory nor symlink are left out, with a note; what cannot be read ends the command,
because its root would stand for less than was asked for.
"""

import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Final

from blockstore.adding.adding import Adding
from content.cid import Cid
from content.unixfs.build_directory import Entry
from content.unixfs.build_file import FileMade
from runtime.errors import UsageError
from tools.edge.put import opened
from tools.frame import walk

_DEPTH_MAX: Final = 400  # a frame of the stack a level; the deepest source trees have some 30


def add_path(adding: Adding, path: str, *, hidden: bool) -> Cid:
    """Add what is named on the command line; returns its root when it is durable."""
    roots: list[Cid] = []
    name = os.path.basename(os.path.normpath(path)) or path
    if path == walk.STDIN:
        with opened(path) as file:
            adding.stream(file, path, lambda made: roots.append(made.cid))
    else:
        try:
            found = os.stat(path)
        except OSError as fault:
            raise walk.translated(fault, path) from None
        if stat.S_ISDIR(found.st_mode):
            _Tree(adding, hidden).folder(path, name, found, 0, lambda entry: roots.append(entry.cid))
        elif stat.S_ISREG(found.st_mode):
            adding.file(path, found.st_size, name, lambda made: roots.append(made.cid), follow=True)
        elif stat.S_ISFIFO(found.st_mode):  # such as a shell's <(command)
            with opened(path) as file:
                adding.stream(file, name, lambda made: roots.append(made.cid))
        else:
            raise UsageError("neither a file, a directory nor a pipe", where=path)
    adding.finish()
    return roots[0]


class _Tree:
    """A directory and what is below it, depth first in the order of names."""

    def __init__(self, adding: Adding, hidden: bool) -> None:
        self._adding = adding
        self._hidden = hidden

    def folder(self, path: str, shown: str, found: os.stat_result, depth: int, then: "_Then") -> None:
        """Add one directory; `then` gets its entry, without a name, in its turn."""
        if depth > _DEPTH_MAX:
            raise UsageError(f"more than {_DEPTH_MAX} folders inside one another", where=path[:200])
        entries: list[Entry] = []
        below = "/" if shown == "/" else f"{shown}/"
        for child in self._children(path):
            try:
                self._child(child, f"{below}{child.name}", depth, entries)
            except OSError as fault:
                if fault.filename is None:  # of standard output, where earlier files are told of meanwhile
                    raise
                raise walk.translated(fault, child.path) from None
        attributes = self._adding.keep.of(found.st_mode, found.st_mtime_ns)

        def close() -> None:
            made = self._adding.directory(entries, shown, attributes)
            then(Entry("", made.cid, made.dag_bytes))

        self._adding.after(close)

    def _children(self, path: str) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(path) as listing:
                found = [each for each in listing if self._hidden or not each.name.startswith(".")]
        except OSError as fault:
            raise walk.translated(fault, path) from None
        return sorted(found, key=lambda each: each.name)

    def _child(self, child: "os.DirEntry[str]", shown: str, depth: int, entries: list[Entry]) -> None:
        """Add one entry, or leave it out; it joins `entries` in its turn."""
        found = child.stat(follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            then = partial(_add_file, entries, child.name)
            self._adding.file(child.path, found.st_size, shown, then)
        elif stat.S_ISDIR(found.st_mode):
            self.folder(child.path, shown, found, depth + 1, partial(_add_entry, entries, child.name))
        elif stat.S_ISLNK(found.st_mode):
            attributes = self._adding.keep.of(found.st_mode, found.st_mtime_ns)
            target = os.readlink(child.path)
            self._adding.symlink(target, attributes, shown, partial(_add_entry, entries, child.name))
        else:
            self._adding.note(f"left out: {child.path} (neither a file, a folder nor a symlink)")


_Then = Callable[[Entry], None]


def _add_entry(entries: list[Entry], name: str, made: Entry) -> None:
    entries.append(Entry(name, made.cid, made.dag_bytes))


def _add_file(entries: list[Entry], name: str, made: FileMade) -> None:
    entries.append(Entry(name, made.cid, made.dag_bytes))
