"""On record who gave what: a gateway that gave something of a DAG is an origin of its root."""

from typing import Final, Protocol

from blockstore import Store
from blockstore.origin import Origin, OriginKind
from content.cid import Cid
from origins.places import gateway_of
from runtime.clock import Clock

# Who gave something of a root a minute ago needs no other note; a few hundred bytes each
_FRESH_S: Final = 60.0
_NOTED_MAX: Final = 4096


class Trust(Protocol):
    """What the operator named; `origins.sources.Sources` knows it."""

    def trust(self, source: str) -> None:
        """The operator named it."""
        ...

    def is_trusted(self, source: str) -> bool:
        """Whether the operator, or a router of theirs, named it."""
        ...


class Came:
    """What is noted by one process."""

    def __init__(self, store: Store, clock: Clock, sources: Trust) -> None:
        self._store, self._clock, self._sources = store, clock, sources
        self._noted: dict[tuple[bytes, str], float] = {}

    def came(self, root: Cid, source: str) -> None:
        """A gateway, by its base URL, gave something of what lies below `root`.

        Its rows of `root` say so, whoever named it and as what (a URL, a multiaddr); the operator gets a row
        of a gateway that is theirs. 20 us and 5 a row, once a minute for the same.
        """
        now_s, key = self._clock.now_s(), (root.multihash, source)
        if now_s - self._noted.get(key, 0.0) < _FRESH_S:
            return
        self._noted.pop(key, None)
        while len(self._noted) >= _NOTED_MAX:
            del self._noted[next(iter(self._noted))]
        self._noted[key] = now_s
        for row in self._store.origins.of(root.multihash):
            if gateway_of(row) == source:
                self._store.origins.succeeded(root.multihash, row.address, now_s)
        if self._sources.is_trusted(source):
            origin = Origin(
                OriginKind.GATEWAY, source, added_s=now_s, first_success_s=now_s, last_success_s=now_s
            )
            self._store.origins.note_soon(root.multihash, origin)
