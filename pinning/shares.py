"""What uploads in one request take of their accounts' quotas, so that no two are given the same room."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pinning.spool import check_left
from runtime.errors import QuotaExceeded


class Shares:
    """The uploads of this process. Any thread.

    Those of other processes are not seen: what they bring together is judged when it is pinned.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}

    def of(self, account: str) -> int:
        """Bytes that the uploads of an account hold."""
        with self._lock:
            return self._held.get(account, 0)

    @contextmanager
    def hold(self, account: str, length_bytes: int, room_bytes: int | None) -> Iterator["Share"]:
        """Hold an upload's length (0 where it is not told) of `room_bytes`; None: no limit.

        Raises QuotaExceeded where others hold too much of it.
        """
        share = Share(self, account, room_bytes)
        if room_bytes is not None:
            with self._lock:
                check_left(account, length_bytes, room_bytes - self._held.get(account, 0))
                self._add(account, length_bytes)
            share.held_bytes = length_bytes
        try:
            yield share
        finally:
            with self._lock:
                self._add(account, -share.held_bytes)

    def _grow(self, share: "Share", more_bytes: int, room_bytes: int) -> None:
        with self._lock:
            if self._held.get(share.account, 0) + more_bytes > room_bytes:
                raise QuotaExceeded(
                    "the upload is larger than what the account may still keep",
                    where=f"account {share.account}",
                    hint="remove something, or ask the operator for a larger quota",
                )
            self._add(share.account, more_bytes)
            share.held_bytes += more_bytes

    def _add(self, account: str, bytes_: int) -> None:
        held = self._held.get(account, 0) + bytes_
        if held:
            self._held[account] = held
        else:
            self._held.pop(account, None)


class Share:
    """What one upload holds: its length, or what has arrived where that is more. Made by `Shares.hold`."""

    def __init__(self, shares: Shares, account: str, room_bytes: int | None) -> None:
        self._shares, self.account, self._room_bytes = shares, account, room_bytes
        self.held_bytes = self._arrived_bytes = 0

    def arrived(self, more_bytes: int) -> None:
        """So much more came. Raises QuotaExceeded."""
        self._arrived_bytes += more_bytes
        beyond = self._arrived_bytes - self.held_bytes
        if self._room_bytes is not None and beyond > 0:
            self._shares._grow(self, beyond, self._room_bytes)
