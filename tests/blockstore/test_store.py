"""What one can ask of a store: listing, pins, removal, eviction."""

from collections.abc import Callable

import pytest

from blockstore import Root, RootKind, Store
from runtime.errors import Conflict, NotFound
from tests.blockstore.conftest import Opener

Content = Callable[[int], bytes]


def test_list_gives_every_blob_once_in_hash_order_from_any_place(store: Store, content: Content) -> None:
    names = sorted(store.put_bytes(content(size)).root for size in range(600))
    assert [stat.hash for stat in store.list()] == names
    for place in (0, 255, 256, 300, 599):
        assert [stat.hash for stat in store.list(names[place])] == names[place + 1 :]
    assert [stat.hash for stat in store.list(b"\0")] == names


def test_list_holds_no_snapshot_between_two_blobs(store: Store, content: Content) -> None:
    for size in range(300):
        store.put_bytes(content(size))
    seen = 0
    for stat in store.list():
        store.rm(stat.hash)
        seen += 1
    assert seen == 300
    assert list(store.list()) == []


def test_stat_tells_size_type_state_and_roots(open_store: Opener, content: Content) -> None:
    store = open_store()
    root = store.put_bytes(content(1000), content_type="text/plain").root
    store.pin(root, "b")
    for _ in range(2):
        stat = store.stat(root)
        assert stat is not None
        assert (stat.size_bytes, stat.content_type, stat.state) == (1000, "text/plain", "present")
        assert [(each.kind, each.owner) for each in stat.roots] == [(RootKind.PIN, ""), (RootKind.PIN, "b")]
        assert stat.created_s == 1_700_000_000.0
        store.close()
        store = open_store()
    assert store.stat(bytes(32)) is None


def test_pins_have_names_and_are_removed_by_name_or_all(store: Store, content: Content) -> None:
    root = store.put_bytes(content(10)).root
    store.pin(root, "one")
    store.pin(root, "two")
    assert store.unpin(root, "one") == 1
    assert store.unpin(root, "one") == 0
    assert store.unpin(root) == 2
    assert store.roots(root) == []
    with pytest.raises(NotFound):
        store.pin(bytes(32))
    with pytest.raises(NotFound):
        store.pin(b"short")


def test_rm_takes_the_blob_its_pins_and_leases_and_bumps_the_board(store: Store, content: Content) -> None:
    root = store.put_bytes(content(300_000)).root
    store.add_root(root, Root.lease(1_800_000_000))
    generation = store.board.generation()
    store.rm(root)
    assert store.board.generation() != generation
    assert (store.stat(root), store.roots(root)) == (None, [])
    with pytest.raises(NotFound):
        store.rm(root)
    assert (store.usage().blobs, store.usage().bytes_) == (0, 0)


def test_rm_refuses_while_an_account_holds_the_blob_unless_forced(store: Store, content: Content) -> None:
    root = store.put_bytes(content(10)).root
    store.add_root(root, Root.account("somebody"))
    with pytest.raises(Conflict) as caught:
        store.rm(root)
    assert caught.value.outcome.exit_code == 5
    assert store.blob(root).read(0, 10) == content(10)
    assert len(store.roots(root)) == 2
    store.rm(root, force=True)
    assert store.stat(root) is None
    assert store.account_bytes("somebody") == 0


def test_evict_keeps_the_name_the_type_and_the_roots(store: Store, content: Content) -> None:
    root = store.put_bytes(content(300_000), content_type="a/b").root
    generation = store.board.generation()
    store.evict(root)
    store.evict(root)
    assert (store.usage().blobs, store.usage().bytes_) == (1, 0)
    assert store.board.generation() != generation
    stat = store.stat(root)
    assert stat is not None
    assert (stat.state, stat.content_type, len(stat.roots)) == ("evicted", "a/b", 1)
    with pytest.raises(NotFound):
        store.verify(root)
    store.put_bytes(content(300_000))
    stat = store.stat(root)
    assert stat is not None
    assert (stat.state, stat.content_type) == ("present", "a/b")
    assert store.usage().bytes_ == 300_000


def test_removed_space_is_used_again(store: Store, content: Content) -> None:
    sizes = []
    for number in range(12):
        root = store.put_bytes(content(2_000_000 + number)).root
        store.rm(root)
        store.sweep()
        sizes.append(store.usage().bulk_used_bytes)
    assert sizes[-1] <= 8_000_000  # 24 MB went through
