"""A fetch from where somebody said that content is: bounded in bytes, pace, turns; ended by who leaves."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from blockstore import Store
from blockstore.origin import Origin, OriginKind
from content.block import Block
from content.cid import DAG_CBOR
from content.commp import PieceHasher, piece_cid
from runtime.errors import EdgeError, Unreachable, Unverified
from tests.origins.byte_server import Held
from tests.origins.test_refetch import BIG, CAR, V1, V1_BLOCKS, http, is_whole, note, refetching, store

__all__ = ["store"]
ENDLESS = Held(BIG[:65_536], every_s=0)
QUIET = Held(b"x", every_s=0.01)
SECRET = "0123456789abcdef0123456789abcdef"


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come true soon."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_fetch_goes_on_for_who_still_waits_and_ends_with_the_last(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": ENDLESS}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            waiting = [asyncio.create_task(refetch.fetch(V1)) for _ in range(2)]
            await until(lambda: server.sent_bytes > 1 << 20)
            waiting[0].cancel()
            sent = server.sent_bytes
            await until(lambda: server.sent_bytes > sent + (4 << 20))
            assert server.asked == ["/big"]
            waiting[1].cancel()
            await until(lambda: server.open == 0)
            assert list(store.list()) == []

    asyncio.run(run())


def test_who_comes_while_a_fetch_ends_has_one_of_its_own(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": ENDLESS}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            first = asyncio.create_task(refetch.fetch(V1))
            await until(lambda: server.sent_bytes > 1 << 20)
            server.held["/big"] = Held(BIG)
            first.cancel()
            await asyncio.wait((first,))
            await refetch.fetch(V1)
            assert is_whole(store, V1)

    asyncio.run(run())


@pytest.mark.parametrize("held", [ENDLESS, Held(BIG)], ids=["never ends", "says its length"])
def test_no_more_comes_than_there_is_room_for(store: Store, held: Held) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": held}) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            with pytest.raises(Unverified, match="longer than"):
                await refetch.fetch(V1, account="alice", most_bytes=len(BIG) - 1)
            await until(lambda: server.open == 0)
            assert list(store.list()) == []
            server.held["/big"] = Held(BIG)
            await refetch.fetch(V1, account="alice", most_bytes=len(BIG))
            assert is_whole(store, V1)

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["car", "piece"])
def test_of_a_car_no_more_blocks_are_kept_than_there_is_room_for(store: Store, kind: str) -> None:
    hasher = PieceHasher()
    hasher.update(CAR)
    piece = f"/piece/{piece_cid(hasher.roots()[0])}"
    dag_bytes = sum(len(each.data) for each in V1_BLOCKS.values())

    async def run() -> None:
        async with refetching(store, {piece: CAR, "/x.car": CAR}) as (refetch, server, _):
            place = Origin(OriginKind.FILECOIN, server.url + piece)
            if kind == "car":
                place = Origin(OriginKind.HTTP, f"{server.url}/x.car", profile="car")
            note(store, V1.multihash, place)
            with pytest.raises(Unverified, match="there is room for"):
                await refetch.fetch(V1, account="alice", most_bytes=dag_bytes // 2)
            store.backing.writer.run()
            kept_bytes = store.usage().bytes_
            assert 0 < kept_bytes <= dag_bytes // 2
            await refetch.fetch(V1, account="alice", most_bytes=dag_bytes - kept_bytes)
            assert all(map(store.dag.has, (each.cid for each in V1_BLOCKS.values()))), "all of it fits now"

    asyncio.run(run())


def test_who_sends_hardly_anything_is_left(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": QUIET}, pace_s=0.2) as (refetch, server, _):
            note(store, V1.multihash, http(f"{server.url}/big"))
            with pytest.raises(Unreachable, match="hardly anything"):
                await asyncio.wait_for(refetch.fetch(V1), 20)
            await until(lambda: server.open == 0)

    asyncio.run(run())


def test_slow_places_of_one_account_leave_turns_to_others(store: Store) -> None:
    blocks = [Block.sealed(DAG_CBOR, bytes((0x18, 24 + number))) for number in range(5)]

    async def run() -> None:
        held: dict[str, bytes | Held] = {f"/{number}": QUIET for number in range(4)}
        async with refetching(store, {**held, "/4": blocks[4].data}) as (refetch, server, _):
            work = [
                asyncio.create_task(
                    refetch.fetch(blocks[number].cid, [f"{server.url}/{number}"], account="mallory")
                )
                for number in range(4)
            ]
            await until(lambda: len(server.asked) == 2)
            await refetch.fetch(blocks[4].cid, [f"{server.url}/4"], account="alice")
            assert sorted(server.asked[:2]) == ["/0", "/1"]
            assert server.asked[2:] == ["/4"]
            work[0].cancel()
            await until(lambda: server.asked[3:] == ["/2"])  # its turn went to the next
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    asyncio.run(run())


def test_slow_places_of_one_account_leave_turns_to_readers_of_others(store: Store) -> None:
    """Readers heal from what accounts named: mallory's places take two of the four turns, and no more."""
    blocks = [Block.sealed(DAG_CBOR, bytes((0x18, 24 + number))) for number in range(6)]

    async def run() -> None:
        held: dict[str, bytes | Held] = {f"/{number}": QUIET for number in range(5)}
        async with refetching(store, {**held, "/5": blocks[5].data}) as (refetch, server, _):
            for number, block in enumerate(blocks):
                whose = "alice" if number == 5 else "mallory"
                note(store, block.cid.multihash, http(f"{server.url}/{number}", account=whose))
            work = [asyncio.create_task(refetch.fetch(block.cid)) for block in blocks[:5]]
            await until(lambda: len(server.asked) == 2)
            await refetch.fetch(blocks[5].cid)
            assert server.asked[2:] == ["/5"]
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    asyncio.run(run())


def test_own_places_are_asked_while_another_asks_theirs(store: Store) -> None:
    async def run() -> None:
        async with refetching(store, {"/slow": QUIET, "/big": BIG}) as (refetch, server, _):
            other = asyncio.create_task(refetch.fetch(V1, [f"{server.url}/slow"], account="mallory"))
            await until(lambda: server.asked == ["/slow"])
            await refetch.fetch(V1, [f"{server.url}/big"], account="alice")
            assert is_whole(store, V1)
            other.cancel()
            await asyncio.wait((other,))

    asyncio.run(run())


@pytest.mark.parametrize("is_there", [True, False])
def test_a_secret_of_an_address_dials_and_is_nowhere_else(
    store: Store, caplog: pytest.LogCaptureFixture, is_there: bool
) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> None:
        path = f"/big?token={SECRET}"
        async with refetching(store, {path: BIG if is_there else Held(BIG, cut_at=9)}) as (
            refetch,
            server,
            _,
        ):
            note(store, V1.multihash, http(f"{server.url}/big", is_cut=True))
            problem: EdgeError | None = None
            try:
                await refetch.fetch(V1, [server.url + path])
            except EdgeError as error:
                problem = error
            assert server.asked == [path]
            assert (problem is None) == is_there
            assert SECRET not in caplog.text + str(problem) + str(problem and problem.where)
            store.origins.flush()
            (kept,) = store.origins.of(V1.multihash)
            assert (kept.last_success_s > 0, kept.last_failure_s > 0) == (is_there, not is_there)
            assert bool(kept.profile) == is_there
            assert kept.is_cut

    asyncio.run(run())


@pytest.mark.parametrize("account", ["", "mallory"])
@pytest.mark.parametrize("is_on_record", [True, False])
def test_what_the_operator_allows_is_dialled_only_where_the_operator_named_it(
    store: Store, account: str, is_on_record: bool
) -> None:
    async def run() -> None:
        async with refetching(store, {"/big": BIG}, allow_accounts=()) as (refetch, server, gateways):
            url = f"{server.url}/big"
            gateway = Origin(OriginKind.GATEWAY, server.url, account, last_success_s=9.0)
            note(store, V1.multihash, gateway, *([http(url, account=account)] if is_on_record else []))
            if account:
                with pytest.raises(Unreachable, match="not dialled"):
                    await refetch.fetch(V1, [url], account=account)
                assert server.asked == gateways.trusted == []
            else:
                await refetch.fetch(V1, [url])
                assert is_whole(store, V1)
                assert gateways.trusted == [server.url]
            assert [each for _, each in gateways.asked] == [(server.url,)]

    asyncio.run(run())
