"""One response on its way out: owned bytes first, then pieces, as fast as the client takes them.

Knows no socket and no loop: it is given `sendmsg` and a budget. Nothing is held beyond 64 KiB of
joined small parts (and one item of the body): what the kernel does not take is not read yet.

Invariants
 1. Never more bytes than announced, and a clean end only if exactly as many.
 2. `body_bytes` never counts a byte the kernel has not taken.

Called by `net.connection`.
"""

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Final

from net.answer import NO_LIMIT, Answer, Hit, Pause, Piece, Use, UseFile, Wait, file_stop
from net.http1 import Request
from net.response import LAST_CHUNK, Framing, Opening, framing, head, length_of
from runtime.errors import EdgeError

Part = bytes | memoryview
SendMsg = Callable[[Sequence[Part]], int]
SendFile = Callable[[Sequence[Part], int, int, int], int]
"""Parts, then a descriptor, an offset and a count: see `net.wire`."""

# Joining head and body saves a system call and a packet; above this the copy costs more.
_JOIN_BYTES: Final = 65536
# Far under IOV_MAX (1024); a body of tiny items is sent in more calls.
_JOIN_PARTS: Final = 64
# A file system that has no way to lend its pages; its files go as views.
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


class ClientGone(Exception):
    """The connection broke while a response was being sent; whose fault does not matter."""


class Pumped(Enum):
    """Why `Outgoing.pump` returned."""

    DONE = auto()
    BLOCKED = auto()
    MORE = auto()
    PAUSED = auto()


class HitPiece:
    """A hit's body as a `Piece`."""

    __slots__ = ("_hit", "_other", "size_bytes")

    def __init__(self, hit: Hit) -> None:
        self._hit = hit
        self._other: Piece | None = None
        self.size_bytes = hit.size_bytes

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = NO_LIMIT) -> int:
        """See `Piece.lend`; one stride at a time, of a file more."""
        hit, size = self._hit, self.size_bytes
        if self._other is None:
            stop = start - start % hit.stride_bytes + hit.stride_bytes
            reach = file_stop(start, size, room_bytes, hit.stride_bytes)
            try:
                return hit.lend(start, min(stop, size), use, use_file, reach)
            except EdgeError:
                if hit.otherwise is None:
                    raise
                self._other = hit.otherwise()
        return self._other.lend(start, use, use_file, room_bytes)


class Outgoing:
    """A response being sent."""

    __slots__ = (
        "_blocked",
        "_framing",
        "_gone",
        "_items",
        "_left",
        "_offset",
        "_overhead",
        "_parts",
        "_piece",
        "_queued",
        "_room",
        "_send_file",
        "_sendmsg",
        "account",
        "kind",
        "pause",
        "status",
        "taken_bytes",
    )

    def __init__(
        self,
        head: bytes,
        items: Iterable[bytes | Piece | Pause],
        how: Framing,
        length: int,
        *,
        status: int,
        kind: str,
        account: str | None,
    ) -> None:
        """`items` is the body; `length` its size when `how` is LENGTH."""
        self.status, self.kind, self.account = status, kind, account
        self.taken_bytes = 0  # of everything, head and framing included
        self._framing = how
        self._left = length
        self._items: Iterator[bytes | Piece | Pause] | None = iter(items)
        self.pause: Pause | None = None  # what has to be waited for before more is pulled
        self._parts: list[Part] = [head]
        self._queued = len(head)
        self._overhead = len(head)
        self._piece: Piece | None = None
        self._offset = 0
        self._blocked = False
        self._gone = False
        self._sendmsg: SendMsg | None = None
        self._send_file: SendFile | None = None
        self._room: Callable[[], int] | None = None

    @classmethod
    def rest_of_hit(cls, hit: Hit, head: bytes, taken_bytes: int) -> "Outgoing":
        """What remains of a hit of whose head and body `taken_bytes` have left already."""
        items = (HitPiece(hit),) if hit.size_bytes else ()
        size = hit.size_bytes
        out = cls(head, items, Framing.LENGTH, size, status=200, kind=hit.kind, account=None)
        out._fill()
        out.took(taken_bytes)
        if out._piece is not None:
            out._settle(out._piece)
        return out

    @property
    def body_bytes(self) -> int:
        """Bytes of the body that were taken; framing begun counts as taken first."""
        return max(0, self.taken_bytes - self._overhead)

    def took(self, count: int) -> None:
        """`count` bytes of what is queued, and of the piece behind it, are on their way."""
        self.taken_bytes += count
        self._queued -= count
        while self._parts and count:
            first = self._parts[0]
            if count < len(first):
                self._parts[0] = memoryview(first)[count:]
                return
            count -= len(first)
            del self._parts[0]
        if count:
            self._queued = 0
            self._offset += count

    def pump(
        self,
        sendmsg: SendMsg,
        budget: int,
        send_file: SendFile | None = None,
        room: Callable[[], int] | None = None,
    ) -> Pumped:
        """Send until all is taken (DONE), the kernel is full (BLOCKED), `budget` bytes went (MORE) or the
        body has to be waited for (PAUSED: `pause` says how; set it to None and pump again).

        `room`, with `send_file`: about how many bytes the kernel takes now. Raises `ClientGone`, and
        whatever the body raises.
        """
        self._sendmsg, self._send_file, self._room, self._blocked = sendmsg, send_file, room, False
        stop = self.taken_bytes + budget
        while self.taken_bytes < stop:
            self._fill()
            piece = self._piece
            if piece is not None and self.pause is None:
                self._lend(piece)
            elif self._parts and (self.taken_bytes or self.pause is None):
                self.took(self._put(self._parts))
            else:
                return Pumped.DONE if self.pause is None else Pumped.PAUSED
            if self._gone:
                raise ClientGone
            if self._blocked:
                return Pumped.BLOCKED
        return Pumped.MORE

    def close(self) -> None:
        """Let the body's iterator free what it holds."""
        items, self._items, self._piece = self._items, None, None
        close = getattr(items, "close", None)
        if close is not None:
            close()

    def _lend(self, piece: Piece) -> None:
        try:
            if self._send_file is None or self._room is None:
                piece.lend(self._offset, self._offer, None)
            elif room_bytes := self._room():
                piece.lend(self._offset, self._offer, self._offer_file, room_bytes)
            else:
                self._blocked = True
                return
        except Wait as waiting:
            self.pause = Pause(waiting.wait)
        else:
            self._settle(piece)

    def _settle(self, piece: Piece) -> None:
        """Be done with `piece` if all of it was taken."""
        if self._offset > piece.size_bytes:
            raise ValueError("a piece lent more than its size")
        if self._offset == piece.size_bytes:
            self._piece = None
            if self._framing is Framing.CHUNKED:
                self._frame(b"\r\n")

    def _offer(self, view: memoryview) -> int:
        """The `use` of a piece: what is queued and `view` leave in one system call."""
        if not view:
            raise ValueError("a piece lent nothing")
        before = self._offset
        self.took(self._put([*self._parts, view]))
        return self._offset - before

    def _offer_file(self, fd: int, offset: int, count: int) -> int:
        """The `use_file` of a piece: what is queued and a stretch of a file, which is not copied."""
        assert self._send_file is not None
        before, queued = self._offset, self._queued
        try:
            taken = self._send_file(self._parts, fd, offset, count)
            self._blocked = taken < queued + count  # another try would check bytes that stay here
            self.took(taken)
        except (BlockingIOError, InterruptedError):
            self._blocked = True
        except OSError as error:
            if error.errno in _NO_SENDFILE:
                self._send_file = None
            else:
                self._gone = True
        return self._offset - before

    def _put(self, parts: Sequence[Part]) -> int:
        assert self._sendmsg is not None
        try:
            return self._sendmsg(parts)
        except (BlockingIOError, InterruptedError):
            self._blocked = True
        except OSError:
            # Not raised through `lend`: a store need not know of sockets.
            self._gone = True
        return 0

    def _fill(self) -> None:
        """Pull items until a piece is at hand, or enough bytes for one call are queued."""
        while self._piece is None and self._items is not None and self._queued < _JOIN_BYTES:
            if len(self._parts) >= _JOIN_PARTS or self.pause is not None:
                return
            item = next(self._items, None)
            if item is None:
                self._end()
            elif isinstance(item, bytes):
                self._add_bytes(item)
            elif isinstance(item, Pause):
                self.pause = item
            else:
                self._announce(item.size_bytes)
                self._piece, self._offset = item, 0

    def _add_bytes(self, item: bytes) -> None:
        if not item:
            return  # an empty chunk would end the body
        self._announce(len(item))
        self._parts.append(item)
        self._queued += len(item)
        if self._framing is Framing.CHUNKED:
            self._frame(b"\r\n")

    def _announce(self, size: int) -> None:
        if self._framing is Framing.CHUNKED:
            self._frame(b"%x\r\n" % size)
        elif self._framing is Framing.LENGTH:
            self._left -= size
            if self._left < 0:
                raise ValueError("a body is longer than its Content-Length")

    def _end(self) -> None:
        self._items = None
        if self._framing is Framing.CHUNKED:
            self._frame(LAST_CHUNK)
        elif self._framing is Framing.LENGTH and self._left:
            raise ValueError(f"a body ended {self._left} bytes short of its Content-Length")

    def _frame(self, part: bytes) -> None:
        self._parts.append(part)
        self._queued += len(part)
        self._overhead += len(part)


def begin(
    answer: Answer, request: Request | None, opening: Opening, *, keep_alive: bool
) -> tuple[Outgoing, bool]:
    """`answer` to `request` (None: to one that could not be read) ready to be sent, and whether the
    connection may be kept after it. Raises `ValueError` when the answer contradicts itself.
    """
    http_1_1 = request is None or request.version == (1, 1)
    is_head = request is not None and request.method == "HEAD"
    how = framing(answer, http_1_1=http_1_1, is_head=is_head)
    if request is not None and request.method == "CONNECT" and answer.status // 100 == 2:
        how = Framing.NONE  # RFC 9110 §9.3.6: what follows the head is the tunnel's
    keep_alive = keep_alive and (is_head or how is not Framing.CLOSE)
    lines = opening.lines(answer.status)
    head_bytes = head(answer, lines, how, http_1_1=http_1_1, keep_alive=keep_alive)
    length = length_of(answer) if how is Framing.LENGTH else 0
    items = (answer.body,) if isinstance(answer.body, bytes) else answer.body or ()
    if is_head or how is Framing.NONE:
        free(answer)
        items, how = (), Framing.NONE
    kind, account = answer.kind, answer.account
    return Outgoing(
        head_bytes, items, how, length, status=answer.status, kind=kind, account=account
    ), keep_alive


def free(answer: Answer) -> None:
    """Let an answer whose body will not be sent free what it holds."""
    close = getattr(answer.body, "close", None)
    if close is not None:
        close()
