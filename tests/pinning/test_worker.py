"""The worker: what it brings, from whom, what it says when it cannot, and whose turn it is."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from content import dag_cbor
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from origins import trustless
from pinning.meter import PinMeter
from pinning.pin import Status, Wish
from pinning.walk import Walk
from runtime.board import SLOT_WORDS
from runtime.errors import BlobDamaged, Blocked, NotFound
from runtime.metrics import word
from tests.gateway.dags import Dags
from tests.origins.fetching import Fetching, run
from tests.origins.trustless_source import Asked, Response, Source, serving
from tests.pinning.dags import Held, random_dag, tree
from tests.pinning.fake_work import FakeWork
from tests.pinning.working import FakeRetrieval, lacking, working

pytestmark = pytest.mark.timeout(120)
FILES = {f"file {index}": random.Random(index).randbytes(1_400_000) for index in range(4)}
ROOT, HELD = tree(FILES)
DAG_BYTES = sum(len(block.data) for block in HELD.values())
RAW_BYTES = sum(map(len, FILES.values()))
NOBODY = Block.sealed(RAW, b"nobody has this")


def single(text: str) -> Block:
    return Block.sealed(RAW, text.encode())


# What it brings


def test_a_pin_is_brought_whole_counted_and_its_files_become_blobs(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source) as here:
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.dag_bytes, pin.raw_bytes) == (Status.PINNED, DAG_BYTES, RAW_BYTES)
            assert lacking(here.here, HELD) == []
            files = [cid for cid, block in _files().items() if block is not None]
            assert all(here.here.dag.file(cid) is not None for cid in files)
            assert len(source.asked) == 2

    run(test())


def _files() -> dict[Cid, Block | None]:
    return {block.cid: block for block in HELD.values() if block.cid.codec == 0x70 and block.cid != ROOT}


def test_what_is_here_is_not_asked_for(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source({})) as source, working(tmp_path / "d", source) as here:
            here.here.dag.put(list(HELD.values()))
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.dag_bytes) == (Status.PINNED, DAG_BYTES)
            assert source.asked == []

    run(test())


@pytest.mark.parametrize("seed", range(4))
def test_dags_of_any_shape_of_which_a_part_is_here(tmp_path: Path, seed: int) -> None:
    root, held = random_dag(seed, 150)
    rng = random.Random(seed)
    part = [block for block in held.values() if rng.random() < 0.5]

    async def test() -> None:
        async with serving(Source(held)) as source, working(tmp_path / "d", source) as here:
            here.here.dag.put(part)
            (pin,) = await here.ended(here.add(root))
            assert (pin.status, pin.dag_bytes) == (
                Status.PINNED,
                sum(len(block.data) for block in held.values()),
            )
            assert lacking(here.here, held) == []

    run(test())


def test_cars_that_break_off_are_gone_on_with_where_they_ended(tmp_path: Path) -> None:
    def breaks(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.cut_at = min(len(answer.body), 2_000_000) if asked.is_car else None
        return answer

    async def test() -> None:
        async with serving(Source(dict(HELD), breaks)) as source, working(tmp_path / "d", source) as here:
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.dag_bytes) == (Status.PINNED, DAG_BYTES)
            assert source.sent_bytes < 2 * DAG_BYTES
            assert len(source.asked) > 3

    run(test())


def test_half_a_dag_here_and_half_there_is_a_whole_one(tmp_path: Path) -> None:
    names = [name for name in HELD if name != ROOT.multihash]
    halves = [
        {ROOT.multihash: HELD[ROOT.multihash], **{name: HELD[name] for name in names[each::2]}}
        for each in (0, 1)
    ]

    async def test() -> None:
        async with (
            serving(Source(halves[0])) as one,
            serving(Source(halves[1])) as two,
            working(tmp_path / "d", one, two) as here,
        ):
            (pin,) = await here.ended(here.add(ROOT))
            assert pin.status is Status.PINNED
            assert lacking(here.here, HELD) == []

    run(test())


def test_a_source_without_cars_gives_block_after_block(tmp_path: Path) -> None:
    def no_cars(source: Source, asked: Asked) -> Response:
        return Response(406) if asked.is_car else source.honest(asked)

    async def test() -> None:
        async with serving(Source(dict(HELD), no_cars)) as source, working(tmp_path / "d", source) as here:
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.dag_bytes) == (Status.PINNED, DAG_BYTES)
            assert len(source.asked) == len(HELD) + 1, "each block once, and one CAR that was refused"

    run(test())


def test_liars_and_stallers_only_cost_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trustless, "_PACE_S", 0.2)

    def lies(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        return Response(fields=answer.fields, body=answer.body[:-1] + b"\x00")

    def stalls(source: Source, asked: Asked) -> Response:
        answer = source.honest(asked)
        answer.stall_at = len(answer.body) // 2 if asked.is_car else None
        return answer

    async def test() -> None:
        async with (
            serving(Source(dict(HELD), lies)) as liar,
            serving(Source(dict(HELD), stalls)) as staller,
            working(tmp_path / "d", liar, staller, attempts=8) as here,
        ):
            (pin,) = await here.ended(here.add(ROOT))
            assert pin.status is Status.PINNED
            assert lacking(here.here, HELD) == []

    run(test())


def test_the_pins_own_origins_are_asked_as_gateways(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d") as here:
            port = source.url.rpartition(":")[2]
            origins = ("/ip4/127.0.0.1/tcp/4001", f"/ip4/127.0.0.1/tcp/{port}/http")
            (pin,) = await here.ended(here.add(ROOT, origins=origins))
            assert pin.status is Status.PINNED

    run(test())


class Shelf:
    """Other origins: they put everything, once."""

    def __init__(self, held: Held) -> None:
        self.held, self.asked = held, list[tuple[Cid, tuple[str, ...]]]()
        self.here: Fetching | None = None

    async def fetch(self, cid: Cid, origins: Sequence[str], **_: object) -> None:
        self.asked.append((cid, tuple(origins)))
        if not self.held:
            raise NotFound("no origin is known", where=cid.text())
        assert self.here is not None
        await asyncio.to_thread(self.here.dag.put, list(self.held.values()))

    def said(self, *_: object) -> list[tuple[str, str]]:
        return []


def test_where_no_gateway_has_it_other_origins_are_asked_once_a_try(tmp_path: Path) -> None:
    shelf, empty = Shelf(HELD), Shelf({})

    async def test() -> None:
        async with working(tmp_path / "d", sources=shelf) as here:
            shelf.here = here.here
            (pin,) = await here.ended(here.add(ROOT, origins=("ar://abc",)))
            assert pin.status is Status.PINNED
            assert shelf.asked == [(ROOT, ("ar://abc",))]
        async with working(tmp_path / "e", sources=empty) as here:
            (pin,) = await here.ended(here.add(ROOT))
            assert pin.status is Status.FAILED
            assert len(empty.asked) == 3

    run(test())


def test_origins_that_give_a_part_at_a_time_are_asked_until_they_give_nothing_new(tmp_path: Path) -> None:
    class Slow(Shelf):
        async def fetch(self, cid: Cid, origins: Sequence[str], **_: object) -> None:
            self.asked.append((cid, tuple(origins)))
            assert self.here is not None
            dag = self.here.dag
            lacks = [block for block in self.held.values() if not dag.has(block.cid)]
            await asyncio.to_thread(dag.put, lacks[:3])

    leaves = [single(f"leaf {index}") for index in range(9)]
    chain = [Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid for leaf in leaves]))]
    for _ in range(5):
        chain.append(Block.sealed(DAG_CBOR, dag_cbor.encode([chain[-1].cid])))
    blocks = [*reversed(chain), *leaves]
    slow = Slow({block.cid.multihash: block for block in blocks})

    async def test() -> None:
        async with working(tmp_path / "d", sources=slow, attempts=1) as here:
            slow.here = here.here
            (pin,) = await here.ended(here.add(blocks[0].cid))
            assert pin.status is Status.PINNED, pin.details
            assert len(slow.asked) == 5

    run(test())


def test_a_source_that_says_it_brought_a_block_and_did_not_is_not_asked_without_end(tmp_path: Path) -> None:
    class Nothing:
        asked = 0

        async def dag(self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None) -> None:
            self.asked += 1

    nothing = Nothing()

    async def test() -> None:
        async with working(tmp_path / "d", retrieval=lambda here: nothing, attempts=1) as here:
            (pin,) = await here.ended(here.add(NOBODY.cid))
            assert pin.status is Status.FAILED
            assert nothing.asked == 1

    run(test())


# What it says when it cannot


def test_a_pin_that_nobody_has_fails_with_a_reason_after_a_few_tries(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source({})) as one,
            serving(Source({})) as two,
            working(tmp_path / "d", one, two) as here,
        ):
            request_id = here.add(NOBODY.cid, origins=("/ip4/1.2.3.4/tcp/4001/p2p/x",))
            await here.until(lambda: here.pin(request_id).attempts == 1)
            waits = here.pin(request_id)
            assert "try 1 of 3" in waits.details
            (pin,) = await here.ended(request_id)
            assert pin.status is Status.FAILED
            assert pin.details.startswith(f"no provider has {NOBODY.cid}")
            assert "bitswap only" in pin.details
            assert "upload a CAR instead" in pin.details
            assert "given up after 3 tries" in pin.details

    run(test())


def test_one_block_that_nobody_has_is_named(tmp_path: Path) -> None:
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([NOBODY.cid]))

    async def test() -> None:
        async with (
            serving(Source({root.cid.multihash: root})) as source,
            working(tmp_path / "d", source) as here,
        ):
            (pin,) = await here.ended(here.add(root.cid))
            assert pin.status is Status.FAILED, "a pin is not pinned while a block lacks"
            assert f"no provider has the block {NOBODY.cid} of {root.cid}" in pin.details
            assert "answered 404" in pin.details

    run(test())


def test_a_private_address_among_the_origins_is_not_dialled(tmp_path: Path) -> None:
    async def test() -> None:
        async with working(tmp_path / "d", fetch={}, attempts=1) as here:
            origins = ("http://169.254.169.254", "/ip4/10.0.0.1/tcp/80/http", "https://u:p@example.com")
            (pin,) = await here.ended(here.add(NOBODY.cid, origins=origins))
            assert pin.status is Status.FAILED
            assert "is not at a public address" in pin.details
            assert "u:p" not in pin.details

    run(test())


def test_a_redirect_into_a_private_network_is_not_followed(tmp_path: Path) -> None:
    def redirects(source: Source, asked: Asked) -> Response:
        return Response(302, fields={"Location": f"http://192.168.1.1/ipfs/{asked.cid}"})

    async def test() -> None:
        async with (
            serving(Source({}, redirects)) as source,
            working(tmp_path / "d", source, attempts=1) as here,
        ):
            (pin,) = await here.ended(here.add(NOBODY.cid))
            assert pin.status is Status.FAILED
            assert "it redirects to a host that is not at a public address" in pin.details
            assert "192.168.1.1" not in pin.details

    run(test())


def test_an_offline_node_pins_what_is_here_and_says_why_it_pins_nothing_else(tmp_path: Path) -> None:
    async def test() -> None:
        async with working(tmp_path / "d", retrieval=lambda here: None) as here:
            here.here.dag.put(list(HELD.values()))
            one, two = await here.ended(here.add(ROOT), here.add(NOBODY.cid))
            assert (one.status, two.status) == (Status.PINNED, Status.FAILED)
            assert "this node is offline" in two.details

    run(test())


def test_a_dag_that_is_none_fails_at_once(tmp_path: Path) -> None:
    bad = Block.sealed(DAG_CBOR, b"\xff\xff")

    async def test() -> None:
        held = {bad.cid.multihash: bad, **HELD}
        async with serving(Source(held)) as source, working(tmp_path / "d", source, max_blocks=5) as here:
            one, two = await here.ended(here.add(bad.cid), here.add(ROOT))
            assert (one.status, two.status) == (Status.FAILED, Status.FAILED)
            assert (one.attempts, two.attempts) == (0, 0)
            assert "more than 5 blocks" in two.details

    run(test())


def test_a_quota_that_is_met_midway_ends_the_pin_with_a_reason(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source) as here:
            here.quotas.limits["alice"] = 2_000_000
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.attempts) == (Status.FAILED, 0)
            assert "quota" in pin.details
            small = here.add(single("small").cid)
            here.here.dag.put([single("small")])
            assert (await here.ended(small))[0].status is Status.PINNED

    run(test())


# Whose turn it is


def gated(held: Held, made: list[FakeRetrieval]) -> Callable[[Fetching], FakeRetrieval]:
    """Retrieval that waits until the test lets it."""

    def retrieval(here: Fetching) -> FakeRetrieval:
        made.append(FakeRetrieval(here, held))
        made[0].let.clear()
        return made[0]

    return retrieval


def test_an_account_with_many_pins_delays_another_by_one_place_at_most(tmp_path: Path) -> None:
    blocks = [single(f"alice {index}") for index in range(300)]
    bob = single("bob")
    held = {block.cid.multihash: block for block in (*blocks, bob)}
    made: list[FakeRetrieval] = []

    async def test() -> None:
        places = gated(held, made)
        async with working(tmp_path / "d", retrieval=places, at_once=4, at_once_per_account=2) as here:
            mine = [here.add(block.cid, "alice") for block in blocks]
            await here.until(lambda: made[0].at_once == 2)
            his = here.add(bob.cid, "bob")
            await here.until(lambda: bob.cid in made[0].asked)
            assert len(made[0].asked) == 3, "no other pin of alice's was begun before it"
            made[0].let.set()
            await here.ended(his)
            await here.ended(*mine[:20])
            assert made[0].most_at_once <= 3

    run(test())


def test_where_every_place_is_taken_the_longest_at_work_makes_room(tmp_path: Path) -> None:
    blocks = [single(f"{index}") for index in range(3)]
    held = {block.cid.multihash: block for block in blocks}
    made: list[FakeRetrieval] = []

    async def test() -> None:
        places = gated(held, made)
        async with working(
            tmp_path / "d", retrieval=places, at_once=2, at_once_per_account=2, slice_s=0.1
        ) as here:
            mine = [here.add(block.cid, "alice") for block in blocks[:2]]
            await here.until(lambda: made[0].at_once == 2)
            his = here.add(blocks[2].cid, "bob")
            await here.until(lambda: blocks[2].cid in made[0].asked)
            assert made[0].at_once <= 2
            made[0].let.set()
            assert {pin.status for pin in await here.ended(his, *mine)} == {Status.PINNED}
            assert here.work.begun.count(mine[0]) + here.work.begun.count(mine[1]) >= 3

    run(test())


def test_a_pin_that_is_removed_is_let_go_of(tmp_path: Path) -> None:
    held = {NOBODY.cid.multihash: NOBODY}
    made: list[FakeRetrieval] = []

    async def test() -> None:
        async with working(tmp_path / "d", retrieval=gated(held, made)) as here:
            request_id = here.add(NOBODY.cid)
            await here.until(lambda: made[0].at_once == 1)
            here.work.remove(request_id)
            await here.until(lambda: made[0].at_once == 0, 10)
            assert not here.here.dag.has(NOBODY.cid)

    run(test())


def test_pins_of_one_root_are_fetched_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source) as here:
            pins = await here.ended(*(here.add(ROOT, account) for account in ("a", "b", "c")))
            assert [pin.status for pin in pins] == [Status.PINNED] * 3
            assert len(source.asked) == 2

    run(test())


def test_a_pin_whose_time_is_over_goes(tmp_path: Path) -> None:
    async def test() -> None:
        async with working(tmp_path / "d", retrieval=lambda here: None) as here:
            request_id = here.add(NOBODY.cid, expires_s=1.0)
            await here.until(lambda: request_id not in here.work.pins)

    run(test())


# Going on after a stop


def test_progress_is_persisted_and_a_worker_that_starts_anew_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pinning.attempt._PROGRESS_S", 0.02)
    last = max(HELD.values(), key=lambda block: block.cid.raw if block.cid.codec == RAW else b"")

    async def test() -> None:
        held = {name: block for name, block in HELD.items() if name != last.cid.multihash}
        source = Source(held)
        async with serving(source):
            async with working(tmp_path / "d", source, attempts=1000) as here:
                request_id = here.add(ROOT)
                await here.until(lambda: bool(here.work.cursors.get(request_id)))
                await here.until(lambda: here.pin(request_id).progress.blocks > 0)
                work = here.work
            assert work.pins[request_id].status in (Status.PINNING, Status.QUEUED)
            for _, progress, cursor in work.notes:
                assert progress.blocks <= len(HELD)
                assert len(cursor) <= 64 << 10
            source.held[last.cid.multihash] = last
            async with working(tmp_path / "d", source, work=work) as here:
                (pin,) = await here.ended(request_id)
                assert (pin.status, pin.dag_bytes) == (Status.PINNED, DAG_BYTES)

    run(test())


def test_a_cursor_is_no_proof_that_what_is_before_it_is_still_here(tmp_path: Path) -> None:
    """A block that went while the worker was down lacks, although the cursor is behind it."""
    leaves = [single(f"leaf {index}") for index in range(5)]
    root = Block.sealed(DAG_CBOR, dag_cbor.encode([leaf.cid for leaf in leaves]))
    walk = Walk(root.cid, 100)
    walk.passed(1)
    walk.receive(root.data)
    for index, leaf in enumerate(leaves[:3]):
        walk.passed(2 + index)
        walk.found(len(leaf.data))

    class OnceOnly:
        asked = 0
        here: Fetching | None = None

        async def fetch(self, cid: Cid, origins: Sequence[str], **_: object) -> None:
            self.asked += 1
            assert self.here is not None
            await asyncio.to_thread(self.here.dag.put, leaves[3:])

        def said(self, *_: object) -> list[tuple[str, str]]:
            return []

    gives = OnceOnly()

    async def test() -> None:
        work = FakeWork()
        request_id = work.add("alice", Wish(root.cid)).request_id
        work.cursors[request_id] = walk.cursor()
        async with working(tmp_path / "d", sources=gives, work=work, run=False, attempts=1) as here:
            gives.here = here.here
            here.here.dag.put([root, *leaves[1:3]])
            here.go()
            (pin,) = await here.ended(request_id)
            assert pin.status is Status.FAILED
            assert str(leaves[0].cid) in pin.details
            assert gives.asked == 2, "for what lacked behind the cursor, and for what lacked before it"

    run(test())


def test_a_fault_with_one_pin_does_not_stop_the_others(tmp_path: Path) -> None:
    class Faulty(FakeRetrieval):
        async def dag(self, cid: Cid, also: Sequence[str] = (), root: Cid | None = None) -> None:
            if cid == NOBODY.cid:
                raise RuntimeError("a bug")
            await super().dag(cid, also)

    other = single("other")
    held = {other.cid.multihash: other}

    async def test() -> None:
        async with working(tmp_path / "d", retrieval=lambda here: Faulty(here, held)) as here:
            one, two = await here.ended(here.add(NOBODY.cid), here.add(other.cid))
            assert (one.status, two.status) == (Status.FAILED, Status.PINNED)
            assert "fault of this program" in one.details

    run(test())


def test_a_dag_that_repeats_itself_is_pinned_when_its_different_blocks_fit(tmp_path: Path) -> None:
    dags = Dags()
    file = dags.file(b"x" * 900)
    root = dags.directory({f"copy {number}": file for number in range(100)})
    held = {cid.multihash: Block.verified(cid, data) for cid, data in dags.blocks.items()}
    unique = sum(len(data) for data in dags.blocks.values())

    async def test() -> None:
        async with serving(Source(held)) as source, working(tmp_path / "d", source, run=False) as here:
            here.here.dag.put([held[root.multihash]])
            here.quotas.limits["alice"] = unique
            here.go()
            (pin,) = await here.ended(here.add(root))
            assert (pin.status, pin.dag_bytes) == (Status.PINNED, unique), pin.details

    run(test())


def test_offline_pins_whose_root_is_not_here_end_their_tries_together(tmp_path: Path) -> None:
    """A hundred thousand of them must not cost a hundred thousand commits a try."""

    async def test() -> None:
        settings: dict[str, Any] = {"attempts": 2, "retry_s": 0.05, "retry_max_s": 0.05}
        async with working(tmp_path / "d", retrieval=lambda here: None, run=False, **settings) as here:
            lack = [here.add(single(f"lacks {number}").cid) for number in range(300)]
            have = single("here")
            here.here.dag.put([have])
            last = here.add(have.cid)
            here.go()
            ended = await here.ended(*lack, last)
            assert {pin.status for pin in ended[:-1]} == {Status.FAILED}
            assert all("this node is offline" in pin.details for pin in ended[:-1])
            assert ended[-1].status is Status.PINNED
            assert here.work.begun == [last]
            assert here.work.batches < 20

    run(test())


def test_what_is_denied_below_a_root_ends_the_pin(tmp_path: Path) -> None:
    denied = next(block.cid for block in HELD.values() if block.cid.codec == RAW)

    def check(cid: Cid) -> None:
        if cid.multihash == denied.multihash:
            raise Blocked("this content is denied here", where=cid.text())

    async def test() -> None:
        async with (
            serving(Source(dict(HELD))) as source,
            working(tmp_path / "d", source, check=check) as here,
        ):
            (pin,) = await here.ended(here.add(ROOT))
            assert (pin.status, pin.attempts) == (Status.FAILED, 0)
            assert "denied" in pin.details
            assert denied.text() in pin.details
            asked = len(source.asked)
            (alone,) = await here.ended(here.add(denied))
            assert alone.status is Status.FAILED
            assert len(source.asked) == asked, "it is not fetched"

    run(test())


def test_how_tries_end_is_counted(tmp_path: Path) -> None:
    words = memoryview(bytearray(8 * SLOT_WORDS)).cast("Q")

    def count(outcome: str) -> int:
        return int(words[word("fleek_pin_attempts_total", ("outcome", outcome))])

    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source, run=False) as here:
            here.worker._meter = PinMeter(words)
            here.go()
            await here.ended(here.add(ROOT), here.add(NOBODY.cid))
            assert [count(each) for each in ("pinned", "again", "failed", "gone")] == [1, 2, 1, 0]

    run(test())


def test_a_root_that_the_account_has_pinned_already_takes_nothing_of_its_quota(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source) as here:
            here.quotas.limits["alice"] = DAG_BYTES + 1
            first, again = here.add(ROOT), here.add(ROOT, name="again")
            assert {pin.status for pin in await here.ended(first, again)} == {Status.PINNED}

    run(test())


class Faulty(FakeWork):
    """Pins of a store that cannot be read from some moment on."""

    is_lost = False

    def changes(self) -> int:
        """A counter, or a fault."""
        if self.is_lost:
            raise BlobDamaged("a row cannot be read")
        return super().changes()


def test_a_worker_that_can_read_no_pins_while_it_waits_ends_with_that(tmp_path: Path) -> None:
    async def test() -> None:
        work = Faulty()
        async with working(tmp_path / "d", work=work, run=False) as here:
            running = asyncio.create_task(here.worker.run(asyncio.Event()))
            await asyncio.sleep(0.1)  # it has nothing to do, and waits
            work.is_lost = True
            with pytest.raises(BlobDamaged):
                await asyncio.wait_for(running, 10)

    run(test())
