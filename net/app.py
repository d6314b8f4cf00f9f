"""The port a service implements to be served: `App`. Consumed by `net.connection` only."""

from collections.abc import AsyncIterator
from typing import Protocol

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


class App(Protocol):
    """A service behind an HTTP listener. Any `EdgeError` it raises becomes an error answer."""

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
