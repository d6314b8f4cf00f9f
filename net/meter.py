"""The `Meter` port: every response of the server passes it. Money and `/metrics` stand behind it."""

from typing import Protocol


class Meter(Protocol):
    """Told of what happened on the wire; must not raise and not block. Budget: 0.5 us a call."""

    def sent(self, account: str | None, kind: str, bytes_: int, status: int) -> None:
        """A response ended, or broke off: `bytes_` of its body were taken by the kernel.

        Bytes still held on our side (TLS records not yet written) are not counted, nor is
        framing. Called exactly once for each response whose head was begun.
        """
        ...

    def received(self, account: str | None, bytes_: int) -> None:
        """A request body ended, or broke off, after `bytes_`; not called for an empty one."""
        ...

    def count(self, event: str, by: int = 1) -> None:
        """Something worth counting happened: one of `net.meter_board.EVENTS`."""
        ...
