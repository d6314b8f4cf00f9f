"""The fetcher against sources that are honest, slow, broken or lying; over real sockets, in one process."""

import asyncio
import json
import random
import threading
from pathlib import Path

import pytest

from blockstore.dag import Dag
from content.block import Block
from content.cid import RAW, Cid
from content.unixfs.build_directory import Entry, build_directory
from content.unixfs.profile import UNIXFS_V1_2025
from origins import file_windows
from origins.file_windows import WINDOW_BYTES
from runtime.errors import EdgeError, NotFound, TooManyRequests, Unreachable
from tests.origins.fetching import fetching, run
from tests.origins.trustless_source import (
    CAR_TYPE,
    RAW_TYPE,
    Asked,
    Behave,
    Response,
    Source,
    car_of,
    file_blocks,
    serving,
)

pytestmark = pytest.mark.timeout(120)
MIB = 1 << 20
DATA = random.Random(11).randbytes(3 * MIB + 12_345)
ROOT, BLOCKS = file_blocks(DATA)
BIG = random.Random(12).randbytes(40 * MIB + 1)
BIG_ROOT, BIG_BLOCKS = file_blocks(BIG)
ONE = Block.sealed(RAW, b"a block alone")


def entries_blocks(count: int) -> tuple[Cid, dict[bytes, Block], list[Block]]:
    leaves = [Block.sealed(RAW, f"{index}".encode()) for index in range(count)]
    named = [Entry(f"entry-{i:05}.txt", leaf.cid, len(leaf.data)) for i, leaf in enumerate(leaves)]
    made = build_directory(UNIXFS_V1_2025, named)
    return made.cid, {block.cid.multihash: block for block in made.blocks}, leaves


# What is asked for


def test_a_file_comes_whole_and_becomes_one_blob(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(BIG_BLOCKS))) as source, fetching(tmp_path / "d", source) as here:
            assert await here.read(BIG_ROOT, 0, len(BIG)) == BIG
            async with asyncio.timeout(20):
                while here.dag.file(BIG_ROOT) is None:
                    await asyncio.sleep(0.01)
            assert source.sent_bytes < len(BIG) * 1.02
            assert all(asked.is_car for asked in source.asked)
            assert here.counted("fleek_origin_bytes_total") == source.sent_bytes
            assert here.counted("fleek_origin_requests_open") == 0

    run(test())


def test_a_range_costs_the_source_what_lies_in_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(BIG_BLOCKS))) as source, fetching(tmp_path / "d", source) as here:
            start = 33 * MIB + 5
            assert await here.read(BIG_ROOT, start, start + 100) == BIG[start : start + 100]
            # the root, the first leaf (a media type is told by it), and the leaf of the range
            assert source.sent_bytes < 2 * MIB + 8192

    run(test())


def test_a_block_on_the_way_along_a_path_is_asked_for_alone(tmp_path: Path) -> None:
    root, held, _ = entries_blocks(6000)

    async def test() -> None:
        async with serving(Source(held)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.block(root)
            assert here.dag.has(root)
            assert [asked.query["format"] for asked in source.asked] == ["raw"]

    run(test())


def test_a_sharded_directory_comes_with_all_shards_in_one_request(tmp_path: Path) -> None:
    root, held, _ = entries_blocks(6000)

    async def test() -> None:
        async with serving(Source(held)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.entity(root)
            assert all(here.dag.has(block.cid) for block in held.values())
            assert len(source.asked) == 1

    run(test())


def test_a_request_does_not_wait_for_streams_of_other_content(tmp_path: Path) -> None:
    def stalls_cars(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 1 * MIB if asked.is_car else None
        return answer

    async def test() -> None:
        held = {**BIG_BLOCKS, ONE.cid.multihash: ONE}
        async with serving(Source(held, stalls_cars)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.block(BIG_ROOT)
            slow = asyncio.create_task(here.fetcher.span(BIG_ROOT, 2 * MIB, len(BIG)))
            while not any(asked.is_car for asked in source.asked):
                await asyncio.sleep(0.01)
            async with asyncio.timeout(5):
                await here.fetcher.block(ONE.cid)
            slow.cancel()

    run(test())


# Served while it arrives, failover, resumption


def test_the_first_bytes_are_readable_before_the_fetch_ends(tmp_path: Path) -> None:
    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 3 * MIB if asked.is_car else None
        return answer

    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS), stalls)) as source,
            fetching(tmp_path / "d", source, hedge_s=30.0) as here,
        ):
            await here.fetcher.block(BIG_ROOT)
            assert await here.read(BIG_ROOT, 0, MIB) == BIG[:MIB]
            await here.fetcher.span(BIG_ROOT, MIB, len(BIG))
            assert source.sent_bytes < 16 * MIB
            source.go_on.set()

    run(test())


@pytest.mark.parametrize("cut", [10_000, 2 * MIB + 77, 5 * MIB])
def test_a_car_that_breaks_off_goes_on_elsewhere_and_nothing_is_asked_for_twice(
    tmp_path: Path, cut: int
) -> None:
    def cuts(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.cut_at = cut if asked.is_car else None
        return answer

    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS), cuts)) as broken,
            serving(Source(dict(BIG_BLOCKS))) as sound,
            fetching(tmp_path / "d", broken, sound, hedge_s=10.0) as here,
        ):
            here.dag.put([BIG_BLOCKS[BIG_ROOT.multihash]])
            whole = WINDOW_BYTES
            assert await here.read(BIG_ROOT, 0, whole) == BIG[:whole]
            cars = [asked for asked in broken.asked + sound.asked if asked.is_car]
            assert len(cars) >= 2
            # less than a leaf and a few nodes more than the bytes: what had arrived was not sent again
            assert broken.sent_bytes + sound.sent_bytes < whole + MIB + 32_768

    run(test())


def test_a_stalled_stream_gets_company(tmp_path: Path) -> None:
    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 2 * MIB if asked.is_car else None
        return answer

    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS), stalls)) as stalled,
            serving(Source(dict(BIG_BLOCKS))) as sound,
            fetching(tmp_path / "d", stalled, sound, hedge_s=0.2) as here,
        ):
            here.dag.put([BIG_BLOCKS[BIG_ROOT.multihash]])
            async with asyncio.timeout(20):
                assert await here.read(BIG_ROOT, 0, len(BIG)) == BIG
            assert stalled.asked

    run(test())


def test_several_sources_share_a_large_file(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS))) as one,
            serving(Source(dict(BIG_BLOCKS))) as two,
            fetching(tmp_path / "d", one, two) as here,
        ):
            assert await here.read(BIG_ROOT, 0, len(BIG)) == BIG
            assert min(one.sent_bytes, two.sent_bytes) > 4 * MIB
            assert one.sent_bytes + two.sent_bytes < len(BIG) * 1.05

    run(test())


def test_a_source_without_cars_is_asked_for_blocks_over_few_connections(tmp_path: Path) -> None:
    def no_cars(source: Source, asked: Asked) -> Response:
        return Response(406) if asked.is_car else source.honest(asked)

    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS), no_cars)) as source,
            fetching(tmp_path / "d", source) as here,
        ):
            assert await here.read(BIG_ROOT, 0, len(BIG)) == BIG
            assert sum(asked.is_car for asked in source.asked) <= 3
            assert source.most_open <= 12  # three windows of four blocks
            assert source.connections < len(source.asked) / 1.5

    run(test())


def test_who_leaves_does_not_end_it_for_others_and_nothing_is_fetched_on_for_nobody(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(BIG_BLOCKS))) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.block(BIG_ROOT)
            leaves = asyncio.create_task(here.fetcher.span(BIG_ROOT, 0, len(BIG)))
            stays = asyncio.create_task(here.fetcher.span(BIG_ROOT, 0, len(BIG)))
            await asyncio.sleep(0)
            leaves.cancel()
            await stays
            while here.counted("fleek_origin_requests_open"):
                await asyncio.sleep(0.01)
            # the window in which the reader stood, and the two ahead of it
            assert source.sent_bytes < 3 * WINDOW_BYTES + MIB

    run(test())


def test_many_readers_of_one_thing_cost_one_request(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source({ONE.cid.multihash: ONE})) as source,
            fetching(tmp_path / "d", source) as here,
        ):
            await asyncio.gather(*(here.fetcher.block(ONE.cid) for _ in range(50)))
            assert len(source.asked) == 1

    run(test())


# Liars


def wrong_bytes(at: int) -> Behave:
    def behave(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        if asked.is_car:
            found = source.car_blocks(asked)
            number = min(at, len(found) - 1)
            found[number] = Block(found[number].cid, bytes(len(found[number].data)))
            answer.body = car_of((asked.cid,), found)
        else:
            answer.body = bytes(len(answer.body))
        return answer

    return behave


def extra_block(source: Source, asked: Asked) -> Response:
    answer = source.honest(asked)
    if asked.is_car:
        answer.body = car_of((asked.cid,), [*source.car_blocks(asked)[:1], ONE])
    return answer


def other_root(source: Source, asked: Asked) -> Response:
    return Response(fields={"Content-Type": CAR_TYPE}, body=car_of((ONE.cid,), [ONE]))


def not_a_car(source: Source, asked: Asked) -> Response:
    return Response(fields={"Content-Type": CAR_TYPE}, body=b"\xff" * 100)


LIARS = {
    "wrong bytes in the first block": wrong_bytes(0),
    "wrong bytes in a later block": wrong_bytes(500),
    "a block that was not asked for": extra_block,
    "the CAR of something else": other_root,
    "no CAR at all": not_a_car,
}


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS.keys())
def test_a_liar_is_left_out_and_the_file_comes_from_others(tmp_path: Path, liar: Behave) -> None:
    async def test() -> None:
        async with (
            serving(Source(dict(BLOCKS), liar)) as bad,
            serving(Source(dict(BLOCKS))) as good,
            fetching(tmp_path / "d", bad, good, hedge_s=10.0) as here,
        ):
            assert await here.read(ROOT, 0, len(DATA)) == DATA
            assert not here.dag.has(ONE.cid)
            assert here.counted("fleek_origin_demotions_total") == 1
            assert here.counted("fleek_origin_failures_total", ("why", "lied")) == 1
            asked = len(bad.asked)
            other_root, other = file_blocks(DATA[:-1])
            good.held.update(other)
            bad.held.update(other)
            assert await here.read(other_root, 0, len(DATA) - 1) == DATA[:-1]
            assert len(bad.asked) == asked

    run(test())


@pytest.mark.parametrize("liar", LIARS.values(), ids=LIARS.keys())
def test_of_a_liar_alone_nothing_false_is_kept(tmp_path: Path, liar: Behave) -> None:
    async def test() -> None:
        async with serving(Source(dict(BLOCKS), liar)) as bad, fetching(tmp_path / "d", bad) as here:
            with pytest.raises(EdgeError):
                await here.read(ROOT, 0, len(DATA))
            assert not here.dag.has(ONE.cid)

    run(test())


def test_an_endless_answer_is_cut_off(tmp_path: Path) -> None:
    def endless(source: Source, asked: Asked) -> Response:
        leaf = next(iter(BIG_BLOCKS.values()))
        return Response(fields={"Content-Type": RAW_TYPE}, body=leaf.data * 40, length=1 << 60)

    async def test() -> None:
        async with serving(Source({}, endless)) as bad, fetching(tmp_path / "d", bad) as here:
            with pytest.raises(Unreachable):
                await here.fetcher.block(ONE.cid)
            assert bad.sent_bytes < 30 * MIB

    run(test())


def test_a_compressed_answer_is_refused_without_a_look_at_it(tmp_path: Path) -> None:
    def compressed(source: Source, asked: Asked) -> Response:
        return Response(fields={"Content-Type": RAW_TYPE, "Content-Encoding": "gzip"}, body=b"\x1f\x8b")

    async def test() -> None:
        async with serving(Source({}, compressed)) as bad, fetching(tmp_path / "d", bad) as here:
            with pytest.raises(Unreachable, match="compressed"):
                await here.fetcher.block(ONE.cid)

    run(test())


# Trouble


def test_what_nobody_has_is_not_asked_for_again_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source({})) as source, fetching(tmp_path / "d", source) as here:
            for _ in range(3):
                with pytest.raises(NotFound):
                    await here.fetcher.block(ONE.cid)
            assert len(source.asked) == 1

    run(test())


def test_a_source_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    def fails_first(source: Source, asked: Asked) -> Response:
        return Response(500) if len(source.asked) == 1 else source.honest(asked)

    async def test() -> None:
        held = {ONE.cid.multihash: ONE}
        async with serving(Source(held, fails_first)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.block(ONE.cid)
            assert len(source.asked) == 2

    run(test())


@pytest.mark.parametrize("wish", ["30", "Wed, 21 Oct 2065 07:28:00 GMT"], ids=["seconds", "date"])
def test_a_source_that_asks_for_patience_is_left_alone(tmp_path: Path, wish: str) -> None:
    def busy(source: Source, asked: Asked) -> Response:
        return Response(429, {"Retry-After": wish})

    async def test() -> None:
        async with serving(Source({}, busy)) as source, fetching(tmp_path / "d", source) as here:
            for number in range(4):
                with pytest.raises(Unreachable):
                    await here.fetcher.block(Block.sealed(RAW, bytes([number])).cid)
            assert len(source.asked) == 1

    run(test())


def test_a_connection_that_was_closed_while_it_waited_costs_no_failure(tmp_path: Path) -> None:
    blocks = [Block.sealed(RAW, bytes([number])) for number in range(4)]

    async def test() -> None:
        source = Source({block.cid.multihash: block for block in blocks})
        async with serving(source), fetching(tmp_path / "d", source) as here:
            for block in blocks[:2]:
                await here.fetcher.block(block.cid)
            assert source.connections == 1
            source.hang_up()
            for block in blocks[2:]:
                await here.fetcher.block(block.cid)
            assert source.connections == 2
            assert here.counted("fleek_origin_demotions_total") == 0

    run(test())


def test_surplus_behind_an_answer_is_never_taken_for_the_next(tmp_path: Path) -> None:
    one, two = Block.sealed(RAW, b"one"), Block.sealed(RAW, b"two")
    surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"

    def chatty(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.length = len(answer.body)
        answer.body += surplus
        return answer

    async def test() -> None:
        source = Source({block.cid.multihash: block for block in (one, two)}, chatty)
        async with serving(source), fetching(tmp_path / "d", source) as here:
            await here.fetcher.block(one.cid)
            await here.fetcher.block(two.cid)
            assert source.connections == 2
            assert here.counted("fleek_origin_failures_total", ("why", "lied")) == 0

    run(test())


def test_one_fetch_at_a_time_with_a_single_turn_still_ends(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source(dict(BIG_BLOCKS))) as source,
            fetching(tmp_path / "d", source, max_fetches=1) as here,
        ):
            assert await here.read(BIG_ROOT, 0, len(BIG)) == BIG

    run(test())


def test_a_name_that_could_never_be_verified_is_refused_without_asking(tmp_path: Path) -> None:
    unknown = Cid.v1(RAW, b"\x99\x7e\x20" + bytes(32))

    async def test() -> None:
        async with serving(Source({})) as source, fetching(tmp_path / "d", source) as here:
            with pytest.raises(EdgeError, match="not known here"):
                await here.fetcher.block(unknown)
            assert source.asked == []

    run(test())


def test_a_block_of_other_bytes_is_not_kept(tmp_path: Path) -> None:
    def other_bytes(source: Source, asked: Asked) -> Response:
        return Response(fields={"Content-Type": RAW_TYPE}, body=b"something else")

    async def test() -> None:
        async with serving(Source({}, other_bytes)) as bad, fetching(tmp_path / "d", bad) as here:
            with pytest.raises(Unreachable):
                await here.fetcher.block(ONE.cid)
            assert not here.dag.has(ONE.cid)
            assert here.counted("fleek_origin_failures_total", ("why", "lied")) == 1

    run(test())


def test_when_too_many_wait_more_are_refused_and_reading_ahead_is_left_out(tmp_path: Path) -> None:
    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 0
        return answer

    async def test() -> None:
        waiting = [Block.sealed(RAW, bytes([number])) for number in range(64)]
        held = {block.cid.multihash: block for block in waiting}
        async with (
            serving(Source(held, stalls)) as source,
            fetching(tmp_path / "d", source, max_fetches=1) as here,
        ):
            here.dag.put([BIG_BLOCKS[BIG_ROOT.multihash]])
            tasks = [asyncio.create_task(here.fetcher.block(block.cid)) for block in waiting]
            while not source.asked:
                await asyncio.sleep(0.01)
            with pytest.raises(TooManyRequests):
                await here.fetcher.block(ONE.cid)
            here.fetcher.passed(BIG_ROOT, 0, WINDOW_BYTES, len(BIG))  # a body on its way is not broken off
            source.go_on.set()
            await asyncio.gather(*tasks)

    run(test())


def test_who_provides_a_root_is_asked_for_what_is_below_it(tmp_path: Path) -> None:
    """Routers often know the provider of a root alone."""

    async def test() -> None:
        async with serving(Source(dict(BLOCKS))) as provider:
            port = provider.url.rpartition(":")[2]
            record = {"Schema": "peer", "ID": "x", "Addrs": [f"/ip4/127.0.0.1/tcp/{port}/http"]}

            def routes(source: Source, asked: Asked) -> Response:
                known = [record] if asked.cid == ROOT else []
                lines = b"".join(json.dumps(each).encode() + b"\n" for each in known)
                return Response(fields={"Content-Type": "application/x-ndjson"}, body=lines)

            async with (
                serving(Source({}, routes)) as router,
                fetching(tmp_path / "d", routers=(router.url,)) as here,
            ):
                await here.fetcher.block(ROOT)
                for block in BLOCKS.values():
                    await here.fetcher.block(block.cid)
                assert len(router.asked) == 1

    run(test())


def test_closing_waits_for_what_threads_do_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, let = threading.Event(), threading.Event()
    ended: list[int] = []

    def slow(dag: Dag) -> int:
        begun.set()
        assert let.wait(20)
        ended.append(dag.arrivals())
        return 0

    monkeypatch.setattr(file_windows, "flatten_woken", slow)

    async def test() -> None:
        async with serving(Source(dict(BLOCKS))) as source, fetching(tmp_path / "d", source) as here:
            await here.read(ROOT, 0, len(DATA))
            await asyncio.to_thread(begun.wait, 20)
            closing = asyncio.create_task(here.fetcher.close())
            for _ in range(50):
                await asyncio.sleep(0)
            assert not closing.done()
            let.set()
            await closing
            assert ended

    run(test())
