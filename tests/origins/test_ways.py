"""Looking for the root above a lost block costs little, however many ask."""

import asyncio
from collections.abc import Iterator

import pytest

from blockstore import Store
from blockstore.dag import Dag
from blockstore.dag_root import DagRoot
from blockstore.roots import Root
from content.block import Block
from content.cid import RAW
from origins.ways import Ways
from runtime.clock import SystemClock
from tests.origins.test_refetch import V1, http, note, refetching, store

__all__ = ["store"]


class Nobody:
    """Trusts nobody."""

    def trust(self, source: str) -> None:
        pass

    def is_trusted(self, source: str) -> bool:
        return False


class Late(SystemClock):
    """A clock that moves on six seconds with each look at it."""

    ticks = 0

    def tick_s(self) -> float:
        self.ticks += 1
        return self.ticks * 6.0


def counting(monkeypatch: pytest.MonkeyPatch, store: Store) -> list[int]:
    """The roots that are read from now on, by searches: one number each search."""
    real, read = Dag.roots, list[int]()

    def roots(dag: Dag, after: bytes = b"") -> Iterator[DagRoot]:
        read.append(0)
        for each in real(dag, after):
            read[-1] += 1
            yield each

    monkeypatch.setattr(Dag, "roots", roots)
    return read


def test_many_who_miss_one_block_search_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read = counting(monkeypatch, store)
    block = Block.sealed(RAW, b"lost")
    store.dag.put([block])

    async def run() -> None:
        async with refetching(store, {}) as (refetch, _, __):
            ways = Ways(store, refetch, SystemClock(), Nobody())
            found = await asyncio.gather(*(ways.above(block.cid) for _ in range(20)))
            assert found == [[]] * 20

    asyncio.run(run())
    assert len(read) == 1


def test_no_more_roots_are_read_than_there_is_time_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [Block.sealed(RAW, bytes((number,))) for number in range(20)]
    store.dag.put(blocks)
    for each in blocks:
        store.dag.pin(each.cid, Root.pin("site"))
    note(store, V1.multihash, http("http://127.0.0.1/x"))
    read = counting(monkeypatch, store)

    async def run() -> None:
        async with refetching(store, {}) as (refetch, _, __):
            assert await Ways(store, refetch, Late(), Nobody()).above(blocks[0].cid) == []

    asyncio.run(run())
    assert read == [1]
