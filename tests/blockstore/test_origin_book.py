"""The record of origins: nothing forgets it, times only widen, and it costs no commit of its own."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from blockstore import Root, Store
from blockstore.origin import PER_NAME_MAX, Origin, OriginKind
from blockstore.origin_book import Merge, blob_name
from blockstore.origin_lines import parsed
from content import multihash
from content.block import Block
from content.cid import RAW, Cid
from durable import Txn
from runtime.errors import BadRequest, Conflict
from tests.blockstore.conftest import HandClock, Opener

Content = Callable[[int], bytes]
HTTP = OriginKind.HTTP
PLACE = Origin(HTTP, "https://h.example/a", added_s=5.0)


def name(text: str) -> bytes:
    return multihash.of(multihash.SHA2_256, text.encode())


def note(store: Store, of: bytes, origin: Origin) -> bool:
    noted: list[bool] = []
    store.backing.writer.run(index=lambda txn: noted.append(store.origins.note(txn, of, origin)))
    return noted[-1]


def test_what_is_noted_is_known_after_reopening(open_store: Opener) -> None:
    with open_store() as store:
        assert note(store, name("a"), PLACE)
        assert not store.origins.of(name("b"))
    with open_store() as store:
        assert store.origins.of(name("a")) == [PLACE]


def test_a_note_is_of_the_change_it_stands_in(store: Store) -> None:
    def refused(txn: Txn) -> None:
        store.origins.note(txn, name("a"), PLACE)
        raise AssertionError("the change fails after the note")

    with pytest.raises(Exception, match="after the note"):
        store.backing.writer.run(index=refused)
    assert store.origins.of(name("a")) == []


def test_noting_again_widens_times_and_is_one_row(store: Store) -> None:
    note(store, name("a"), replace(PLACE, first_success_s=8.0, last_success_s=8.0))
    note(store, name("a"), replace(PLACE, added_s=9.0, first_success_s=7.0, last_success_s=7.0, size_bytes=3))
    assert store.origins.of(name("a")) == [
        replace(PLACE, first_success_s=7.0, last_success_s=8.0, size_bytes=3)
    ]


def test_secrets_never_enter_a_row(store: Store) -> None:
    secret = "wJalrXUtnFEMIK7MDENG"
    given = [
        Origin(HTTP, f"https://ann:{secret}@h.example/a"),
        Origin(HTTP, f"https://h.example/b?X-Amz-Signature={secret}"),
    ]
    note(store, name("a"), given[0])
    store.origins.note_soon(name("a"), given[1])
    store.origins.merge([(name("b"), given[0])])
    store.origins.flush()
    kept = [found for _, found in store.origins.all()]
    assert sorted(each.address for each in kept) == ["https://h.example/a"] * 2 + ["https://h.example/b"]
    assert all(each.is_cut for each in kept)
    with store.backing.index.reading() as txn:
        cursor = txn.cursor(store.backing.catalog.origins)
        more = cursor.first()
        while more:
            assert secret.encode() not in cursor.value()
            more = cursor.next()


def test_what_is_no_address_or_no_name_is_not_noted_and_breaks_nothing(store: Store) -> None:
    assert not note(store, name("a"), Origin(HTTP, "not an address"))
    assert not note(store, b"\x00\x01a", PLACE)
    assert not note(store, b"nonsense", PLACE)
    store.origins.note_soon(name("a"), Origin(HTTP, ""))
    store.origins.flush()
    assert list(store.origins.all()) == []


def test_accounts_see_their_own_and_the_operator_sees_all(store: Store) -> None:
    for account in ("", "ann", "bob"):
        note(store, name("a"), replace(PLACE, account=account))
    assert [each.account for each in store.origins.of(name("a"), "ann")] == ["ann"]
    assert {each.account for each in store.origins.of(name("a"))} == {"", "ann", "bob"}
    assert [each.account for _, each in store.origins.all(account="bob")] == ["bob"]


def test_a_name_keeps_at_most_so_many_and_the_better_ones(store: Store) -> None:
    for number in range(PER_NAME_MAX):
        note(store, name("a"), Origin(HTTP, f"https://h{number}", added_s=number + 1.0, last_success_s=1.0))
    assert not note(store, name("a"), Origin(HTTP, "https://worse", added_s=1000.0))
    assert note(store, name("a"), Origin(HTTP, "https://better", added_s=1000.0, last_success_s=1000.0))
    kept = store.origins.of(name("a"))
    assert len(kept) == PER_NAME_MAX
    assert kept[0].address == "https://better"
    assert {"https://h0", "https://worse"}.isdisjoint(each.address for each in kept)


def test_the_best_comes_first(store: Store) -> None:
    for address, success_s in (("https://a", 1.0), ("https://b", 3.0), ("https://c", 2.0)):
        note(store, name("a"), Origin(HTTP, address, last_success_s=success_s))
    assert [each.address[-1] for each in store.origins.of(name("a"))] == ["b", "c", "a"]


def test_all_goes_on_after_a_name_over_pages(store: Store) -> None:
    names = sorted(name(str(number)) for number in range(300))
    rows = [(each, Origin(HTTP, f"https://{n}", added_s=1.0)) for each in names for n in range(2)]
    assert store.origins.merge(rows) == Merge(added=600)
    assert [each for each, _ in store.origins.all()] == [each for each in names for _ in range(2)]
    assert {each for each, _ in store.origins.all(names[149])} == set(names[150:])


def test_marks_are_gathered_and_noted_once_a_minute(store: Store) -> None:
    note(store, name("a"), PLACE)
    before = store.backing.writer
    for _ in range(1000):
        store.origins.succeeded(name("a"), PLACE.address, 100.0)
    assert before.queued_jobs <= 1
    store.origins.flush()
    (kept,) = store.origins.of(name("a"))
    assert (kept.first_success_s, kept.last_success_s) == (100.0, 100.0)
    store.origins.succeeded(name("a"), PLACE.address, 130.0)
    store.origins.flush()
    assert store.origins.of(name("a"))[0].last_success_s == 100.0
    store.origins.succeeded(name("a"), PLACE.address, 161.0)
    store.origins.failed(name("a"), PLACE.address, 170.0)
    store.origins.flush()
    (kept,) = store.origins.of(name("a"))
    assert (kept.first_success_s, kept.last_success_s, kept.last_failure_s) == (100.0, 161.0, 170.0)


def test_a_mark_of_an_origin_nobody_noted_makes_none(store: Store) -> None:
    store.origins.succeeded(name("a"), "https://h", 1.0)
    store.origins.flush()
    assert store.origins.of(name("a")) == []


def test_what_waits_is_written_when_the_store_closes(open_store: Opener) -> None:
    with open_store() as store:
        store.origins.note_soon(name("a"), PLACE)
        store.origins.note_soon(name("a"), replace(PLACE, last_success_s=9.0))
    with open_store() as store:
        assert store.origins.of(name("a")) == [replace(PLACE, last_success_s=9.0)]


def test_notes_of_many_threads_are_all_kept(store: Store) -> None:
    def work(number: int) -> None:
        for each in range(50):
            store.origins.note_soon(name(f"{number}/{each}"), PLACE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.origins.flush()
    assert len(list(store.origins.all())) == 200


def test_a_damaged_row_is_passed_over_and_written_anew(store: Store) -> None:
    note(store, name("a"), PLACE)
    note(store, name("a"), Origin(HTTP, "https://other"))
    table = store.backing.catalog.origins
    with store.backing.index.reading() as txn:
        cursor = txn.cursor(table)
        cursor.set_range(name("a"))
        key, value = cursor.key(), cursor.value()
    store.backing.writer.run(index=lambda txn: txn.put(key, value[:-1] + b"?", db=table))  # type: ignore[arg-type]
    assert len(store.origins.of(name("a"))) == 1
    note(store, name("a"), PLACE)
    note(store, name("a"), Origin(HTTP, "https://other"))
    assert len(store.origins.of(name("a"))) == 2


def test_merging_what_was_exported_changes_nothing_and_loses_nothing(store: Store) -> None:
    note(store, name("a"), replace(PLACE, first_success_s=7.0, last_success_s=8.0))
    exported = list(store.origins.all())
    assert store.origins.merge(map(parsed, store.origins.export())) == Merge(known=1)
    assert list(store.origins.all()) == exported
    poorer = [(name("a"), replace(PLACE, added_s=6.0)), (name("b"), PLACE)]
    assert store.origins.merge(poorer) == Merge(added=1, known=1)
    assert store.origins.of(name("a")) == [exported[0][1]]
    with pytest.raises(BadRequest):
        store.origins.merge([(name("c"), Origin(HTTP, "no address"))])


def test_origins_outlive_unpin_evict_rm_and_gc(store: Store, clock: HandClock, content: Content) -> None:
    put = store.put_bytes(content(1000))
    evicted = store.put_bytes(content(2000))
    block = Block.verified(Cid.v1(RAW, multihash.of(multihash.SHA2_256, b"x")), b"x")
    store.dag.put([block])
    store.dag.pin(block.cid, Root.pin())
    names = [blob_name(put.root), blob_name(evicted.root), block.cid.multihash]
    for each in names:
        note(store, each, PLACE)
    store.dag.unpin(block.cid, Root.pin())
    store.unpin(put.root)
    store.evict(evicted.root)
    store.rm(evicted.root)
    with pytest.raises(Conflict):
        store.rm(multihash.split(blob_name(store.dag.file(block.cid).root))[1])  # type: ignore[union-attr]
    clock.now += 10 * store.settings.lease_s
    report = store.sweep()
    clock.now += 10 * store.settings.lease_s
    store.sweep()
    assert report.removed_blobs >= 1
    assert not list(store.list())
    assert not store.dag.has(block.cid)
    assert [store.origins.of(each) for each in names] == [[PLACE]] * 3


def test_what_accounts_name_is_left_out_when_the_index_is_nearly_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = replace(PLACE, account="alice")
    left = store.settings.index_map_bytes // 8
    monkeypatch.setattr(type(store.backing.index), "room_bytes", lambda self, txn: left)
    assert not note(store, name("a"), theirs)
    assert note(store, name("a"), PLACE), "the operator's own are few"
    monkeypatch.setattr(type(store.backing.index), "room_bytes", lambda self, txn: left + 1)
    assert note(store, name("a"), theirs)
