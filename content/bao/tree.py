"""The tree of a blob whose bytes arrive in any sizes: its root and all of its nodes.

Holds at most one segment of bytes (the first one until a second shows that it is not the whole blob) and
64 bytes a group of nodes: 4 MiB for a blob of 1 GiB.
"""

from dataclasses import dataclass

from content.bao._native import segment, upper
from content.bao.geometry import HEADER_BYTES, NODE_BYTES, SEGMENT_BYTES, nodes_opened
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
        count, at = len(self.segment_nodes), 0
        for index, own in enumerate(self.segment_nodes):
            opened = nodes_opened(index, count)
            if opened:
                parts.append(self.upper_nodes[at : at + opened * NODE_BYTES])
                at += opened * NODE_BYTES
            parts.append(own)
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
        at, end = 0, len(view)
        self._size_bytes += end
        cvs, nodes = self._cvs, self._nodes
        if self._held or not nodes:
            at = min(SEGMENT_BYTES - len(self._held), end)
            self._held += view[:at]
            if len(self._held) < SEGMENT_BYTES or at == end:
                return
            self._hash_held()
        while end - at >= SEGMENT_BYTES:
            cv, own = segment(view[at : at + SEGMENT_BYTES], len(nodes), False)
            cvs += cv
            nodes.append(own)
            at += SEGMENT_BYTES
        if at < end:
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
            self._hash_held()
        assert len(self._nodes) > 1, "a single segment is held back until a second begins"
        root, upper_nodes = upper(self._cvs)
        return Hashed(root, self._size_bytes, tuple(self._nodes), upper_nodes)

    def _hash_held(self) -> None:
        cv, nodes = segment(self._held, len(self._nodes), False)
        self._cvs += cv
        self._nodes.append(nodes)
        self._held = bytearray()
