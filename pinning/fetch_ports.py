"""What the pin worker needs to bring content here, as small protocols; `node.assemble` knows who they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from content.cid import Cid


class Retrieval(Protocol):
    """Gateways and providers: `origins.fetcher.Fetcher`."""

    async def dag(self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None) -> None:
        """Return when the block is here and, of what is below it, all or a part.

        `also`: base URLs of gateways that are said to have it; `root`: of which it is a part.
        Raises NotFound, Unreachable, SourceTimeout.
        """
        ...


class Sources(Protocol):
    """Every other sort of place, those on record among them."""

    async def fetch(self, cid: Cid, origins: Sequence[str], *, account: str, most_bytes: int | None) -> None:
        """Bring a DAG here, verified, from `origins` (as the pin names them) or from where it came before.

        `account`: whose pin it is; `most_bytes`: what it leaves room for, None: no limit of its own. When it
        is cancelled nothing more is fetched for it.
        Raises NotFound (no origin that can be used), Unreachable, Unverified.
        """
        ...

    def said(self, addresses: Sequence[str], names: Sequence[bytes]) -> list[tuple[str, str]]:
        """Why some of the places that a pin names did not give what is under `names` (multihashes).

        (Address without its secrets, why); gateways too. Not those that were not asked. At once, some 100 us.
        """
        ...


@dataclass(frozen=True, slots=True)
class Quota:
    """What an account may have and has, in bytes. None: no limit."""

    limit_bytes: int | None = None
    used_bytes: int = 0

    @property
    def room_bytes(self) -> int | None:
        """What may still come."""
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.used_bytes)


class Quotas(Protocol):
    """Who may keep how much."""

    def of(self, account: str) -> Quota:
        """The quota of an account now. Blocking, a few microseconds."""
        ...
