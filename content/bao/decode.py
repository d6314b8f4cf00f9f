"""Proofs on their way in: feed bytes in any sizes, get back what is proven to belong to the root.

Sans-IO. Nothing is returned before it and every node above it matched; one mismatch refuses that feed
and the decoder. The header's size is a claim until the last chunk is proven; nothing is allocated from
it, and at most one node or group (16 KiB) is held between feeds. Python walks the edges of the selection;
whole subtrees are verified natively.

What is returned aliases what was fed: a fed bytearray may not be overwritten while that is in use.
"""

from collections.abc import Iterator, Sequence
from typing import Self

from content.bao._native import Mismatch, Proven, Subtree, parent
from content.bao.geometry import CV_BYTES, HEADER_BYTES, NODE_BYTES, chunk_count
from content.bao.query import Everything, Query, Ranges, Slice
from content.bao.source import Buffer
from content.bao.walk import Node, Whole, walk, whole_bytes
from runtime.errors import BadRequest, Unverified


class Decoder:
    """One proof being checked against `root` (32 bytes). BadRequest for a root or ranges of wrong form."""

    def __init__(self, root: bytes, query: Query) -> None:
        if len(root) != CV_BYTES:
            raise BadRequest(f"a root has 32 bytes, not {len(root)}")
        self._query = query
        self._cvs = [bytes(root)]
        self._steps: Iterator[Node | Whole] = iter(())
        self._step: Node | Whole | None = None
        self._subtree: Subtree | None = None
        self._need = HEADER_BYTES
        self._held = bytearray()
        self._refused: Unverified | None = None
        self._done = False
        self.claimed_size_bytes: int | None = None
        self.size_bytes: int | None = None

    @classmethod
    def combined(cls, root: bytes) -> Self:
        """For the combined encoding."""
        return cls(root, Everything())

    @classmethod
    def slice(cls, root: bytes, start: int, length: int) -> Self:
        """For the slice that shows bytes `start..start + length`; whole groups around them are returned."""
        return cls(root, Slice(start, length))

    @classmethod
    def subgroup(cls, root: bytes, ranges: Sequence[tuple[int, int]]) -> Self:
        """For the sub-group form of byte ranges `start..stop`; whole chunks around them are returned."""
        return cls(root, Ranges(tuple(ranges)))

    @property
    def done(self) -> bool:
        """Whether the whole proof was read and everything in it matched."""
        return self._done

    def feed(self, data: Buffer) -> list[Proven]:
        """What the bytes so far prove, in the order of the blob, each byte once.

        Unverified names the first chunk of what differs, or says that bytes follow the end. Then nothing
        of this feed is returned and every later call fails the same way.
        """
        if self._refused is not None:
            raise self._refused
        view = memoryview(data)
        if view.ndim != 1 or view.itemsize != 1:
            view = view.cast("B")
        try:
            return self._feed(view)
        except Mismatch as bad:
            first, stop = bad.args
            self._refused = _differs("bytes or hashes of", first, stop)
        except Unverified as error:
            self._refused = error
        raise self._refused

    def finish(self) -> None:
        """The stream ended. Unverified when the proof is not complete, naming the chunk it waits for."""
        if self._refused is None and not self._done:
            missing = self._subtree.missing_bytes if self._subtree else self._need - len(self._held)
            self._refused = Unverified(
                f"the stream ended early: {missing} more bytes were needed for the next step of the proof",
                where=f"chunk {self._next_chunk()}",
                hint="the source broke off; fetch the rest again",
            )
        if self._refused is not None:
            raise self._refused

    def _feed(self, view: memoryview) -> list[Proven]:
        proven: list[Proven] = []
        at, end = 0, len(view)
        while not self._done:
            if self._subtree is not None:
                at, more = self._subtree.feed(view, at)
                proven += more
                if self._subtree.missing_bytes is not None:
                    return proven
                self._end_subtree()
                continue
            taken = view[at : at + self._need - len(self._held)]
            self._held += taken
            at += len(taken)
            if len(self._held) < self._need:
                return proven
            item, self._held = bytes(self._held), bytearray()
            self._take(item)
        if at < end:
            raise Unverified(
                f"{end - at} bytes follow the end of the proof",
                where=f"chunk {self._next_chunk()}",
                hint="the source sent more than was asked for",
            )
        return proven

    def _take(self, item: bytes) -> None:
        if self._step is None:
            self._take_header(item)
        else:
            assert isinstance(self._step, Node)
            self._take_node(self._step, item)

    def _take_header(self, header: bytes) -> None:
        self.claimed_size_bytes = int.from_bytes(header, "little")
        self._steps = walk(self.claimed_size_bytes, self._query.selected(self.claimed_size_bytes))
        self._advance()

    def _take_node(self, step: Node, node: bytes) -> None:
        left, right = node[:CV_BYTES], node[CV_BYTES:]
        if parent(left, right, self._is_root(step)) != self._cvs.pop():
            raise _differs("the hashes over", step.first, step.stop)
        if step.right:
            self._cvs.append(right)
        if step.left:
            self._cvs.append(left)
        self._advance()

    def _end_subtree(self) -> None:
        assert self._step is not None
        assert self.claimed_size_bytes is not None
        if self._step.stop == chunk_count(self.claimed_size_bytes):
            self.size_bytes = self.claimed_size_bytes
        self._subtree = None
        self._advance()

    def _advance(self) -> None:
        self._step = step = next(self._steps, None)
        if step is None:
            self._done = True
        elif isinstance(step, Node):
            self._need = NODE_BYTES
        else:
            assert self.claimed_size_bytes is not None
            size_bytes = whole_bytes(step, self.claimed_size_bytes)
            self._subtree = Subtree(self._cvs.pop(), step.first, size_bytes, self._is_root(step))

    def _is_root(self, step: Node | Whole) -> bool:
        assert self.claimed_size_bytes is not None
        return step.first == 0 and step.stop == chunk_count(self.claimed_size_bytes)

    def _next_chunk(self) -> int:
        if self._subtree is not None:
            return self._subtree.next_chunk or 0
        if self._step is not None:
            return self._step.first
        return chunk_count(self.claimed_size_bytes or 0) if self._done else 0


def _differs(what: str, first: int, stop: int) -> Unverified:
    chunks = f"chunk {first}" if stop - first == 1 else f"chunks {first} to {stop - 1}"
    return Unverified(
        f"{what} {chunks} do not match the root",
        where=f"chunk {first}",
        hint="the source is damaged or lying; fetch from another",
    )
