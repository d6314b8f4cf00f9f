"""What the commands ask of a place with pins: `remote.RemoteBook` over HTTP, `local.LocalBook` on a store."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tools.pin.record import PinRecord

ANY_STATUS: Final = ("queued", "pinning", "pinned", "failed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pins are meant, in the words of the API; conditions hold together.

    `before`, `after`: RFC 3339, created strictly before, strictly after.
    """

    cids: tuple[str, ...] = ()
    name: str | None = None
    match: str = "exact"
    statuses: tuple[str, ...] = ANY_STATUS
    before: str | None = None
    after: str | None = None
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def is_narrow(self) -> bool:
        """Whether it says which pins, and not all."""
        return self != Wanted(match=self.match)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be pinned. `expires_s`: epoch seconds after which the pin goes by itself."""

    cid: str
    name: str = ""
    origins: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    expires_s: float | None = None


class Book(Protocol):
    """The pins of one caller."""

    @property
    def where(self) -> str:
        """The place, for messages."""
        ...

    def add(self, order: Order) -> PinRecord:
        """Have it pinned. Raises what the place refuses with."""
        ...

    def get(self, request_id: str) -> PinRecord:
        """One pin. Raises NotFound."""
        ...

    def pins(self, wanted: Wanted) -> Iterator[PinRecord]:
        """All that match, newest first, as they come; each once."""
        ...

    def lines(self, wanted: Wanted) -> Iterator[str]:
        """The same as lines of JSON, whole ones with their ends, any number of them at a time."""
        ...

    def count(self, wanted: Wanted) -> int:
        """How many match, as the place says."""
        ...

    def replace(self, request_id: str, order: Order) -> PinRecord:
        """A new pin in place of an old one, whose request id is of no more use. Raises NotFound."""
        ...

    def remove(self, request_id: str) -> None:
        """Let go. Raises NotFound."""
        ...

    def origins(self, cid: str) -> Iterator[dict[str, Any]]:
        """Where content came from, best first. Raises NotImplementedHere where nobody keeps that."""
        ...

    def every_origin(self) -> Iterator[bytes]:
        """All that the caller may know of where content came from: lines of `blockstore.origin_lines`.

        Remote ones come in any pieces, not looked at. Raises NotImplementedHere as above.
        """
        ...

    def proof(self, cid: str, nonce: bytes, samples: int) -> Iterator[bytes]:
        """The answer to a challenge about what is pinned (docs/formats/proof.md).

        Raises NotImplementedHere where nobody answers such, NotFound.
        """
        ...

    def size(self, cid: str) -> dict[str, Any]:
        """How large a DAG is, as far as it is known. Raises NotImplementedHere, NotFound."""
        ...
