"""What is built again is bounded while it comes, not when all of it has come."""

from collections.abc import Sequence

import pytest

import origins.rebuild
from blockstore import Store
from content.cid import Cid
from content.unixfs.profile import PROFILES, UNIXFS_V0_2015
from origins.rebuild import Rebuild
from runtime.errors import TooLarge, Unverified
from tests.origins.test_refetch import BIG, V0, V1, is_whole, store

__all__ = ["store"]
BOTH = tuple(PROFILES.values())  # BIG has 12 leaves of 256 KiB, 3 of 1 MiB


def fed(store: Store, cid: Cid, pieces: Sequence[bytes]) -> tuple[Rebuild, int]:
    """What took pieces, and how many before it refused one."""
    rebuild = Rebuild(store, cid, BOTH)
    for number, piece in enumerate(pieces):
        try:
            rebuild.write(piece)
        except TooLarge:
            return rebuild, number
    return rebuild, len(pieces)


def test_a_profile_that_makes_too_many_leaves_is_left_and_others_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins.rebuild, "MAX_LEAVES", 4)
    rebuild, _ = fed(store, V1, [BIG])
    assert rebuild.finish() == "unixfs-v1-2025"
    assert is_whole(store, V1)
    with pytest.raises(Unverified):
        fed(store, V0, [BIG])[0].finish()


def test_what_no_profile_can_hold_is_refused_while_it_comes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origins.rebuild, "MAX_LEAVES", 2)
    rebuild, taken = fed(store, V1, [bytes((number,)) * (1 << 20) for number in range(8)])
    assert taken == 3
    rebuild.abort()
    assert list(store.list()) == []


def test_inner_nodes_are_bounded_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins.rebuild, "_INNER_BYTES_MAX", 2)
    rebuild = Rebuild(store, V0, [UNIXFS_V0_2015])
    with pytest.raises(TooLarge):  # 174 leaves a node
        for _ in range(180):
            rebuild.write(bytes(256 << 10))
    rebuild.abort()


def test_equal_leaves_count_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origins.rebuild, "MAX_LEAVES", 2)
    _, taken = fed(store, V1, [bytes(1 << 20)] * 8)
    assert taken == 8
