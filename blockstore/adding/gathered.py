"""One directory out of members with paths that come in any order: of a TAR, of a form.

Names come from others. A path never leads out of the tree, and a name is a file or a folder, never both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol

from blockstore.adding.reading import NOTHING, Attributes, Keep
from content.cid import Cid
from content.unixfs.build_directory import NAME_BYTES_MAX, DirectoryMade, Entry
from content.unixfs.build_file import FileMade
from runtime.errors import UsageError

_DEPTH_MAX: Final = 400  # a frame of the stack a level


class Into(Protocol):
    """What members are given to; `blockstore.adding.adding.Adding` is one, and says what each method does."""

    @property
    def keep(self) -> Keep:
        """Which attributes are kept."""
        ...

    def note(self, text: str, /) -> None:
        """A remark."""
        ...

    def after(self, then: Callable[[], None]) -> None:
        """Have `then` called when everything given before is known."""
        ...

    def finish(self) -> None:
        """Return when all that was given is known."""
        ...

    def data(
        self, data: bytearray, attributes: Attributes, shown: str, then: Callable[[FileMade], None]
    ) -> None:
        """A small file."""
        ...

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """A file, read here and now."""
        ...

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        """A symlink."""
        ...

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        """A directory whose entries are known."""
        ...


@dataclass(slots=True)
class _Folder:
    """A directory; its members come in any order."""

    attributes: Attributes = NOTHING
    entries: dict[str, Entry] = field(default_factory=dict)
    folders: dict[str, "_Folder"] = field(default_factory=dict)


class Gathered:
    """The tree so far: about 300 bytes an entry. `folder` and `put` come in the order of the members."""

    def __init__(
        self, adding: Into, what: str, path: str, entries_max: int, *, replaces: bool = True
    ) -> None:
        """`what` it comes out of, and its `path`, are for errors. `replaces`: of one name the last counts."""
        self._adding, self._what, self._path = adding, what, path
        self._entries_max, self._replaces = entries_max, replaces
        self._root = _Folder()
        self._count = 0

    def parts(self, name: str) -> list[str]:
        """The path of a member. Raises UsageError for one that leads out, or that no file can have."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or name.startswith("/"):
            raise UsageError(f"a name in the {self._what} leads out of it", where=name[:200])
        if "\0" in name:
            message = f"a name in the {self._what} holds a NUL, which no file can have"
            raise UsageError(message, where=repr(name)[:200])
        if any(len(part.encode("utf-8", "surrogateescape")) > NAME_BYTES_MAX for part in parts):
            # said here and not by the directory: all of them wait for it in memory
            message = f"a name in the {self._what} has more than {NAME_BYTES_MAX} bytes"
            raise UsageError(message, where=name[:200])
        if len(parts) > _DEPTH_MAX:
            raise UsageError(f"more than {_DEPTH_MAX} folders inside one another", where=name[:200])
        return parts

    def folder(self, parts: list[str], attributes: Attributes) -> None:
        """A directory with these attributes. Raises UsageError."""
        self._at(parts).attributes = attributes

    def put(self, parts: list[str], entry: Entry) -> None:
        """A file or symlink; folders on the way are made. Raises UsageError."""
        parent, name = self._at(parts[:-1]), parts[-1]
        if name in parent.folders:
            raise UsageError(self._both(), where="/".join(parts)[:200])
        if name in parent.entries and not self._replaces:
            raise UsageError(f"two files of the {self._what} have one name", where="/".join(parts)[:200])
        self._counted()
        parent.entries[name] = Entry(name, entry.cid, entry.dag_bytes)

    def entry(self, parts: list[str]) -> Entry | None:
        """What was put at this path."""
        at: _Folder | None = self._root
        for part in parts[:-1]:
            at = None if at is None else at.folders.get(part)
        return at.entries.get(parts[-1]) if at is not None and parts else None

    def finish(self) -> Cid:
        """Make the directories when all that was given is known; the root, when all is durable."""
        roots: list[Cid] = []
        self._adding.after(lambda: roots.append(self._close(self._root, self._path).cid))
        self._adding.finish()
        return roots[0]

    def _at(self, parts: list[str]) -> _Folder:
        """The directory at a path, made when missing."""
        at = self._root
        for part in parts:
            if part in at.entries:
                raise UsageError(self._both(), where="/".join(parts)[:200])
            if part not in at.folders:
                self._counted()
                at.folders[part] = _Folder()
            at = at.folders[part]
        return at

    def _both(self) -> str:
        return f"a name in the {self._what} is a file and a folder"

    def _counted(self) -> None:
        self._count += 1
        if self._count > self._entries_max:
            raise UsageError(f"a {self._what} of more than {self._entries_max} entries", where=self._path)

    def _close(self, folder: _Folder, shown: str) -> Entry:
        """Make the directories, those inside first."""
        entries = list(folder.entries.values())
        for name, below in folder.folders.items():
            made = self._close(below, f"{shown}/{name}")
            entries.append(Entry(name, made.cid, made.dag_bytes))
        directory = self._adding.directory(entries, shown, folder.attributes)
        return Entry("", directory.cid, directory.dag_bytes)
