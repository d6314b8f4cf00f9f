"""Header fields of one message: names without case, values as they came, order kept.

Pure. Built by `net.http1`, read by services. Names are stored in lower case; values are
Latin-1 text without surrounding white space (RFC 9110 §5.5).
"""

from collections.abc import Iterable, Iterator


class Fields:
    """An immutable list of (lower-case name, value) with look-up by name."""

    __slots__ = ("_index", "_lines")

    def __init__(self, lines: Iterable[tuple[str, str]]) -> None:
        """`lines`: names already in lower case, in the order received."""
        self._lines = tuple(lines)
        index: dict[str, str] = {}
        for name, value in self._lines:
            index[name] = f"{index[name]}, {value}" if name in index else value
        self._index = index

    def get(self, name: str) -> str | None:
        """The combined value (RFC 9110 §5.3) of all lines called `name`, or None."""
        return self._index.get(name.lower())

    def all(self, name: str) -> tuple[str, ...]:
        """The values of each line called `name`, in order."""
        wanted = name.lower()
        return tuple(value for key, value in self._lines if key == wanted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._index

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        # Names only: a value may be a credential.
        return f"Fields({', '.join(name for name, _ in self._lines)})"
