"""What places said last when they did not give what was asked of them: for the person who named them.

Kept by place and name: a gateway by its base URL, any other place by the address that is dialled. Of one
process and bounded; neither an address nor a name can be read out of it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from blockstore.origin import OriginKind
from origins.places import gateway_of, place_named
from runtime.errors import BadRequest

# Each has 16 bytes and a sentence; pins name 20 places at most
_KEPT_MAX: Final = 8192
_WORDS_CHARS_MAX: Final = 300
_ANYTHING: Final = b""


class Said:
    """The memory of one process. Belongs to its event loop."""

    def __init__(self) -> None:
        self._said: dict[bytes, str] = {}

    def note(self, place: str, name: bytes, why: str, *, of_all: bool = False) -> None:
        """`place` did not give what is under `name` (a multihash); `of_all`: it would give nothing else."""
        for each in (name, _ANYTHING) if of_all else (name,):
            self._said.pop(key := _key(place, each), None)
            while len(self._said) >= _KEPT_MAX:
                del self._said[next(iter(self._said))]
            self._said[key] = why[:_WORDS_CHARS_MAX]

    def gave(self, place: str, name: bytes) -> None:
        """It gave it: what it said before holds no more."""
        for each in (name, _ANYTHING):
            self._said.pop(_key(place, each), None)

    def lately(self, place: str) -> str | None:
        """Why a place gives nothing at all just now; None where it may."""
        return self._said.get(_key(place, _ANYTHING))

    def of(self, addresses: Sequence[str], names: Iterable[bytes]) -> list[tuple[str, str]]:
        """Of those places that did not give one of `names` (the first that is known): the address without
        what may be a secret, and why. `addresses`: as an account names them. 30 us an address.
        """
        wanted, found = (*names, _ANYTHING), []
        for address in addresses:
            try:
                place = place_named(address, "")
            except BadRequest as error:
                found.append(("an origin", error.message))
                continue
            if place.origin.kind is OriginKind.PEER and gateway_of(place.dialled) is None:
                continue  # it offers nothing by HTTP: there was nothing to ask
            dialled = gateway_of(place.dialled) or place.address
            why = next((why for name in wanted if (why := self._said.get(_key(dialled, name)))), None)
            if why is not None:
                found.append((place.origin.address, why))
        return found


def _key(place: str, name: bytes) -> bytes:
    hasher = hashlib.blake2b(len(name).to_bytes(4) + name, digest_size=16)
    hasher.update(place.encode("utf-8", "surrogateescape"))
    return hasher.digest()
