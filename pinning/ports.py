"""What the parts of pinning need of each other, as small protocols. The real one is `pinning.pins.Pins`."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

from pinning.pin import Filter, Page, Pin, PinUsage, Progress, Wish

End: TypeAlias = tuple[str, str, float | None]
"""How a try ended: request id, details, and when the next one is due; None: given up."""


class PinBook(Protocol):
    """The pins of a store, as those who ask for them see it.

    Any thread; each call that changes something waits for its commit.
    Who names a request id of another account is told NotFound, as if there were none.
    """

    def add(self, account: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        """Accept a pin: queued, and its root keeps every block of it from gc, once this returns.

        Raises QuotaExceeded when the account is at its quota already (sizes are known later), BadRequest.
        """
        ...

    def get(self, account: str, request_id: str) -> Pin:
        """One pin. Raises NotFound."""
        ...

    def page(self, account: str, wanted: Filter, limit: int) -> Page:
        """The newest `limit` matching pins and the count. Holds no snapshot when it returns."""
        ...

    def stream(self, account: str | None, wanted: Filter) -> Iterator[Pin]:
        """All matching pins, newest first; no snapshot between pages. None: of every account."""
        ...

    def replace(self, account: str, request_id: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        """A new pin in place of an old one, in one commit: shared blocks stay kept. Raises NotFound."""
        ...

    def remove(self, account: str, request_id: str) -> None:
        """Let go; the next gc takes what nothing else keeps. Durable on return. Raises NotFound."""
        ...

    def usage(self, account: str) -> PinUsage:
        """What the account has and uses."""
        ...


class PinWork(Protocol):
    """The same pins, as the worker that brings their content here sees them."""

    def due(self, now_s: float, limit: int, busy: Sequence[str] = ()) -> list[Pin]:
        """Queued and interrupted pins whose turn it is, without request ids in `busy`; at most `limit`.

        Accounts take turns, so that one with many pins delays no other; oldest first within an account.
        """
        ...

    def waits(self) -> bool:
        """Whether any pin waits for the worker, now or later; 3 us."""
        ...

    def changes(self) -> int:
        """A number that is another one after pins were accepted, replaced or removed; 3 us. Any process."""
        ...

    def is_counted(self, request_id: str) -> bool:
        """Whether the account has this root pinned already, so that its bytes count no more."""
        ...

    def begin(self, request_id: str) -> Pin | None:
        """Mark as pinning; None when it was removed meanwhile."""
        ...

    def progress(self, request_id: str, progress: Progress, cursor: bytes) -> bool:
        """Note how far it is; `cursor` (at most 64 KiB) is what the walk goes on from. False when it is gone.

        Not waited for: it is written with the next commit.
        """
        ...

    def cursor(self, request_id: str) -> bytes:
        """What `progress` kept last; empty when nothing."""
        ...

    def pinned(
        self, request_id: str, dag_bytes: int, raw_bytes: int, *, quota_bytes: int | None = None
    ) -> bool:
        """All of it is here. False when it is gone. Raises QuotaExceeded (the pin is then to be failed)."""
        ...

    def retry(self, request_id: str, details: str, next_try_s: float) -> bool:
        """This try ended; queue it again for `next_try_s`. False when it is gone."""
        ...

    def failed(self, request_id: str, details: str) -> bool:
        """Given up, and why. What has arrived stays until gc finds it unkept. False when it is gone."""
        ...

    def ended(self, ends: Sequence[End]) -> int:
        """`retry` or `failed` for many in one commit, at most 1000; how many were there."""
        ...

    def expire(self, now_s: float, limit: int) -> int:
        """Remove pins whose time is over, at most `limit`; how many."""
        ...
