"""What a service hands back: an `Answer`, or for the hot path a memoised `Hit`.

Neither touches a socket. A body is owned bytes, or an iterable pulled only when the client can
take more, or pieces that lend a view for the length of one call (so no transaction outlives it).
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

Use = Callable[[memoryview], int]
"""Offered a view that dies with the call; returns how many of its bytes were taken."""


UseFile = Callable[[int, int, int], int]
"""As `Use`, of bytes that lie in a file: its descriptor, the offset of the first, and how many."""

NO_LIMIT: Final = 1 << 62


class Wait(Exception):
    """Raised by `Piece.lend` when its bytes can be had after `wait()`: it is asked again then.

    An exception of `wait` breaks the response off.
    """

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        super().__init__("the bytes are on their way")
        self.wait = wait


class Piece(Protocol):
    """A stretch of body whose bytes are read only at the moment they are sent."""

    @property
    def size_bytes(self) -> int:
        """Length of the stretch; greater than zero."""
        ...

    def lend(self, start: int, use: Use, use_file: UseFile | None = None, room_bytes: int = NO_LIMIT) -> int:
        """Offer `use` the bytes from offset `start` of the stretch on, as many as are at hand.

        Where they lie in a file and `use_file` is given, that is called instead; about `room_bytes` will be
        taken, so more need not be made ready. At least one byte is offered when `start < size_bytes`.
        Returns what was returned.
        Any exception but `Wait` breaks the response off: the client never sees a clean end.
        """
        ...


def file_stop(start: int, stop: int, room_bytes: int, stride_bytes: int) -> int:
    """How far to offer a file whose bytes [start, stop) are wanted when about `room_bytes` will be taken.

    Ends with a stride where it cannot reach `stop`, so that none is made ready twice.
    """
    reach = start + room_bytes
    return stop if reach >= stop else reach - reach % stride_bytes


@dataclass(slots=True)
class Pause:
    """An item of a body that stands for no bytes: what follows it is pulled when `wait()` is done.

    For content that is still being fetched. An exception of `wait` breaks the response off.
    """

    wait: Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Answer:
    """One response.

    `fields`: names and values without CR, LF or NUL; Date, Server, Connection, Content-Length and
    Transfer-Encoding are the server's own and refused here. `head` replaces `fields`: a prebuilt
    block of whole field lines, each ending in CRLF, without the empty line.
    `length`: bytes in `body`; None for an iterable means chunked (or until close, to a 1.0 client).
    Give it also with `body=None` when the answer describes content it does not carry.
    `kind`: the meter's name for these bytes. `account`: who is billed, None is anonymous.
    `close`: end the connection after this answer.
    A HEAD request gets the same answer without its body: the server leaves it out.
    """

    status: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Iterable[bytes | Piece | Pause] | None = None
    length: int | None = None
    kind: str = "other"
    account: str | None = None
    close: bool = False
    head: bytes | None = None


@dataclass(slots=True)
class Hit:
    """A memoised 200 to a plain GET, sent without a task, a dict of fields or a copy of the body.

    `head`: every field line but Date and Server, Content-Length among them, then the empty line.
    `lend(start, stop, use, use_file, file_stop)`: offer the bytes [start, stop) of the body to `use`, or
    where they lie in a file to `use_file` if there is one, and then maybe more up to `file_stop`; the server
    never asks across a multiple of `stride_bytes` (a store keeps 256 KiB to a segment). With
    `size_bytes` 0 it is not called. `otherwise`: makes the piece that takes over where `lend` failed.
    """

    head: bytes
    size_bytes: int
    lend: Callable[[int, int, Use, UseFile | None, int], int]
    kind: str = "blob"
    stride_bytes: int = 262144
    otherwise: Callable[[], Piece] | None = None
