"""`PinWork` in memory, for tests of the worker: one thread lock, no store."""

import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace

from pinning.pin import Pin, Progress, Status, Wish
from pinning.ports import End
from runtime.errors import QuotaExceeded


class FakeWork:
    """The pins of no store. Times are those of the caller."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._changes = 0
        self.pins: dict[str, Pin] = {}
        self.cursors: dict[str, bytes] = {}
        self.begun: list[str] = []
        self.notes: list[tuple[str, Progress, bytes]] = []
        self.used_bytes: dict[str, int] = {}
        self.batches = 0

    # As the book

    def add(self, account: str, wish: Wish) -> Pin:
        """Accept a pin."""
        with self._lock:
            number = next(self._numbers)
            pin = Pin(f"r{number}", account, number, Status.QUEUED, wish)
            self.pins[pin.request_id] = pin
            self._changes += 1
            return pin

    def remove(self, request_id: str) -> None:
        """Let go."""
        with self._lock:
            del self.pins[request_id]
            self._changes += 1

    # As the work

    def due(self, now_s: float, limit: int, busy: Sequence[str] = ()) -> list[Pin]:
        """Round robin over accounts."""
        with self._lock:
            by_account: dict[str, list[Pin]] = {}
            for pin in self.pins.values():
                waits = pin.status is Status.PINNING or (
                    pin.status is Status.QUEUED and pin.next_try_s <= now_s
                )
                if waits and pin.request_id not in busy:
                    by_account.setdefault(pin.account, []).append(pin)
        rounds = itertools.zip_longest(*by_account.values())
        return [pin for each in rounds for pin in each if pin is not None][:limit]

    def waits(self) -> bool:
        """Whether there is any."""
        return bool(self.pins)

    def changes(self) -> int:
        """A counter."""
        return self._changes

    def is_counted(self, request_id: str) -> bool:
        """Another pin of it is pinned."""
        pin = self.pins.get(request_id)
        return pin is not None and any(
            (each.account, each.wish.cid, each.status) == (pin.account, pin.wish.cid, Status.PINNED)
            for each in self.pins.values()
        )

    def begin(self, request_id: str) -> Pin | None:
        """Mark as pinning."""
        pin = self._change(request_id, status=Status.PINNING)
        if pin is not None:
            self.begun.append(request_id)
        return pin

    def progress(self, request_id: str, progress: Progress, cursor: bytes) -> bool:
        """Note it."""
        if self._change(request_id, progress=progress) is None:
            return False
        self.cursors[request_id] = cursor
        self.notes.append((request_id, progress, cursor))
        return True

    def cursor(self, request_id: str) -> bytes:
        """The last one."""
        return self.cursors.get(request_id, b"")

    def pinned(
        self, request_id: str, dag_bytes: int, raw_bytes: int, *, quota_bytes: int | None = None
    ) -> bool:
        """Done."""
        pin = self.pins.get(request_id)
        if pin is None:
            return False
        more = 0 if self.is_counted(request_id) else dag_bytes
        used = self.used_bytes.get(pin.account, 0) + more
        if quota_bytes is not None and used > quota_bytes:
            raise QuotaExceeded("the quota of the account does not cover it")
        self.used_bytes[pin.account] = used
        sizes = {"dag_bytes": dag_bytes, "raw_bytes": raw_bytes, "details": ""}
        return self._change(request_id, status=Status.PINNED, **sizes) is not None

    def retry(self, request_id: str, details: str, next_try_s: float) -> bool:
        """Queue again."""
        pin = self.pins.get(request_id)
        attempts = 0 if pin is None else pin.attempts + 1
        fields = {"details": details, "next_try_s": next_try_s, "attempts": attempts}
        return self._change(request_id, status=Status.QUEUED, **fields) is not None

    def failed(self, request_id: str, details: str) -> bool:
        """Give up."""
        return self._change(request_id, status=Status.FAILED, details=details) is not None

    def ended(self, ends: Sequence[End]) -> int:
        """Many at once."""
        self.batches += 1
        return sum(
            self.failed(each, details) if next_try_s is None else self.retry(each, details, next_try_s)
            for each, details, next_try_s in ends
        )

    def expire(self, now_s: float, limit: int) -> int:
        """Remove what is over."""
        over = [
            each.request_id
            for each in self.pins.values()
            if each.wish.expires_s is not None and each.wish.expires_s <= now_s
        ][:limit]
        for request_id in over:
            self.remove(request_id)
        return len(over)

    def _change(self, request_id: str, **fields: object) -> Pin | None:
        with self._lock:
            pin = self.pins.get(request_id)
            if pin is None:
                return None
            changed = replace(pin, **fields)  # type: ignore[arg-type]
            self.pins[request_id] = changed
            return changed
