"""The ports to what is served: `App`, for connections and exchanges, and `HotPath`, for hot connections."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from net.answer import Answer, Hit
from net.http1 import Request


class BodyReader(Protocol):
    """The request body, as a handler reads it: an async iterator of non-empty bytes.

    Reading drives the client: nothing more is taken from the socket while the handler does not
    ask, and "100 Continue" goes out at the first read. Raises `net.refusal.Refused` when the client
    breaks off (400), stalls (408), or frames it wrongly or too long (400, 413, 431); let it pass.
    A body that the handler leaves unread is discarded, or the connection closed after the answer.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class HotPath(Protocol):
    """Turns of a connection that asks for something known, without a frame of ours in between.

    An optimisation: whatever it declines is answered the general way, with the same bytes. A body that it
    began and could not send at once it goes on with by itself, until it is whole or taken back.
    """

    def turn(self, fd: int, plain: dict[bytes, Any], opening: bytes, owner: Any) -> Any:
        """Read once from `fd`; if that is exactly `GET`, a known target and a tail in `plain`, answer it.

        `opening` is sent first, then what is known of the target. Returns its `Hit` when all of it
        was sent, (bytes read, hit, bytes taken of head and body) when a part was, (bytes read, hit) when
        the rest will follow without us, else the bytes read. Raises OSError as `recv` does.
        """
        ...

    def fileno(self) -> int:
        """A descriptor that is readable when `ended` has something to tell; -1 where it never has."""
        ...

    def ended(self) -> list[tuple[Any, bool]]:
        """The `owner` of each body that ended since it was asked last, and whether it is whole.

        One that is not whole is to be taken back.
        """
        ...

    def taken_bytes(self, fd: int) -> int | None:
        """Bytes of head and body that left of what was begun on `fd`; None: there is nothing."""
        ...

    def take_back(self, fd: int) -> int | None:
        """The same, and leave the rest to the caller. To be called before `fd` is closed."""
        ...


class App(Protocol):
    """A service behind an HTTP listener. Any `EdgeError` it raises becomes an error answer."""

    def shares(self, host: str, accept: str) -> bool:
        """Whether plain answers under this Host (lower case, with its port) depend on the target alone.

        `accept` is the request's Accept field, which takes any type but may prefer one.

        Asked once a header block; `hit` is called only where it is so.
        """
        ...

    def hit(self, target: bytes) -> Hit | None:
        """The memoised answer to a plain GET of `target`, or None to have it decided.

        Called for a GET that carries no Range, condition, credential or body, accepts any type
        and keeps the connection, so the answer may depend on target and time only; an app whose
        answers vary by Host returns None here. `target` is as yet **unchecked**: any bytes
        without a space. Look it up whole, never parse it. Budget: 1 us.
        """
        ...

    def decide(self, request: Request) -> Answer | None:
        """The answer, when it needs neither the body nor waiting; None hands it to `handle`."""
        ...

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """The answer, after any waiting. Cancelled when the client goes away or time runs out."""
        ...
