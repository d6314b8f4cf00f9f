"""One trustless gateway as a source: a block, or the CAR of an entity, verified and stored.

Source: the trustless gateway specification. Whatever an answer is, its source is judged here: who gave
something else is left out for a while, who failed rests, who gives no CARs is asked for blocks.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from blockstore.dag import Dag
from content.block import MAX_BLOCK_BYTES, Block
from content.cid import Cid
from net.outbound import OutboundReply
from origins.arrivals import Arrivals
from origins.dag_car import DagCar
from origins.entity_car import EntityCar
from origins.intake import Intake
from origins.meter import OriginMeter
from origins.pace import paced
from origins.said import Said
from origins.sources import Sources
from origins.steps import step
from runtime.clock import Clock
from runtime.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    SourceTimeout,
    TooLarge,
    Unreachable,
    Unverified,
)

_RAW_TYPE: Final = "application/vnd.ipld.raw"
_CAR_TYPE: Final = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
_ABSENT: Final = frozenset((404, 410, 412, 451))
_NO_CARS: Final = frozenset((400, 406, 415, 501))
# A window of a file at 14 KB/s; slower than that it is better asked for in smaller parts
_CAR_S: Final = 600.0
# A whole DAG may take long, and what came is kept; but who sends less than 16 KiB in 10 s is left
_DAG_CAR_S: Final = 6 * 3600.0
_PACE_S: Final = 10.0
_PACE_BYTES: Final = 16_384
_SLOW_S: Final = 2.0
_LIED: Final = "it gave something else"


class Gain:
    """What one race has brought so far."""

    __slots__ = ("blocks",)

    def __init__(self) -> None:
        self.blocks = 0

    def count(self) -> int:
        """Blocks that can be read now and could not before."""
        return self.blocks


class _TurnedAway(Unreachable):
    """A status that is no answer; `retry_after` as the source wrote it."""

    def __init__(self, reply: OutboundReply, source: str) -> None:
        super().__init__(f"it answered {reply.status}", where=source)
        self.retry_after = reply.fields.get("retry-after")


class NoCars(Unreachable):
    """The source does not give this CAR; blocks may still be had."""


class Trustless:
    """Requests to sources of content."""

    def __init__(
        self,
        dag: Dag,
        sources: Sources,
        arrivals: Arrivals,
        clock: Clock,
        meter: OriginMeter,
        block_s: float,
        said: Said,
    ) -> None:
        """`block_s`: the longest time that the answer of one block may take. `said`: is told why not."""
        self._dag, self._sources, self._arrivals = dag, sources, arrivals
        self._clock, self._meter, self._block_s, self._said = clock, meter, block_s, said

    async def block(self, source: str, cid: Cid, gain: Gain) -> None:
        """Get and store one block. Raises NotFound, Unreachable, SourceTimeout; StoreFull."""
        started_s = self._clock.tick_s()
        async with self._judged(source, "block", cid):
            reply = await self._sources.outbound_to(source).get(
                f"{source}/ipfs/{cid}?format=raw",
                accept=_RAW_TYPE,
                max_bytes=MAX_BLOCK_BYTES,
                deadline_s=self._block_s,
                reuse=True,
            )
            async with reply:
                _check_status(reply, source)
                data = await reply.read()
            self._meter.received(len(data))
            await step(lambda: self._dag.put([Block.verified(cid, data)]))
        self._arrived([cid.multihash], gain)
        self._sources.answered(source, started_s, len(data))

    async def car(self, source: str, cid: Cid, query: str, max_bytes: int, gain: Gain) -> None:
        """Get the CAR of an entity; each block is stored as it comes. Raises as `block`, and NoCars."""
        url = f"{source}/ipfs/{cid}?format=car&dag-scope=entity{query}"
        await self._car(source, cid, url, EntityCar(cid), max_bytes, _CAR_S, gain)

    async def dag_car(self, source: str, cid: Cid, car: DagCar, max_bytes: int, gain: Gain) -> None:
        """Get the CAR of a whole DAG, as `car` does; a source that stalls is left with what it gave."""
        url = f"{source}/ipfs/{cid}?format=car&dag-scope=all"
        await self._car(source, cid, url, car, max_bytes, _DAG_CAR_S, gain, pace_s=_PACE_S)

    async def _car(
        self,
        source: str,
        cid: Cid,
        url: str,
        car: EntityCar | DagCar,
        max_bytes: int,
        deadline_s: float,
        gain: Gain,
        *,
        pace_s: float | None = None,
    ) -> None:
        started_s, size = self._clock.tick_s(), 0
        async with self._judged(source, "car", cid):
            reply = await self._sources.outbound_to(source).get(
                url, accept=_CAR_TYPE, max_bytes=max_bytes, deadline_s=deadline_s, reuse=True
            )
            async with reply:
                if reply.status in _NO_CARS or (reply.status == 200 and not _is_car(reply)):
                    raise NoCars("the source gives no CARs", where=source)
                _check_status(reply, source)
                async with Intake(self._dag, car, lambda names: self._arrived(names, gain)) as intake:
                    async for data in paced(reply.pieces(), source, pace_s, _PACE_BYTES):
                        size += len(data)
                        self._meter.received(len(data))
                        await intake.take(data)
                    intake.end()
        self._sources.answered(source, started_s, size)

    def _arrived(self, names: list[bytes], gain: Gain) -> None:
        gain.blocks += len(names)
        self._arrivals.arrived(names)

    @asynccontextmanager
    async def _judged(self, source: str, what: str, cid: Cid) -> AsyncIterator[None]:
        """A request to a source; how it ended counts for or against the source."""
        self._meter.request(what)
        self._meter.opened(1)
        self._sources.scores.asked(source)
        began_s = self._clock.tick_s()
        try:
            yield
        except (Unverified, BadRequest) as error:
            self._meter.failure(error)
            self._sources.lied(source, error)
            self._said.note(source, cid.multihash, f"{_LIED}: {error.message}", of_all=True)
            raise Unreachable(_LIED, where=source) from None
        except NotFound as error:
            self._meter.failure(error)
            self._said.note(source, cid.multihash, error.message)
            raise
        except TooLarge as error:
            self._meter.failure(error)
            if what == "block":
                self._sources.lied(source, error)  # no block is that long
                self._said.note(source, cid.multihash, f"{_LIED}: {error.message}", of_all=True)
            raise NoCars(error.message, where=source) from None
        except NoCars as error:
            self._meter.failure(error)
            self._sources.scores.gives_no_cars(source)
            raise
        except (Unreachable, SourceTimeout, Forbidden) as error:
            self._meter.failure(error)
            self._sources.failed(source, error.retry_after if isinstance(error, _TurnedAway) else None)
            self._said.note(source, cid.multihash, error.message, of_all=True)
            if isinstance(error, Forbidden):
                raise Unreachable(error.message, where=source, hint=error.hint) from None
            raise
        except asyncio.CancelledError:
            waited_s = self._clock.tick_s() - began_s
            if waited_s >= _SLOW_S:  # else somebody else was faster
                self._said.note(source, cid.multihash, f"it had not given it after {waited_s:.0f} s")
            raise
        else:
            self._said.gave(source, cid.multihash)
        finally:
            self._meter.opened(-1)
            self._sources.scores.ended(source)


def _is_car(reply: OutboundReply) -> bool:
    return "vnd.ipld.car" in (reply.fields.get("content-type") or "")


def _check_status(reply: OutboundReply, source: str) -> None:
    if reply.status in _ABSENT:
        raise NotFound(f"it answered {reply.status}: it does not have it", where=source)
    if reply.status != 200:
        raise _TurnedAway(reply, source)
