"""The walk over a DAG that is to be here whole, held as a value: where it stands, and what it wants.

Theory of operation. The walk goes depth first. It stands at one block; whoever drives it says that the block
is here (`found`, `receive`) or brings it. Behind a block with links the walk goes on at the first of them.
Where it stands is a stack of (block, link of it): that is the cursor, from which another process goes on.
Everything before the cursor was here once; what is no longer is noticed by a walk from the start.

Called by `pinning.here`. Pure.

Invariants
 1. The walk passes a block only when it was told that the block is here.
 2. Memory: the links of one path, one bit a block. Depth, links, blocks and a block's length are bounded.
 3. A cursor that does not fit the DAG makes the walk start over where it stops fitting, and never fails.
"""

import zlib
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from blockstore.marks import Marks
from content import cid as codecs
from content import varint
from content.block import MAX_BLOCK_BYTES
from content.cid import Cid
from content.cid import read as read_cid
from content.links import links
from content.unixfs import file as unixfs
from runtime.errors import BadRequest, TooLarge

CURSOR_BYTES_MAX: Final = 64 << 10
# Real DAGs are a few dozen levels deep; as `content.dag_walk`
LEVELS_MAX: Final = 10_000
# The widest nodes in use have some 20,000 links; that many waiting on one path take 20 MB
LINKS_MAX: Final = 1 << 17
_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
_VERSION: Final = 1
_CHECK_BYTES: Final = 4


@dataclass(slots=True)
class _Frame:
    """A block on the path, and which of its links the walk is at."""

    cid: Cid
    links: tuple[Cid, ...]
    next: int = 0
    in_file: bool = False
    is_file_root: bool = False
    bytes_before: int = 0  # passed before it; 0 also where a cursor led into it


class Walk:
    """One walk. `blocks`, `bytes_`, `content_bytes`: what was passed: different blocks, their bytes, and the
    bytes of content in them (of UnixFS nodes what they hold of files, of other blocks all).

    After a start from a cursor a block that occurs before and behind it counts twice.
    """

    def __init__(self, root: Cid, blocks_max: int, cursor: bytes = b"") -> None:
        """`cursor`: of `cursor()` of an earlier walk over the same root, or anything. Raises as `receive`."""
        self.root = root
        self._blocks_max = blocks_max
        self._marks: dict[int, Marks] = {}  # by codec: the same bytes under another codec have other links
        self.blocks = self.bytes_ = self.content_bytes = 0
        self.files: list[Cid] = []
        """Roots of UnixFS files that were passed whole; the caller takes them out."""
        self._links_waiting = 1
        self._frames = [_Frame(root, (root,))]  # the first stands for nothing and links to the root
        self._path: list[tuple[Cid, int]] = []  # of the cursor, the deepest first
        self.at: Cid | None = root
        """The block at which the walk stands; None at its end."""
        self.starts_over = not self._restore(cursor)
        self._settle()

    # Driving it

    def passed(self, ordinal: int) -> bool:
        """Whether the block the walk stands at was passed before; then it goes on behind it.

        `ordinal`: a small number that stands for the bytes of this block and of no other.
        """
        at = self._here()
        if self._on_path():
            self._marks_of(at.codec).add(ordinal)
            return False
        if self._marks_of(at.codec).add(ordinal):
            return False
        self._go_on()
        return True

    def has_links(self) -> bool:
        """Whether the block the walk stands at may have links: then `receive` it, else `found` will do."""
        return self._here().codec not in _LEAVES

    def found(self, size_bytes: int) -> None:
        """The block the walk stands at is here, and has no links."""
        self._count(size_bytes, size_bytes)
        self._go_on()

    def receive(self, data: bytes) -> None:
        """The bytes of the block the walk stands at, which is here: what it links to comes next.

        Raises BadRequest when they are not of the codec; TooLarge for a DAG above the bounds.
        """
        self._enter(self._here(), data)
        self._settle()

    def wanted(self, count: int, busy: Container[bytes] = ()) -> list[tuple[Cid, Cid | None]]:
        """Blocks to have next, in the order of the walk, at most `count` of one parent: each with its parent.

        `busy`: multihashes of blocks that are on their way with all that is below them.
        """
        found: dict[bytes, tuple[Cid, Cid | None]] = {}
        known = len(self._frames)
        for index, frame in enumerate(self._frames[1:], 1):
            if frame.cid.multihash in busy:
                known = index
                break
        for index in range(known - 1, -1, -1):
            frame = self._frames[index]
            first = frame.next + (index < len(self._frames) - 1)  # deeper frames stand inside `next`
            for cid in frame.links[first : first + count]:
                if not cid.is_identity and cid.multihash not in busy:
                    found.setdefault(cid.multihash, (cid, frame.cid if index else None))
            if len(found) >= count * 2:
                break
        return list(found.values())

    @property
    def links_waiting(self) -> int:
        """Links on the path that the walk has not come to; never fewer than blocks that are known wanted."""
        return sum(len(frame.links) - frame.next for frame in self._frames)

    def bytes_below(self, cid: Cid) -> int:
        """Bytes that were passed below a block on the path; after a start from a cursor rather too many."""
        return next((self.bytes_ - each.bytes_before for each in self._frames if each.cid == cid), 0)

    # The cursor

    def cursor(self) -> bytes:
        """Where the walk stands, in at most CURSOR_BYTES_MAX: of a very deep path its beginning."""
        out = bytearray((_VERSION,))
        for number in (self.blocks, self.bytes_, self.content_bytes):
            out += varint.encode(number)
        for frame in self._frames[1:]:
            step = frame.cid.raw + varint.encode(frame.next)
            if len(out) + len(step) > CURSOR_BYTES_MAX - _CHECK_BYTES:
                break
            out += step
        return bytes(out) + zlib.crc32(out).to_bytes(_CHECK_BYTES, "big")

    def _restore(self, cursor: bytes) -> bool:
        """Take the path of a cursor; False when it is not one of this root."""
        body, check = cursor[:-_CHECK_BYTES], cursor[-_CHECK_BYTES:]
        if not body or body[0] != _VERSION or zlib.crc32(body).to_bytes(_CHECK_BYTES, "big") != check:
            return False
        path: list[tuple[Cid, int]] = []
        try:
            blocks, at = varint.decode(body, 1)
            bytes_, at = varint.decode(body, at)
            content_bytes, at = varint.decode(body, at)
            while at < len(body):
                cid, at = read_cid(body, at)
                link, at = varint.decode(body, at)
                path.append((cid, link))
        except BadRequest:
            return False
        if not path or path[0][0] != self.root or len(path) > LEVELS_MAX:
            return False
        self._path = path[::-1]
        self.blocks, self.bytes_, self.content_bytes = blocks, bytes_, content_bytes
        return True

    def _on_path(self) -> bool:
        return bool(self._path) and self._path[-1][0] == self.at

    def _resumes(self, frame: _Frame) -> bool:
        """Go on inside `frame` where the cursor says; False when it says nothing that fits."""
        if not self._on_path():
            self._path.clear()
            return False
        _, link = self._path.pop()
        if link <= len(frame.links):
            frame.next = link
        else:
            self._path.clear()
        return True

    # Inside

    def _here(self) -> Cid:
        assert self.at is not None, "the walk is at its end"
        return self.at

    def _marks_of(self, codec: int) -> Marks:
        return self._marks.setdefault(codec, Marks())

    def _count(self, size_bytes: int, content_bytes: int) -> None:
        self.blocks += 1
        self.bytes_ += size_bytes
        self.content_bytes += content_bytes
        if self.blocks > self._blocks_max:
            raise TooLarge(f"a DAG of more than {self._blocks_max:,} blocks", where=self.root.text())

    def _go_on(self) -> None:
        self._frames[-1].next += 1
        self._settle()

    def _settle(self) -> None:
        """Come to the next block that has to be somewhere, or to the end."""
        frames = self._frames
        while frames:
            frame = frames[-1]
            if frame.next < len(frame.links):
                self.at = cid = frame.links[frame.next]
                if not cid.is_identity:
                    return
                if cid.codec in _LEAVES:
                    frame.next += 1
                else:
                    self._enter(cid, cid.digest)  # a block that is its own name is always here
                continue
            frames.pop()
            self._links_waiting -= len(frame.links)
            if frame.is_file_root:
                self.files.append(frame.cid)
            if frames:
                frames[-1].next += 1
        self.at = None

    def _enter(self, cid: Cid, data: bytes) -> None:
        """Go into a block that is here."""
        if len(data) > MAX_BLOCK_BYTES:
            raise TooLarge(f"a block of more than {MAX_BLOCK_BYTES:,} bytes", where=cid.text())
        below, content_bytes, is_file = _opened(cid, data)
        frame = _Frame(cid, below, 0, is_file, is_file and not self._frames[-1].in_file)
        if not self._resumes(frame):
            frame.bytes_before = self.bytes_
            if not cid.is_identity:
                self._count(len(data), content_bytes)
        if len(self._frames) > LEVELS_MAX:
            raise TooLarge(f"a DAG of more than {LEVELS_MAX:,} levels", where=cid.text())
        self._links_waiting += len(below)
        if self._links_waiting > LINKS_MAX:
            raise TooLarge(f"more than {LINKS_MAX:,} links above one block", where=cid.text())
        self._frames.append(frame)


def _opened(cid: Cid, data: bytes) -> tuple[tuple[Cid, ...], int, bool]:
    """(links, bytes of content, whether it is of a UnixFS file) of a block. Raises BadRequest."""
    if cid.codec != codecs.DAG_PB:
        return links(cid, data), len(data), False
    try:
        found = unixfs.node(cid, data)
    except BadRequest:
        return links(cid, data), 0, False  # dag-pb of another kind
    is_file = unixfs.is_file(found.message)
    return tuple(found.links.cids()), len(found.message.data or b"") if is_file else 0, is_file
