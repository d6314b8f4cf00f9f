"""Whole DAGs from sources that are honest, break off, stall, lie or have a part; over real sockets."""

import asyncio
import random
from pathlib import Path

import pytest

from content import dag_cbor, dag_pb, multihash
from content.block import Block
from content.cid import DAG_CBOR, DAG_PB, RAW, Cid
from content.unixfs.message import Kind, Message, encode
from origins import trustless
from origins.dag_car import DagCar
from origins.entity_car import EntityCar
from runtime.errors import NotFound, TooLarge, Unreachable, Unverified
from tests.origins.fetching import Fetching, fetching, run
from tests.origins.trustless_source import CAR_TYPE, Asked, Response, Source, car_of, serving
from tests.pinning.dags import Held, random_dag, tree

pytestmark = pytest.mark.timeout(120)
FILES = {f"file {index}": random.Random(index).randbytes(1_400_000) for index in range(6)}
ROOT, HELD = tree(FILES)
NOBODY = Block.sealed(RAW, b"nobody linked to this")


def inline(codec: int, data: bytes) -> Cid:
    return Cid.v1(codec, multihash.of(multihash.IDENTITY, data))


def file_node(part: Cid) -> bytes:
    message = encode(Message(Kind.FILE, file_bytes=4, block_bytes=(4,)))
    return dag_pb.encode(dag_pb.Node((dag_pb.Link(part, "", 4),), message))


def lacking(here: Fetching, held: Held = HELD) -> list[Cid]:
    return [block.cid for block in held.values() if not here.dag.has(block.cid)]


def test_a_dag_comes_whole_in_two_requests(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.dag(ROOT)
            assert lacking(here) == []
            assert [asked.query.get("dag-scope") for asked in source.asked] == [None, "all"]
            await here.fetcher.dag(ROOT)
            assert len(source.asked) == 2, "what is here is not asked for"

    run(test())


def test_dags_of_any_codec_and_shape_come_whole(tmp_path: Path) -> None:
    async def test() -> None:
        for seed in range(5):
            root, held = random_dag(seed, 200)
            async with serving(Source(held)) as source, fetching(tmp_path / str(seed), source) as here:
                await here.fetcher.dag(root)
                assert lacking(here, held) == []

    run(test())


@pytest.mark.parametrize("cut_at", [1_000_000, 4_000_000])
def test_a_car_that_breaks_off_leaves_what_came(tmp_path: Path, cut_at: int) -> None:
    def breaks(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.cut_at = cut_at if asked.is_car else None
        return answer

    async def test() -> None:
        async with serving(Source(dict(HELD), breaks)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.dag(ROOT)
            left = lacking(here)
            assert 0 < len(left) < len(HELD) - 1
            assert sum(asked.is_car for asked in source.asked) == 1

    run(test())


def test_a_source_that_stalls_is_left_with_what_it_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trustless, "_PACE_S", 0.3)

    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = 3_000_000 if asked.is_car else None
        return answer

    async def test() -> None:
        async with serving(Source(dict(HELD), stalls)) as source, fetching(tmp_path / "d", source) as here:
            async with asyncio.timeout(20):
                await here.fetcher.dag(ROOT)
            assert 0 < len(lacking(here)) < len(HELD) - 1
            assert here.counted("fleek_origin_failures_total", ("why", "timeout")) == 1

    run(test())


def test_a_car_with_holes_is_no_failure_and_no_lie(tmp_path: Path) -> None:
    half = {name: block for index, (name, block) in enumerate(HELD.items()) if index % 2 or block.cid == ROOT}

    async def test() -> None:
        async with serving(Source(half)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.dag(ROOT)
            assert not here.dag.has(NOBODY.cid)
            with pytest.raises(NotFound, match="1 of 1 gateways that were asked answered 404"):
                await here.fetcher.dag(lacking(here)[0])

    run(test())


def test_blocks_that_the_dag_does_not_link_to_are_not_stored(tmp_path: Path) -> None:
    def adds(source: Source, asked: Asked) -> Response:
        if not asked.is_car:
            return source.honest(asked)
        blocks = source.whole(asked.cid)
        body = car_of((asked.cid,), [*blocks[:3], NOBODY, *blocks[3:]])
        return Response(fields={"Content-Type": CAR_TYPE}, body=body)

    async def test() -> None:
        async with serving(Source(dict(HELD), adds)) as liar, fetching(tmp_path / "d", liar) as here:
            await here.fetcher.dag(ROOT)
            assert not here.dag.has(NOBODY.cid)
            assert here.counted("fleek_origin_failures_total", ("why", "lied")) == 1
            with pytest.raises((NotFound, Unreachable)):  # it is left out from now on
                await here.fetcher.dag(lacking(here)[0])

    run(test())


def test_where_cars_are_not_given_the_block_comes_alone(tmp_path: Path) -> None:
    def no_cars(source: Source, asked: Asked) -> Response:
        return Response(406) if asked.is_car else source.honest(asked)

    async def test() -> None:
        async with serving(Source(dict(HELD), no_cars)) as source, fetching(tmp_path / "d", source) as here:
            await here.fetcher.dag(ROOT)
            assert len(lacking(here)) == len(HELD) - 1
            for cid in lacking(here):
                await here.fetcher.dag(cid)
            assert lacking(here) == []
            assert sum(asked.is_car for asked in source.asked) == 1

    run(test())


def test_a_source_that_is_named_for_a_dag_is_asked_for_it_and_for_nothing_else(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as named, fetching(tmp_path / "d") as here:
            with pytest.raises(NotFound):
                await here.fetcher.dag(ROOT)
            await here.fetcher.dag(ROOT, (named.url,))
            assert lacking(here) == []
            before = len(named.asked)
            with pytest.raises(NotFound):
                await here.fetcher.block(NOBODY.cid)
            assert len(named.asked) == before

    run(test())


def test_a_source_in_a_private_network_is_not_dialled(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, fetching(tmp_path / "d") as here:
            private = source.url.replace("127.0.0.1", "10.0.0.1")
            named = (private, "http://169.254.169.254")
            with pytest.raises(Unreachable, match="no other gateway"):
                await here.fetcher.dag(ROOT, named)
            said = here.fetcher.refetch.said(named, [ROOT.multihash])
            assert [address for address, _ in said] == list(named)
            assert all("is not at a public address" in why for _, why in said)

    run(test())


def test_what_only_an_inline_block_links_to_comes_with_the_car(tmp_path: Path) -> None:
    leaf = Block.sealed(RAW, b"leaf")
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([inline(DAG_CBOR, dag_cbor.encode([leaf.cid]))]))
    held = {each.cid.multihash: each for each in (root, leaf)}

    async def test() -> None:
        async with serving(Source(dict(held))) as source, fetching(tmp_path / "d", source) as here:
            here.dag.put([root])
            await here.fetcher.dag(root.cid)
            assert lacking(here, held) == []

    run(test())


# The CAR alone


def test_parts_of_an_inline_node_belong_to_the_entity() -> None:
    leaf = Block.sealed(RAW, b"leaf")
    middle = inline(DAG_PB, file_node(leaf.cid))
    root = Block.sealed(DAG_PB, file_node(middle))
    car = EntityCar(root.cid)
    assert list(car.feed(car_of((root.cid,), [root, leaf]))) == [root, leaf]
    car.end()


def test_blocks_that_are_here_pass_so_that_what_is_below_them_is_taken() -> None:
    leaf = Block.sealed(RAW, b"leaf")
    inner = Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid]))
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([inner.cid]))
    here = {root.cid, inner.cid}
    car = DagCar(root.cid, lambda cid: cid in here)
    body = car_of((root.cid,), [root, inner, inner, leaf, leaf])
    assert [block.cid for block in car.feed(body)] == [root.cid, inner.cid, leaf.cid]
    car.end()
    assert car.new_blocks == 1


def test_a_block_below_one_that_was_not_linked_is_a_lie_even_when_that_one_is_here() -> None:
    leaf = Block.sealed(RAW, b"leaf")
    other = Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid]))
    root = Block.sealed(DAG_CBOR, dag_cbor.encode(["nothing"]))
    car = DagCar(root.cid, lambda cid: cid == other.cid)
    with pytest.raises(Unverified):
        list(car.feed(car_of((root.cid,), [root, other, leaf])))


def test_links_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("origins.dag_car._LINKS_MAX", 100)
    leaves = [Block.sealed(RAW, f"{index}".encode()).cid for index in range(101)]
    root = Block.sealed(DAG_CBOR, dag_cbor.encode(list(leaves)))
    with pytest.raises(TooLarge):
        list(DagCar(root.cid, lambda cid: False).feed(car_of((root.cid,), [root])))
