"""Places that content may be had from: an origin, and the address to dial, which may have a secret. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from blockstore.origin import OPERATOR, Origin, OriginKind
from blockstore.origin_address import named
from origins.provider_records import base_url

PIECE: Final = "/piece/"
_GATEWAYS: Final = frozenset((OriginKind.GATEWAY, OriginKind.PEER))


@dataclass(frozen=True, slots=True)
class Place:
    """An origin as it is kept, and the address to dial."""

    origin: Origin
    address: str

    @property
    def dialled(self) -> Origin:
        """The origin with the address that is dialled."""
        return replace(self.origin, address=self.address)


@dataclass(frozen=True, slots=True)
class Fit:
    """How bytes fitted their name: the profile on record for them (empty: none needed), and how many there
    are (None: what is on record holds). `sub_path`: where in what is there it lies.
    """

    profile: str = ""
    size_bytes: int | None = None
    sub_path: str = ""


def place_named(address: str, account: str) -> Place:
    """What an account means by an address. Raises BadRequest."""
    origin = named(address, account)
    return Place(origin, address if origin.is_cut else origin.address)


def gateway_of(origin: Origin) -> str | None:
    """Base URL of a gateway that an origin is; None where it is none, or offers no HTTP."""
    if origin.kind in _GATEWAYS:
        address = origin.address
        if address.startswith("/"):
            return base_url(address)
        return address.partition("?")[0].partition("/ipfs/")[0].rstrip("/")  # a query is of no use for blocks
    if origin.kind is OriginKind.FILECOIN and PIECE not in origin.address:
        return origin.address.partition("/ipfs/")[0].rstrip("/")
    return None


def parted(places: Sequence[Place], account: str) -> list[tuple[str, list[Place]]]:
    """Whose turn is held while which places are asked: an account's own for all, for a reader those who named
    them. So slow places that one account named do not take every turn of readers.
    """
    if account != OPERATOR or not places:
        return [(account, list(places))]
    parts: dict[str, list[Place]] = {}
    for each in places:
        parts.setdefault(each.origin.account, []).append(each)
    return list(parts.items())


def search_name(*what: bytes, places: Sequence[Place]) -> bytes:
    """A name of a search: the same for the same thing from the same places, in whatever order."""
    hasher = hashlib.sha256()
    for each in (*what, *sorted(each.address.encode("utf-8", "surrogateescape") for each in places)):
        hasher.update(len(each).to_bytes(8) + each)
    return hasher.digest()
