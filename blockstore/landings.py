"""Many puts under way at once, and the wait for all of them."""

import threading
from collections.abc import Callable

from blockstore.landing import Put
from runtime.errors import EdgeError


class Landings:
    """Waits for many puts whose ends come on the writer's threads; the first failure is raised."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._open = 0
        self._failure: EdgeError | None = None

    def expect(self) -> Callable[[Put | EdgeError], None]:
        """One more put is under way; returns what it calls at its end."""
        with self._lock:
            self._open += 1
        return self._ended

    def _ended(self, outcome: Put | EdgeError) -> None:
        with self._lock:
            self._open -= 1
            if isinstance(outcome, EdgeError) and self._failure is None:
                self._failure = outcome
            if not self._open:
                self._lock.notify_all()

    def check(self) -> None:
        """Raise what has failed so far."""
        if self._failure is not None:
            raise self._failure

    def wait(self) -> None:
        """Return when every put has ended; raises the first failure."""
        with self._lock:
            while self._open:
                self._lock.wait()
        self.check()
