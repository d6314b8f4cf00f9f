"""Which chunks of a blob a proof shows, before and after its size is known.

A query is asked without knowing the size; `selected(size)` is what both ends derive from it. Queries and
sizes may both be hostile: nothing here costs more than the number of ranges asked.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from content.bao.geometry import CHUNK_BYTES, GROUP_BYTES, GROUP_CHUNKS, chunk_count, group_count
from runtime.errors import BadRequest


class Chunks:
    """A set of chunk numbers as sorted, disjoint, non-adjacent ranges."""

    __slots__ = ("_starts", "_stops")

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        starts: list[int] = []
        stops: list[int] = []
        for first, stop in sorted(ranges):
            if first >= stop:
                continue
            if stops and first <= stops[-1]:
                stops[-1] = max(stops[-1], stop)
            else:
                starts.append(first)
                stops.append(stop)
        self._starts = starts
        self._stops = stops

    def covers(self, first: int, stop: int) -> bool:
        """Whether all of `first..stop` is in the set."""
        at = bisect_right(self._starts, first) - 1
        return at >= 0 and self._stops[at] >= stop

    def meets(self, first: int, stop: int) -> bool:
        """Whether any of `first..stop` is in the set."""
        at = bisect_right(self._stops, first)
        return at < len(self._starts) and self._starts[at] < stop


class Query(Protocol):
    """What was asked for."""

    def selected(self, size_bytes: int) -> Chunks:
        """The chunks that a proof for a blob of this size shows: at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Everything:
    """The whole blob: the combined encoding."""

    def selected(self, size_bytes: int) -> Chunks:
        """Every chunk."""
        return Chunks([(0, chunk_count(size_bytes))])


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes `start..start + length`, shown in whole groups (Bao with groups).

    As in Bao, no length counts as one byte, and a start at or past the end selects the last group.
    BadRequest when `start` or `length` is negative.
    """

    start: int
    length: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.length < 0:
            raise BadRequest(
                "a slice starts at 0 or later and is not negative", where=f"{self.start}+{self.length}"
            )

    def selected(self, size_bytes: int) -> Chunks:
        """The chunks of every group that the slice touches."""
        first = min(self.start // GROUP_BYTES, group_count(size_bytes) - 1)
        stop = max(first + 1, -(-(self.start + max(1, self.length)) // GROUP_BYTES))
        return Chunks([(first * GROUP_CHUNKS, min(stop * GROUP_CHUNKS, chunk_count(size_bytes)))])


@dataclass(frozen=True, slots=True)
class Ranges:
    """Byte ranges `start..stop`, rounded out to chunks: the sub-group form of bao-tree and iroh-blobs.

    Any range that reaches the last chunk or beyond it shows the last chunk, and with it proves the size.
    BadRequest when there is no range, or one is empty or negative.
    """

    ranges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.ranges:
            raise BadRequest("no range was asked for", hint="ask for at least one byte")
        for start, stop in self.ranges:
            if not 0 <= start < stop:
                raise BadRequest("a range holds at least one byte", where=f"{start}..{stop}")

    def selected(self, size_bytes: int) -> Chunks:
        """The chunks touched, with everything past the end read as the last chunk."""
        last = chunk_count(size_bytes) - 1
        chunks = []
        for start, stop in self.ranges:
            first, end = start // CHUNK_BYTES, -(-stop // CHUNK_BYTES)
            chunks.append((min(first, last), min(end, last + 1)))
        return Chunks(chunks)
