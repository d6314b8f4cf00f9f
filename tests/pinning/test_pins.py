"""Pins over a real store: the contract of their ports."""

from tests.pinning.book_contract import BookContract


class TestPins(BookContract):
    """`pinning.pins.Pins`."""
