"""Brings whole DAGs: a block, and behind it as much of what it links to as one source gives in a CAR.

Theory of operation. The block itself is asked for first, hedged as any other: that tells who has the content.
Then the best source is asked for the CAR of all of it. A CAR that breaks off, stalls or has holes is no
failure: what came is kept, and the caller, who walks the DAG, asks again for the parts that are missing, so
nothing is sent twice. Where no source gives CARs the caller is left to ask block by block.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from blockstore import Store
from blockstore.presence import present
from content import cid as codecs
from content import multihash
from content.cid import Cid
from content.links import links_through
from origins.dag_car import DagCar
from origins.looking import Looking
from origins.said import Said
from origins.sources import Sources
from origins.steps import step
from origins.trustless import Gain, NoCars, Trustless
from runtime.errors import BadRequest, EdgeError, NotFound, SourceTimeout, StoreFull, Unreachable

log = logging.getLogger("fleek.origins")

# A source that answers nothing for so long gets company; then the CAR comes twice, so not soon
_HEDGE_S: Final = 10.0
# More than a terabyte is asked for in parts
_BYTES_MAX: Final = 1 << 40
_TOLD_MAX: Final = 3  # different failures
# Links of a block that are looked at, evenly spread, to tell whether most of what is below it is here: 20 ms
_LOOKED_AT_MAX: Final = 2048
_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))


class DagFetch:
    """Fetches of DAGs of one process."""

    def __init__(
        self,
        store: Store,
        trustless: Trustless,
        sources: Sources,
        looking: Looking,
        max_fetches: int,
        came: Callable[[Cid, str], None],
        said: Said,
    ) -> None:
        """`came(root, source)`: told of who gave something of a DAG. `said`: what sources that rest said."""
        self._came, self._said = came, said
        self._store, self._trustless, self._sources, self._looking = store, trustless, sources, looking
        self._turns = asyncio.Semaphore(max_fetches)

    async def dag(
        self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None, *, by_parts: bool = False
    ) -> None:
        """Return when the block is here and, of what is below it, what one source gave: all, or a part.

        `also`: base URLs of gateways that are said to have it; `root`: what it is a part of. `by_parts`: who
        asks will ask for each part that lacks, so that nothing is asked for together of which most is here.
        Raises NotFound, Unreachable, SourceTimeout, StoreFull; BadRequest for a hash that cannot be verified.
        May be cancelled at any moment.
        """
        multihash.verify(cid.multihash, b"")  # refuses what could never be verified
        self._sources.tell(also)
        async with self._turns:
            if not self._is_here(cid):
                await self._block(cid, also, root or cid)
            if await step(self._lacks_most if by_parts else self._lacks_something, cid):
                try:
                    await self._below(cid, also, root or cid)
                except StoreFull:
                    raise
                except EdgeError:
                    pass  # the block itself came: the parts are asked for by whoever walks

    def _is_here(self, cid: Cid) -> bool:
        return cid.is_identity or present(self._store, cid) is not None

    def _lacks_something(self, cid: Cid) -> bool:
        if cid.codec in _LEAVES:
            return False
        try:
            return not all(map(self._is_here, links_through(cid, self._store.dag.read(cid))))
        except BadRequest:
            return False

    def _lacks_most(self, cid: Cid) -> bool:
        """Whether so much of what a block links to lacks that it is asked for together."""
        if cid.codec in _LEAVES:
            return False
        try:
            linked = links_through(cid, self._store.dag.read(cid))
        except BadRequest:
            return False
        below = [each for each in linked if not each.is_identity]
        looked_at = below[:: 1 + len(below) // _LOOKED_AT_MAX]
        return sum(map(self._is_here, looked_at)) * 2 < len(looked_at)

    async def _block(self, cid: Cid, also: Sequence[str], root: Cid) -> None:
        said: dict[str, EdgeError] = {}

        async def attempt(source: str, gain: Gain) -> None:
            try:
                await self._trustless.block(source, cid, gain)
            except EdgeError as error:
                said[source] = error
                log.info("%s from %s: %s", cid, source, error.message)
                raise
            self._came(root, source)

        def told(error: EdgeError) -> EdgeError:
            return self._told(error, said, also, cid)

        await self._looking.look(_name(cid, b"block", also), cid, attempt, also=also, told=told)

    async def _below(self, cid: Cid, also: Sequence[str], root: Cid) -> None:
        async def attempt(source: str, gain: Gain) -> None:
            if not self._sources.scores.gives_cars(source):
                raise NoCars("the source gives no CARs", where=source)
            car = DagCar(cid, self._is_here)
            try:
                await self._trustless.dag_car(source, cid, car, _BYTES_MAX, gain)
            except StoreFull:
                raise
            except EdgeError:
                if not car.new_blocks:
                    raise
            if not car.new_blocks:
                self._sources.scores.gives_no_cars(source)
                raise NoCars("its CAR does not hold what it is of", where=source)
            self._came(root, source)

        await self._looking.look(_name(cid, b"dag", also), cid, attempt, also=also, hedge_s=_HEDGE_S)

    def _told(
        self, error: EdgeError, asked: dict[str, EdgeError], also: Sequence[str], cid: Cid
    ) -> EdgeError:
        """The error with what sources said, as a person is told who named `also`.

        Those are told of by their names (`Said`); the operator's and the routers' are not named.
        """
        theirs = [each for source, each in asked.items() if source not in also]
        absent = sum(isinstance(each, NotFound) for each in theirs)
        other = dict.fromkeys(each.message for each in theirs if not isinstance(each, NotFound))
        if not asked and not isinstance(error, NotFound):  # all of them rest
            known = (self._said.lately(each) for each in self._sources.at_hand() if each not in also)
            other = dict.fromkeys(each for each in known if each is not None)
        parts = [f"{absent} of {len(theirs)} gateways that were asked answered 404"] if absent else []
        parts += [f"a gateway: {each}" for each in list(other)[:_TOLD_MAX]]
        parts += ["and more failed"] if len(other) > _TOLD_MAX else []
        if isinstance(error, SourceTimeout) or (not parts and not asked and not isinstance(error, NotFound)):
            return error
        kind = NotFound if isinstance(error, NotFound) else Unreachable
        nobody = f"no {'other ' if asked else ''}gateway is known that may have it"
        return kind("; ".join(parts) or nobody, where=cid.text())


def _name(cid: Cid, what: bytes, also: Sequence[str]) -> bytes:
    """What is remembered of a search in vain holds for the same thing from the same sources only."""
    return b" ".join((cid.multihash, what, *(each.encode() for each in also)))
