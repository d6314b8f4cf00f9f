"""What could not be had a moment ago: said again for a short while without asking anybody."""

from typing import Final

from runtime.errors import EdgeError, NotFound, SourceTimeout, Unreachable, Unverified

# A thing that nobody has is asked for again and again by the same page; it may appear at any time. What
# turned out to be something else may have been a terabyte to read
_ABSENT_S: Final = 10.0
_TROUBLE_S: Final = 1.0
_NAMES_MAX: Final = 4096


class Absences:
    """The failures of one worker, by name of the thing."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, type[EdgeError], str]] = {}

    def check(self, name: bytes, now_s: float, where: str) -> None:
        """Raise what was learned of `name` while it is fresh."""
        found = self._known.get(name)
        if found is None:
            return
        until_s, kind, message = found
        if until_s > now_s:
            raise kind(message, where=where)
        del self._known[name]

    def learn(self, name: bytes, error: EdgeError, now_s: float) -> None:
        """Remember that nobody had it (NotFound), or has something else (Unverified), or could be asked."""
        if isinstance(error, (NotFound, Unverified)):
            kind = NotFound if isinstance(error, NotFound) else Unverified
            self._keep(name, now_s + _ABSENT_S, kind, error.message)
        elif isinstance(error, (Unreachable, SourceTimeout)):
            self._keep(name, now_s + _TROUBLE_S, type(error), error.message)

    def _keep(self, name: bytes, until_s: float, kind: type[EdgeError], message: str) -> None:
        while len(self._known) >= _NAMES_MAX:
            del self._known[next(iter(self._known))]
        self._known[name] = (until_s, kind, message)
