"""A tree that an earlier run did not finish: what is there is proven where it lies, the rest is asked for.

The walk is that of `tools.edge.tree`. Directories and the inner nodes of files are asked for one by one; a
file is hashed leaf by leaf and goes on behind its last whole one, what lacks comes as a CAR of its own. Where
most of a folder lacks, or it is many small files, one CAR of all of it costs less than so many questions.

Nothing of what was left is believed: not names, not sizes, not that an earlier run wrote it. Memory: the
entries of the folders on the path to where the walk is, and one leaf.
"""

import stat
from collections.abc import Iterator, Sequence
from typing import Final

from content.block import MAX_BLOCK_BYTES
from content.cid import DAG_PB, Cid
from content.dag_pb import Link
from content.unixfs import directory
from content.unixfs.file import node, size_of
from content.unixfs.message import Kind
from runtime.errors import Forbidden
from tools.edge.proven import is_leaf, proven_bytes
from tools.edge.remote_blocks import RemoteBlocks
from tools.edge.tree import DEPTH_MAX, FileAt, Walked, checked_entries, visit
from tools.edge.tree_folder import FolderWriter

# What a question costs, in bytes of an answer: 50 ms at 10 Mbit/s
_QUESTION_BYTES: Final = 64 << 10


class TreeResumed:
    """The rest of one tree. `writer` has taken over what there is of it."""

    def __init__(self, blocks: RemoteBlocks, writer: FolderWriter) -> None:
        self._blocks, self._writer = blocks, writer
        self.walked = Walked()
        self.resumed_bytes = 0

    def finish(self, cid: Cid, name: str) -> None:
        """Bring all of the directory `cid` that is not here. Raises as `tools.edge.tree.write_tree`."""
        self._folder(cid, self._blocks.read(cid), name, ())

    def _folder(self, cid: Cid, block: bytes, name: str, above: tuple[str, ...]) -> None:
        if len(above) > DEPTH_MAX:
            where = "/".join(above)[:200]
            raise Forbidden(f"more than {DEPTH_MAX} folders inside one another", where=where)
        message = node(cid, block).message
        self._writer.enter(name, message)
        self.walked.folders += 1
        below = (*above, name)
        links = list(checked_entries(cid, block, self._blocks, below))
        if self._is_cheaper_whole(links):
            self._blocks.open(at=cid)
            again = self._blocks.read(cid)
            for link in checked_entries(cid, again, self._blocks, below):
                visit(link.cid, link.name or "", below, self._blocks, self._writer, self.walked)
            self._blocks.close()
        else:
            for link in links:
                self._entry(link.cid, link.name or "", below)
        self._writer.leave(message)

    def _is_cheaper_whole(self, links: Sequence[Link]) -> bool:
        """Whether to have a folder anew, going by what its links say of sizes: a guess, of cost alone."""
        alone_bytes = whole_bytes = 0
        for link in links:
            size_bytes = link.size_bytes or 0
            whole_bytes += size_bytes
            if self._writer.kind_left(link.name or "") is None:
                alone_bytes += size_bytes + _QUESTION_BYTES
            elif link.cid.codec == DAG_PB:
                alone_bytes += _QUESTION_BYTES
        return whole_bytes < alone_bytes

    def _entry(self, cid: Cid, name: str, above: tuple[str, ...]) -> None:
        left = self._writer.kind_left(name)
        if left == stat.S_IFREG and self._is_whole_leaf(cid, name):
            return
        if left is None or cid.codec != DAG_PB:
            self._whole(cid, name, above)
            return
        block = self._blocks.read(cid)
        kind = directory.kind_of(cid, block)
        if directory.is_directory(kind) and left == stat.S_IFDIR:
            self._folder(cid, block, name, above)
        elif kind in (Kind.FILE, Kind.RAW) and left == stat.S_IFREG:
            self._rest(cid, block, name)
        elif kind is Kind.SYMLINK:
            visit(cid, name, above, self._blocks, self._writer, self.walked)
        else:
            self._whole(cid, name, above)

    def _is_whole_leaf(self, cid: Cid, name: str) -> bool:
        """Take a file over that is one block, without a question."""
        with self._writer.left(name) as left:
            size = left.written_bytes
            if size > MAX_BLOCK_BYTES or not is_leaf(cid, left.read(0, size)):
                return False
            self._writer.rest(FileAt(name, None, size, iter(())), left, size)
        self._count(size, size)
        return True

    def _rest(self, cid: Cid, block: bytes, name: str) -> None:
        message, size = node(cid, block).message, size_of(cid, block)
        with self._writer.left(name) as left:
            start = min(size, proven_bytes(cid, block, self._blocks, left))
            pieces: Iterator[bytes] = iter(())
            if start < size:
                self._blocks.open(f"{start}:*", at=cid)
                pieces = self._blocks.pieces(cid, self._blocks.read(cid), start)
            self._writer.rest(FileAt(name, message, size, pieces), left, start)
        self._blocks.close()
        self._count(size, start)

    def _whole(self, cid: Cid, name: str, above: tuple[str, ...]) -> None:
        if cid.codec == DAG_PB:
            self._blocks.open(at=cid)
        visit(cid, name, above, self._blocks, self._writer, self.walked)
        self._blocks.close()

    def _count(self, size_bytes: int, resumed_bytes: int) -> None:
        self.walked.files += 1
        self.walked.size_bytes += size_bytes
        self.resumed_bytes += resumed_bytes
