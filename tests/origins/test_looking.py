"""What a search says at its end, over sources of its own making and a clock that is told."""

import asyncio
from collections.abc import Collection, Sequence
from typing import cast

import pytest

from content.block import Block
from content.cid import RAW, Cid
from origins.looking import Looking
from origins.sources import Sources
from origins.trustless import Gain
from runtime.clock import SystemClock
from runtime.errors import NotFound, Unreachable

CID = Block.sealed(RAW, b"looked for").cid


class Some:
    """`hedge.Candidates` of one round."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    async def next(self) -> str | None:
        return self._names.pop(0) if self._names else None

    def over(self) -> None:
        """Nobody counts."""


class RestsEnd:
    """One source that fails and rests, whose rest ends just when nobody looks."""

    def __init__(self, rounds: list[list[str]], rests_s: list[float | None]) -> None:
        self._rounds, self._rests_s = rounds, rests_s

    def of(self, cid: Cid, without: Collection[str] = (), also: Sequence[str] = ()) -> Some:
        return Some(self._rounds.pop(0))

    def rest_s(self, without: Collection[str] = (), also: Sequence[str] = ()) -> float | None:
        return self._rests_s.pop(0)


def search(sources: RestsEnd, *errors: Exception) -> None:
    left = list(errors)

    async def attempt(source: str, gain: Gain) -> None:
        raise left.pop(0)

    looking = Looking(cast(Sources, sources), SystemClock(), 1.0, 10.0)
    asyncio.run(looking.look(b"name", CID, attempt))


def test_a_round_in_which_all_rested_does_not_make_a_failure_an_absence() -> None:
    """A timer may fire a moment before the rest is over: nobody is asked, and then nobody rests any more."""
    with pytest.raises(Unreachable, match=r"it could not be fetched: refused"):
        search(RestsEnd([["a"], []], [0.0, None]), Unreachable("refused"))


def test_a_source_that_failed_and_then_has_it_not_makes_an_absence() -> None:
    with pytest.raises(NotFound, match=r"nobody who was asked has it"):
        search(RestsEnd([["a"], ["a"]], [0.0, None]), Unreachable("refused"), NotFound("not here"))
