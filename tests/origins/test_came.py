"""Who gave content is on record as who did, whatever their address looks like; who did not is not."""

import random
from pathlib import Path

import pytest

from blockstore.origin import OPERATOR, Origin, OriginKind
from blockstore.origin_address import named
from origins.came import Came
from pinning.pin import Status
from pinning.reasons import gateways_of
from runtime.clock import SystemClock
from tests.origins.fetching import Fetching, fetching, run
from tests.origins.trustless_source import Source, serving
from tests.pinning.dags import tree
from tests.pinning.working import working

pytestmark = pytest.mark.timeout(120)
ROOT, HELD = tree({f"file {index}": random.Random(index).randbytes(400_000) for index in range(3)})


def note(here: Fetching, *addresses: str) -> None:
    here.store.origins.merge([(ROOT.multihash, named(each, "ann", 1.0)) for each in addresses])


def rows(here: Fetching, account: str | None = "ann") -> dict[str, Origin]:
    here.store.origins.flush()
    return {each.address: each for each in here.store.origins.of(ROOT.multihash, account)}


def as_multiaddr(url: str, host: str = "127.0.0.1") -> str:
    return f"/ip4/{host}/tcp/{url.rpartition(':')[2]}/http"


@pytest.mark.parametrize("form", ["url", "url of the content", "multiaddr", "in capitals"])
def test_a_gateway_or_peer_that_a_pin_names_and_that_gave_it_says_so(tmp_path: Path, form: str) -> None:
    async def test() -> None:
        async with (
            serving(Source(dict(HELD))) as source,
            serving(Source({})) as other,
            working(tmp_path / "d", fetch={}, run=False) as here,
        ):
            address = {
                "url": source.url,
                "url of the content": f"{source.url}/ipfs/{ROOT}",
                "multiaddr": as_multiaddr(source.url),
                "in capitals": source.url.replace("127.0.0.1", "LOCALHOST"),
            }[form]
            note(here.here, address, other.url)
            request_id = here.add(ROOT, origins=(address, other.url))
            here.go()
            (pin,) = await here.ended(request_id)
            assert pin.status is Status.PINNED
            kept = rows(here.here)
            gave = kept.pop(named(address).address)
            assert gave.last_success_s >= gave.first_success_s > 1_600_000_000
            assert [each.last_success_s for each in kept.values()] == [0.0]
            assert rows(here.here, OPERATOR) == {}, "no place of the operator's gave anything"

    run(test())


def test_a_gateway_of_the_node_that_gave_a_pin_is_on_record_for_the_operator(tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, working(tmp_path / "d", source) as here:
            (pin,) = await here.ended(here.add(ROOT))
            assert pin.status is Status.PINNED
            assert [(each.kind, each.address) for each in rows(here.here, OPERATOR).values()] == [
                (OriginKind.GATEWAY, source.url)
            ]

    run(test())


def test_a_place_that_was_asked_beside_the_one_that_gave_it_did_not_give_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            serving(Source(dict(HELD))) as own,
            serving(Source({})) as without,
            fetching(tmp_path / "d", own) as here,
        ):
            note(here, without.url)
            await here.fetcher.refetch.fetch(ROOT, (without.url,), account="ann")
            assert here.dag.has(ROOT)
            assert rows(here)[without.url].last_success_s == 0

    run(test())


def test_who_gave_a_part_of_a_dag_gave_something_of_its_root(tmp_path: Path) -> None:
    leaf = next(block for block in HELD.values() if block.cid != ROOT)

    async def test() -> None:
        async with serving(Source(dict(HELD))) as source, fetching(tmp_path / "d") as here:
            note(here, source.url)
            await here.fetcher.dag(leaf.cid, gateways_of([source.url]), ROOT)
            assert rows(here)[source.url].last_success_s > 0

    run(test())


class Nobody:
    """Trusts nobody."""

    def trust(self, source: str) -> None:
        pass

    def is_trusted(self, source: str) -> bool:
        return False


class Moving(SystemClock):
    """A clock that is set."""

    at_s = 1_700_000_000.0

    def now_s(self) -> float:
        return self.at_s


def test_the_same_is_noted_once_a_minute(tmp_path: Path) -> None:
    seen: list[float] = []

    async def test() -> None:
        async with fetching(tmp_path / "d") as here:
            clock = Moving()
            came = Came(here.store, clock, Nobody())
            note(here, "https://g.example")
            for later_s in (0, 30, 61):
                clock.at_s = Moving.at_s + later_s
                came.came(ROOT, "https://g.example")
                seen.append(rows(here)["https://g.example"].last_success_s - Moving.at_s)
            assert rows(here)["https://g.example"].first_success_s == Moving.at_s

    run(test())
    assert seen == [0, 0, 61]
