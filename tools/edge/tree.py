"""A UnixFS tree, walked once and handed to whoever writes it down: a folder, or an archive.

Depth first in the order of the links, so that the blocks are wanted in the order in which a CAR brings them.

Invariants
 1. A name that could lead out of its folder (`..`, a slash, NUL, nothing) ends the walk, and so does a name
    that a folder has twice.
 2. Memory: the names of the folders on the path to where the walk is, and one block a level.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from content.cid import DAG_PB, Cid
from content.dag_pb import Link
from content.unixfs import directory, hamt
from content.unixfs.file import Node, node, size_of
from content.unixfs.message import Kind, Message
from runtime.errors import Forbidden

# Two frames of the stack a level; `add` takes no deeper ones either
DEPTH_MAX: Final = 400


class Blocks(Protocol):
    """Where the blocks of a tree come from."""

    def read(self, cid: Cid) -> bytes:
        """The verified bytes of a block. Raises BlockMissing and what its source raises."""
        ...

    def pieces(self, cid: Cid, block: bytes, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Bytes [start, stop) of the file whose root block was just read."""
        ...


@dataclass(frozen=True, slots=True)
class FileAt:
    """A file of the tree. `pieces` can be taken once, and before the walk goes on."""

    name: str
    message: Message | None
    size_bytes: int
    pieces: Iterator[bytes]


class Writer(Protocol):
    """Writes a tree down. The walk calls it in order; names were checked."""

    def enter(self, name: str, message: Message | None) -> None:
        """A folder begins."""
        ...

    def leave(self, message: Message | None) -> None:
        """The folder that was entered last is complete."""
        ...

    def file(self, file: FileAt) -> None:
        """A file."""
        ...

    def symlink(self, name: str, target: str, message: Message, depth: int) -> None:
        """A symlink, `depth` folders below the root of the tree."""
        ...


@dataclass(slots=True)
class Walked:
    """What a walk has handed over."""

    files: int = 0
    folders: int = 0
    symlinks: int = 0
    size_bytes: int = 0


def write_tree(cid: Cid, name: str, blocks: Blocks, writer: Writer) -> Walked:
    """Hand the tree at `cid` to `writer`, its root called `name`.

    Raises Forbidden for names that are not safe to write, BadRequest for what is no UnixFS.
    """
    walked = Walked()
    visit(cid, name, (), blocks, writer, walked)
    return walked


def visit(
    cid: Cid, name: str, above: tuple[str, ...], blocks: Blocks, writer: Writer, walked: Walked
) -> None:
    """As `write_tree`, of what lies below the folders `above`, which `writer` has entered."""
    if len(above) > DEPTH_MAX:
        raise Forbidden(f"more than {DEPTH_MAX} folders inside one another", where="/".join(above)[:200])
    block = blocks.read(cid)
    found = node(cid, block) if cid.codec == DAG_PB else None
    kind = Kind.FILE if found is None else found.message.kind
    message = None if found is None else found.message
    if directory.is_directory(kind):
        writer.enter(name, message)
        walked.folders += 1
        below = (*above, name)
        for link in checked_entries(cid, block, blocks, below):
            visit(link.cid, link.name or "", below, blocks, writer, walked)
        writer.leave(message)
    elif kind is Kind.SYMLINK:
        assert message is not None
        target = (message.data or b"").decode("utf-8", "surrogateescape")
        writer.symlink(name, target, message, len(above))
        walked.symlinks += 1
    else:
        size = size_of(cid, block)
        writer.file(FileAt(name, message, size, blocks.pieces(cid, block)))
        walked.files += 1
        walked.size_bytes += size


def checked_entries(cid: Cid, block: bytes, blocks: Blocks, above: tuple[str, ...]) -> Iterator[Link]:
    """The entries of a directory as they stand in it. Raises Forbidden at a name that must not be written."""
    names: set[str] = set()
    for link in entries(node(cid, block), cid, blocks):
        name = link.name or ""
        where = "/".join((*above, name))[:200]
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            hint = "`fleek-edge dag export` takes it as it is"
            raise Forbidden("the name of an entry would lead out of its folder", where=where, hint=hint)
        if name in names:
            raise Forbidden("two entries of a folder have one name", where=where)
        names.add(name)
        yield link


def entries(found: Node, cid: Cid, blocks: Blocks) -> Iterator[Link]:
    """The entries of a directory, sharded or not, unchecked, in the order in which a CAR brings them."""
    if found.message.kind is Kind.HAMT_SHARD:
        yield from hamt.entries(cid, found, blocks.read)
    else:
        yield from found.links.links()
