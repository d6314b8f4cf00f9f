"""Time that passes when a test says so."""


class ManualClock:
    """A clock that moves only when told. Implements `runtime.clock.Clock`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def now_s(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def tick_s(self) -> float:
        """The same: nothing else moves it."""
        return self.now
