"""A node heals what its scrub finds, before anybody asks for it; what does not come back rests."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blockstore import Root, Store
from blockstore.origin import Origin, OriginKind
from content.cid import Cid
from content.unixfs.file import leaves
from content.unixfs.profile import UNIXFS_V0_2015, UNIXFS_V1_2025, Profile
from durable import Txn
from origins.healing import Healer
from origins.rebuild import Rebuild
from runtime.board import SLOT_WORDS
from runtime.clock import SystemClock
from runtime.errors import BlobDamaged, Blocked, Unreachable
from runtime.metrics import word
from tests.appliance import Node, eventually
from tests.node.test_damage import flip
from tests.origins.fetching import fetching, run
from tests.origins.test_fetching import LOOPBACK, node_with
from tests.origins.test_healing import (
    BLOBS,
    CONTENTS,
    DAGS,
    World,
    damage_left,
    directory_of,
    flip_in_all,
    is_back,
    pin_from,
)
from tests.origins.trustless_source import Source, in_a_thread, serving
from tests.pinning.conftest import HandClock

pytestmark = pytest.mark.timeout(300)
SOON = "[node]\nscrub_interval_s = 0.2\nheal_interval_s = 0.05"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def heals(node: Node, outcome: str) -> int:
    text = node.get("/metrics", which="admin").body.decode()
    line = next(each for each in text.splitlines() if f'fleek_heals_total{{outcome="{outcome}"}}' in each)
    return int(line.split()[-1])


def test_what_the_scrub_of_a_node_finds_comes_back_by_itself(world: World) -> None:
    flip_in_all(world.data)
    settings = f'allow_nets = {LOOPBACK}\narweave_gateways = ["{world.bytes.url}"]\n{SOON}'
    with node_with(world.data.parent, settings, "--workers", "1") as node:
        eventually(lambda: heals(node, "healed") >= len(CONTENTS) + len(BLOBS), 120)
        assert heals(node, "failed") == 0
        log = node.log.read_text()
    assert damage_left(world.data) == []
    with Store.open(world.data) as store:
        assert store.damage() == []
    for root in world.roots.values():
        assert f"{root.hex()} was damaged and is whole again" in log
    assert len(DAGS) == len(CONTENTS)


@pytest.mark.parametrize("lost", ["leaf", "directory"])
@pytest.mark.parametrize("profile", [UNIXFS_V1_2025, UNIXFS_V0_2015], ids=lambda each: each.name)
def test_a_part_of_a_pinned_directory_comes_back_by_the_origins_of_the_directory(
    tmp_path: Path, profile: Profile, lost: str
) -> None:
    content = random.Random(9).randbytes(2_500_000)
    cid, made, held = directory_of(content, profile)
    with in_a_thread(Source(held)) as source:
        pin_from(tmp_path / "data", made.cid, held, source)
        bytes_ = content[1_200_000:] if lost == "leaf" else made.blocks[-1].data
        flip(tmp_path / "data", bytes_[:40])
        with node_with(tmp_path, f"allow_nets = {LOOPBACK}\n{SOON}", "--workers", "1") as node:
            eventually(lambda: heals(node, "healed") == 1)
        asked = {each.cid.multihash for each in source.asked}
        assert len(asked) < len(held), "only what is lost is asked for"
    with Store.open(tmp_path / "data") as store:
        assert store.damage() == []
        assert is_back(store, cid, content)


class Nobody:
    """A source that has nothing, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def block(self, cid: Cid, root: Cid | None = None) -> None:
        self.asked += 1
        raise Unreachable("it is out", where=cid.text())

    async def blob(self, root: bytes) -> None:
        self.asked += 1
        raise Unreachable("it is out", where=root.hex())

    def knows_blob(self, root: bytes) -> bool:
        return True


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Store]:
    content = random.Random(3).randbytes(300_000)
    with Store.open(tmp_path / "data") as store:
        store.put_bytes(content)
    flip(tmp_path / "data", content[1000:1040])
    with Store.open(tmp_path / "data") as store:
        for _ in store.scrub_steps():
            pass
        yield store


def words() -> "memoryview[int]":
    return memoryview(bytearray(8 * SLOT_WORDS)).cast("Q")


def test_what_does_not_come_back_rests_for_a_minute_then_for_two(damaged: Store) -> None:
    clock, nobody, counted = HandClock(), Nobody(), words()
    healer = Healer(damaged, nobody, clock, counted, 60.0)

    def looked(times: int = 3) -> int:
        for _ in range(times):
            assert asyncio.run(healer.look()) == 0
        return nobody.asked

    assert looked() == 1
    clock.ticks += 61
    assert looked() == 2
    clock.ticks += 61
    assert looked() == 2
    clock.ticks += 60
    assert looked() == 3
    assert counted[word("fleek_heals_total", ("outcome", "failed"))] == 3
    assert len(damaged.damage()) == 1


def spoil_row(store: Store) -> None:
    """Damage the row of the largest blob."""
    root = max(store.list(), key=lambda each: each.size_bytes).hash

    def spoil(txn: Txn) -> None:
        blobs = store.backing.catalog.blobs
        value = bytearray(txn.get(root, db=blobs) or b"")
        value[-1] ^= 1
        txn.put(root, bytes(value), db=blobs)

    store.backing.writer.run(index=spoil)


def test_a_blob_whose_row_is_damaged_is_asked_for_and_does_not_end_the_look(damaged: Store) -> None:
    spoil_row(damaged)
    nobody, counted = Nobody(), words()
    assert asyncio.run(Healer(damaged, nobody, HandClock(), counted, 60.0).look()) == 0
    assert nobody.asked == 1
    assert counted[word("fleek_heals_total", ("outcome", "failed"))] == 1


def test_a_denied_file_is_not_asked_for_where_the_row_of_its_blob_is_damaged(tmp_path: Path) -> None:
    content = random.Random(6).randbytes(1_500_000)
    cid, _, _ = directory_of(content)
    with Store.open(tmp_path / "data") as store:
        rebuild = Rebuild(store, cid, [UNIXFS_V1_2025])
        rebuild.write(content)
        rebuild.finish()
    flip(tmp_path / "data", content[1000:1040])

    def check(asked: Cid) -> None:
        if asked.multihash == cid.multihash:
            raise Blocked("denied", where=asked.text())

    with Store.open(tmp_path / "data") as store:
        for _ in store.scrub_steps():
            pass
        spoil_row(store)
        nobody = Nobody()
        assert asyncio.run(Healer(store, nobody, HandClock(), words(), 60.0, check).look()) == 0
        assert nobody.asked == 0


def test_what_is_denied_is_not_asked_for(damaged: Store) -> None:
    def check(cid: Cid) -> None:
        raise Blocked("denied", where=cid.text())

    nobody = Nobody()
    assert asyncio.run(Healer(damaged, nobody, HandClock(), words(), 60.0, check).look()) == 0
    assert nobody.asked == 0


def test_damage_that_shows_when_a_file_is_put_together_again_is_healed_with_it(tmp_path: Path) -> None:
    content = random.Random(4).randbytes(3_500_000)
    cid, made, held = directory_of(content)
    with Store.open(tmp_path / "data") as store:
        rebuild = Rebuild(store, cid, [UNIXFS_V1_2025])
        rebuild.write(content)
        rebuild.finish()
        store.dag.put(made.blocks)
        store.dag.pin(made.cid, Root.pin())
    for at in (100, 3_000_000):
        flip(tmp_path / "data", content[at : at + 40])

    async def heal() -> None:
        async with serving(Source(dict(held))) as source, fetching(tmp_path / "data", source) as here:
            gateway = Origin(OriginKind.GATEWAY, source.url, added_s=1.0)
            here.store.origins.merge([(made.cid.multihash, gateway)])
            with pytest.raises(BlobDamaged):
                next(leaves(cid, here.dag.read, 0, 1))
            here.dag.settle()
            assert [each.segment for each in here.store.damage()] == [0], "the other is not known yet"
            assert await Healer(here.store, here.fetcher, SystemClock(), words(), 60.0).look() == 1
            assert here.store.damage() == []
            assert is_back(here.store, cid, content)

    run(heal())
