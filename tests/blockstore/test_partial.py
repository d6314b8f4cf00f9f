"""Transfers that stop and go on: any order, any restart, nothing unproven visible."""

import random
from collections.abc import Callable

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blockstore import Store
from runtime.errors import Conflict, NotFound, Unverified
from tests.blockstore.conftest import KILL_SAFE, HandClock, Opener
from tests.blockstore.test_ingest import damage_segment, leaks_here

Content = Callable[[int], bytes]
GROUP = 16_384


def name_of(data: bytes) -> bytes:
    return blake3.blake3(data).digest()


@pytest.mark.parametrize("size", [0, 1, GROUP, GROUP + 1, 262_144, 262_145, 1_000_000])
def test_groups_in_any_order_over_restarts_become_the_blob(
    open_store: Opener, content: Content, size: int
) -> None:
    data = content(size)
    store = open_store()
    partial = store.partial(name_of(data), size)
    starts = list(range(0, max(size, 1), GROUP))
    random.Random(size).shuffle(starts)
    for count, start in enumerate(starts):
        partial.add(start, data[start : start + GROUP])
        if count % 13 == 5:
            partial.flush()
            before = partial.have()
            store.close()
            store = open_store()
            partial = store.partial(name_of(data), size)
            assert partial.have() == before
    assert partial.have() == ([(0, size)] if size else [])
    put = partial.complete()
    assert (put.root, put.already) == (name_of(data), False)
    assert store.blob(put.root).read(0, size) == data
    assert store.verify(put.root).intact
    assert store.usage().partials == 0
    store.sweep()
    assert leaks_here(store) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 61), st.integers(1, 30)), max_size=8))
def test_have_is_the_union_of_what_was_added(
    store: Store, content: Content, adds: list[tuple[int, int]]
) -> None:
    data = content(1_000_000)
    partial = store.partial(name_of(data), len(data))
    groups: set[int] = set()
    for first, count in adds:
        stop = min(len(data), (first + count) * GROUP)
        partial.add(first * GROUP, data[first * GROUP : stop])
        groups |= set(range(first, -(-stop // GROUP)))
    have = {group for start, stop in partial.have() for group in range(start // GROUP, -(-stop // GROUP))}
    assert have == groups
    partial.flush()
    again = store.partial(name_of(data), len(data))
    assert again.have() == partial.have()
    again.discard()


def test_nothing_is_visible_before_it_is_complete(store: Store, content: Content) -> None:
    data = content(600_000)
    partial = store.partial(name_of(data), len(data))
    partial.add(0, data[: 32 * GROUP])
    with pytest.raises(Conflict, match="segment 2 is not here"):
        partial.complete()
    with pytest.raises(NotFound):
        store.blob(name_of(data))
    assert list(store.list()) == []
    partial.add(32 * GROUP, data[32 * GROUP :])
    assert not partial.complete().already


def test_wrong_bytes_never_become_a_blob_and_leave_nothing(store: Store, content: Content) -> None:
    data = bytearray(content(600_000))
    name = name_of(bytes(data))
    data[300_000] ^= 1
    partial = store.partial(name, len(data))
    partial.add(0, data)
    with pytest.raises(Unverified):
        partial.complete()
    assert store.stat(name) is None
    store.sweep()
    assert leaks_here(store) == []


def test_unaligned_or_outlying_ranges_are_refused(store: Store, content: Content) -> None:
    partial = store.partial(name_of(content(100_000)), 100_000)
    for offset, size in ((1, GROUP), (0, GROUP - 1), (0, 100_001), (-GROUP, GROUP), (7 * GROUP, 1)):
        with pytest.raises(ValueError, match="whole groups"):
            partial.add(offset, bytes(size))


def test_two_handles_add_to_one_transfer(store: Store, content: Content) -> None:
    data = content(600_000)
    one, other = (store.partial(name_of(data), len(data)) for _ in range(2))
    for start in range(0, len(data), 2 * GROUP):
        one.add(start, data[start : start + GROUP])
        if start + GROUP < len(data):
            other.add(start + GROUP, data[start + GROUP : start + 2 * GROUP])
    other.flush()
    assert not one.complete().already
    with pytest.raises(Conflict):
        other.complete()
    store.sweep()
    assert store.verify(name_of(data)).intact
    assert store.partial(name_of(data), len(data)).complete().already


def test_another_size_is_a_conflict_until_the_transfer_is_discarded(store: Store, content: Content) -> None:
    name = name_of(content(100_000))
    partial = store.partial(name, 99_999)
    with pytest.raises(Conflict, match="99999"):
        store.partial(name, 100_000)
    partial.discard()
    store.partial(name, 100_000)
    partial.add(0, bytes(99_999))
    with pytest.raises(Conflict, match="dropped"):
        partial.flush()


def test_a_transfer_nobody_comes_back_to_is_swept(store: Store, content: Content, clock: HandClock) -> None:
    data = content(600_000)
    partial = store.partial(name_of(data), len(data))
    partial.add(0, data[: 20 * GROUP])
    partial.flush()
    clock.now += KILL_SAFE.lease_s * 0.9
    partial.flush()
    clock.now += KILL_SAFE.lease_s * 0.9
    assert store.sweep().expired_partials == 0
    clock.now += KILL_SAFE.lease_s * 0.2
    assert store.sweep().expired_partials == 1
    assert leaks_here(store) == []
    partial.add(20 * GROUP, data[20 * GROUP :])
    with pytest.raises(Conflict, match="dropped"):
        partial.flush()
    store.sweep()
    assert leaks_here(store) == []


def test_groups_damaged_at_rest_are_asked_for_again(open_store: Opener, content: Content) -> None:
    data = content(600_000)
    store = open_store()
    partial = store.partial(name_of(data), len(data))
    partial.add(0, data[: 20 * GROUP])
    partial.flush()
    damage_segment(store, 65_536, 0)
    store.close()
    store = open_store()
    partial = store.partial(name_of(data), len(data))
    assert partial.have() == [(16 * GROUP, 20 * GROUP)]
    partial.add(0, data)
    assert not partial.complete().already
    assert store.blob(name_of(data)).read(0, len(data)) == data


def test_content_that_arrives_another_way_completes_the_transfer(store: Store, content: Content) -> None:
    data = content(600_000)
    partial = store.partial(name_of(data), len(data))
    partial.add(0, data)
    store.put_bytes(data)
    assert partial.complete().already
    store.sweep()
    assert leaks_here(store) == []
    assert store.usage().partials == 0
