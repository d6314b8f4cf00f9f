"""Time as a value: shells ask a clock, cores are told `now`.

Wall time (`now_s`) is for what is stored and shown; monotonic time (`tick_s`) is for
durations and timeouts. Tests pass their own clock and move it by hand.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Anything that can say what time it is."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch; may step backwards."""
        ...

    def tick_s(self) -> float:
        """Seconds of a clock that never steps backwards; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def tick_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()
