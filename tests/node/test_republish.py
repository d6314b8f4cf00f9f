"""Names are renewed before they end, for as long as they were published, and nothing else is changed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blockstore import Store
from content import ipns
from content.public_key import KeyKind
from node.keystore import Keystore, generate
from node.republish import Republisher
from origins.routers import Routers
from origins.settings import OriginSettings
from tests import appliance
from tests.manual_clock import ManualClock

PATH = "/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
DAY_S = 86_400.0


class Names:
    """A store with one published name."""

    def __init__(self, data: Path, clock: ManualClock) -> None:
        self.clock, self.keys = clock, Keystore(data)
        self.store = Store.open(data, clock=clock)
        self.key = generate(KeyKind.ED25519)
        self.keys.put("site", self.key)

    def publish(self, lifetime_s: float, sequence: int = 4) -> ipns.Record:
        """As `name publish` leaves it."""
        raw = ipns.create(
            self.key.public, self.key.sign, PATH,
            sequence=sequence, expires_s=self.clock.now + lifetime_s, ttl_s=77,
        )  # fmt: skip
        self.store.dag.put_record(self.key.name.multihash, raw)
        self.keys.set_lifetime("site", lifetime_s)
        return self.record()

    def record(self) -> ipns.Record:
        raw = self.store.dag.record(self.key.name.multihash)
        assert raw is not None
        return ipns.unchecked(self.key.name, raw)

    def round(self, routers: Routers | None = None) -> int:
        return Republisher(self.store.dag, self.keys, routers, self.clock).run(lambda: False)


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    made = Names(tmp_path / "data", ManualClock(1_800_000_000.0))
    with made.store:
        yield made


def test_a_record_is_renewed_in_the_second_half_of_its_life_and_not_before(names: Names) -> None:
    first = names.publish(2 * DAY_S)
    assert names.round() == 0
    names.clock.now += 0.9 * DAY_S
    assert names.round() == 0
    names.clock.now += 0.2 * DAY_S
    assert names.round() == 1
    renewed = names.record()
    assert (renewed.value, renewed.sequence, renewed.ttl_s) == (first.value, first.sequence, 77)
    assert renewed.expires_s == names.clock.now + 2 * DAY_S
    assert ipns.newer(first, renewed) is renewed
    assert ipns.verified(names.key.name, renewed.raw, names.clock.now) == renewed
    assert names.round() == 0


def test_a_record_that_ended_while_no_node_ran_is_renewed_too(names: Names) -> None:
    names.publish(DAY_S)
    names.clock.now += 30 * DAY_S
    assert names.round() == 1
    assert names.record().expires_s == names.clock.now + DAY_S


def test_keys_that_published_nothing_and_names_without_keys_are_left_alone(names: Names) -> None:
    names.keys.put("idle", generate(KeyKind.ED25519))
    names.publish(DAY_S)
    names.keys.remove("site")
    names.clock.now += 30 * DAY_S
    assert names.round() == 0


def test_a_round_that_is_told_to_stop_stops(names: Names) -> None:
    names.publish(DAY_S)
    names.clock.now += DAY_S
    assert Republisher(names.store.dag, names.keys, None, names.clock).run(lambda: True) == 0


def test_a_newer_record_that_a_router_has_is_taken_and_not_undone(names: Names, tmp_path: Path) -> None:
    names.clock.now = time.time()
    with appliance.Node(tmp_path / "router", "--offline") as router:
        routers = Routers(OriginSettings(routers=(router.ready["public"],), allow_nets=("127.0.0.0/8",)))
        token = appliance.token(router.data, "names", "put")
        published = names.publish(2 * DAY_S, sequence=9)
        assert [each.problem for each in routers.offer(names.key.name, published.raw, token)] == [""]
        names.publish(0.1 * DAY_S, sequence=4)
        names.keys.set_lifetime("site", 2 * DAY_S)
        assert names.round(routers) == 0, "the one of the router is good for long enough"
        assert names.record().sequence == 9
