"""Stores the blocks of a CAR while it arrives.

While one batch of blocks becomes durable the next is read and hashed, so the network and the disk wait for
each other only when one of them is a batch behind.
"""

import asyncio
from collections.abc import Callable

from blockstore.dag import Dag
from blockstore.landings import Landings
from origins.dag_car import DagCar
from origins.entity_car import EntityCar
from origins.steps import step


class _Batch:
    """Blocks that are put and not yet durable."""

    def __init__(self) -> None:
        self.landings = Landings()
        self.names: list[bytes] = []


class Intake:
    """One CAR on its way into the store."""

    def __init__(self, dag: Dag, car: EntityCar | DagCar, arrived: Callable[[list[bytes]], None]) -> None:
        """`arrived` is told of blocks once they can be read, on the loop."""
        self._dag, self._car, self._arrived = dag, car, arrived
        self._batch = _Batch()
        self._landing: asyncio.Task[None] | None = None

    async def take(self, data: bytes) -> None:
        """The next bytes. Raises what the `feed` of the CAR does, StoreFull."""
        await step(self._feed, data)
        if self._landing is None or self._landing.done():
            await self._land()

    async def __aenter__(self) -> "Intake":
        return self

    async def __aexit__(self, *problem: object) -> None:
        """Wait until what was taken can be read, however the stream ended."""
        await self._land()
        await self._land()

    def end(self) -> None:
        """Say that the stream is over. Raises Unreachable when it was cut short."""
        self._car.end()

    def _feed(self, data: bytes) -> None:
        for block in self._car.feed(data):
            self._dag.put_soon(block, self._batch.landings)
            self._batch.names.append(block.cid.multihash)

    async def _land(self) -> None:
        """Wait for the batch that is landing, and let the next one land."""
        if self._landing is not None:
            await self._landing
            self._landing = None
        if self._batch.names:
            batch, self._batch = self._batch, _Batch()
            self._landing = asyncio.create_task(self._landed(batch))

    async def _landed(self, batch: _Batch) -> None:
        await step(batch.landings.wait)
        self._arrived(batch.names)
