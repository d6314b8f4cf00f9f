"""The tree of a blob whose bytes arrive in any sizes: its root and all of its nodes.

Holds at most one segment of bytes (the first one until a second shows that it is not the whole blob) and
64 bytes a group of nodes: 4 MiB for a blob of 1 GiB.
"""

from dataclasses import dataclass

from content.bao._native import segment, upper
from content.bao.geometry import HEADER_BYTES, NODE_BYTES, SEGMENT_BYTES, left_leaves
from content.bao.source import Buffer
from runtime.errors import Conflict


@dataclass(frozen=True, slots=True)
class Hashed:
    """A finished tree: `segment_nodes[i]` are the group nodes of segment `i`, all nodes are in pre-order."""

    root: bytes
    size_bytes: int
    segment_nodes: tuple[bytes, ...]
    upper_nodes: bytes

    def outboard(self) -> bytes:
        """The outboard as it goes over the wire, its 8-byte size first."""
        parts = [self.size_bytes.to_bytes(HEADER_BYTES, "little")]
        stack = [(0, len(self.segment_nodes))]
        at = 0
        while stack:
            first, stop = stack.pop()
            if stop - first == 1:
                parts.append(self.segment_nodes[first])
                continue
            parts.append(self.upper_nodes[at : at + NODE_BYTES])
            at += NODE_BYTES
            middle = first + left_leaves(stop - first)
            stack += [(middle, stop), (first, middle)]
        return b"".join(parts)


class Tree:
    """Feed a blob from its first byte to its last, then `finish`. Conflict when used after that."""

    def __init__(self) -> None:
        self._size_bytes = 0
        self._held = bytearray()
        self._cvs = bytearray()
        self._nodes: list[bytes] = []
        self._finished = False

    def feed(self, data: Buffer) -> None:
        """Take the next bytes; nothing of `data` is kept by reference."""
        if self._finished:
            raise Conflict("this tree is finished; begin a new one for more bytes")
        view = memoryview(data)
        if view.ndim != 1 or view.itemsize != 1:
            view = view.cast("B")
        self._size_bytes += len(view)
        at = 0
        if self._held or not self._nodes:
            at = min(SEGMENT_BYTES - len(self._held), len(view))
            self._held += view[:at]
            if len(self._held) < SEGMENT_BYTES or at == len(view):
                return
            self._hash(memoryview(self._held))
            self._held = bytearray()
        while len(view) - at >= SEGMENT_BYTES:
            self._hash(view[at : at + SEGMENT_BYTES])
            at += SEGMENT_BYTES
        self._held += view[at:]

    def finish(self) -> Hashed:
        """The tree of everything fed."""
        if self._finished:
            raise Conflict("this tree is finished already")
        self._finished = True
        if not self._nodes:
            root, nodes = segment(self._held, 0, True)
            return Hashed(root, self._size_bytes, (nodes,), b"")
        if self._held:
            self._hash(memoryview(self._held))
        assert len(self._nodes) > 1, "a single segment is held back until a second begins"
        root, upper_nodes = upper(self._cvs)
        return Hashed(root, self._size_bytes, tuple(self._nodes), upper_nodes)

    def _hash(self, data: memoryview) -> None:
        cv, nodes = segment(data, len(self._nodes), False)
        self._cvs += cv
        self._nodes.append(nodes)
