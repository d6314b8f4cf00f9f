"""Files, directories and symlinks becoming UnixFS in a store, as they are found.

Files are read, chunked and hashed on a few threads (`crew`); what they became is heard in the order in which
they were found, and a directory is made when all that is in it is known. Small files and directories travel
to the store in bundles, a large file as a stream of segments; all are on their way while the next are read,
and `finish` waits until everything is durable.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO, Final

from blockstore import Store
from blockstore.adding.crew import Crew
from blockstore.adding.reading import NOTHING, Attributes, FileWork, Hand, Keep, Progress, Reader
from blockstore.bundle import Bundle
from blockstore.landings import Landings
from content.cid import Cid
from content.unixfs.build_directory import DirectoryMade, Entry, build_directory, build_symlink
from content.unixfs.build_file import FileMade
from content.unixfs.profile import Profile

Tell = Callable[[Cid, str, int], None]
_NODES_BYTES: Final = 1 << 20  # of directories and symlinks that wait for company


class Adding:
    """One tree on its way in. Use as a context; leaving it gives up what has not been finished."""

    def __init__(
        self,
        store: Store,
        profile: Profile,
        keep: Keep,
        progress: Progress,
        note: Callable[[str], None],
        tell: Tell,
    ) -> None:
        """`note` hears remarks, `tell` the CID, path and size of each entry, in order."""
        self.keep = keep
        self.note = note
        self._profile = profile
        self._tell = tell
        self._landings = Landings()
        self._crew: Crew[Hand, FileMade] = Crew(self._hand, Hand.submit)
        self._nodes = Bundle(store, self._landings)
        self._reader = Reader(store, profile, keep, self._landings, progress, note, self._crew.check)

    def __enter__(self) -> "Adding":
        self._crew.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._crew.__exit__(kind, error, trace)

    def finish(self) -> None:
        """Return when all that was given is known and durable. Raises what went wrong first."""
        self._crew.finish()
        self._nodes.submit(urgent=True)
        self._landings.wait()

    def after(self, then: Callable[[], None]) -> None:
        """Have `then` called when everything given before is known."""
        self._crew.after(then)

    def file(
        self,
        path: str,
        size_bytes: int,
        shown: str,
        then: Callable[[FileMade], None],
        *,
        follow: bool = False,
    ) -> None:
        """The file at `path`, a symlink only with `follow`; `then` is called in its turn."""
        work = FileWork(self._reader, path, size_bytes, follow)
        self._crew.give(work, size_bytes, partial(self._made, shown, then))

    def data(
        self, data: bytearray, attributes: Attributes, shown: str, then: Callable[[FileMade], None]
    ) -> None:
        """A small file that is in memory, as `file`."""

        def work(hand: Hand) -> FileMade:
            return self._reader.data(data, attributes, hand.bundle)

        self._crew.give(work, len(data), partial(self._made, shown, then))

    def stream(
        self, file: BinaryIO, shown: str, then: Callable[[FileMade], None], attributes: Attributes = NOTHING
    ) -> None:
        """A file that can only be read here and now, such as standard input."""
        made = self._reader.stream(file, shown, attributes)
        self._crew.after(partial(self._made, shown, then, made))

    def symlink(self, target: str, attributes: Attributes, shown: str, then: Callable[[Entry], None]) -> None:
        """A symlink; `then` gets an entry without a name. Its mode is left out, as kubo leaves it out."""
        block = build_symlink(self._profile, target, mtime=attributes.mtime)
        self._nodes.block(block)
        self._send_nodes()

        def made() -> None:
            self._tell(block.cid, shown, len(os.fsencode(target)))
            then(Entry("", block.cid, len(block.data)))

        self._crew.after(made)

    def directory(self, entries: Sequence[Entry], shown: str, attributes: Attributes) -> DirectoryMade:
        """A directory whose entries are known."""
        made = build_directory(self._profile, entries, attributes.mode, attributes.mtime)
        for block in made.blocks:
            self._nodes.block(block)
            self._send_nodes()
        self._tell(made.cid, shown, made.dag_bytes)
        return made

    def _made(self, shown: str, then: Callable[[FileMade], None], made: FileMade) -> None:
        self._tell(made.cid, shown, made.size_bytes)
        then(made)

    def _hand(self, pieces: Sequence[Callable[[Hand], FileMade]]) -> Hand:
        return Hand(self._reader, pieces)

    def _send_nodes(self) -> None:
        if self._nodes.held_bytes >= _NODES_BYTES:
            self._nodes.submit()
