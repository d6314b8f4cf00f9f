"""Pins for what has just arrived: kept before it is looked at, and nothing of others touched on the way."""

import pytest

from blockstore import Store
from blockstore.presence import SureBlocks
from content import multihash
from content.block import Block
from content.cid import RAW, Cid
from pinning.arrival import Sender, pin_arrived
from pinning.pin import Filter, Pin, Status, Wish
from pinning.pins import Pins
from runtime.errors import NotFound, QuotaExceeded

ALICE = Sender("alice")


def put(store: Store, data: bytes) -> Cid:
    cid = Cid.v1(RAW, multihash.of(multihash.SHA2_256, data))
    store.dag.put([Block(cid, data)])
    return cid


def ignored(form: str, account: str, root: Cid, size_bytes: int | None) -> None:
    """Origins are none of this test's business."""


class Looked:
    """The store's blocks; each look tells how many pins there are."""

    def __init__(self, store: Store, book: Pins) -> None:
        self.store, self.book, self.counts = store, book, list[int]()

    def read(self, cid: Cid) -> bytes:
        self.counts.append(self.book.page("alice", Filter(), 10).count)
        return self.store.dag.read(cid)

    def size(self, cid: Cid) -> int | None:
        self.counts.append(self.book.page("alice", Filter(), 10).count)
        return self.store.dag.size(cid)


def test_a_pin_keeps_its_blocks_before_they_are_looked_at(store: Store) -> None:
    book = Pins(store)
    looked = Looked(store, book)
    [arrived] = pin_arrived(looked, book, ignored, ALICE, [put(store, b"one")])
    assert arrived.pin.status is Status.PINNED
    assert looked.counts
    assert set(looked.counts) == {1}


class OneOnly(Pins):
    """Accepts no pin of a certain content."""

    refused: Cid

    def add(self, account: str, wish: Wish, *, quota_bytes: int | None = None) -> Pin:
        if wish.cid == self.refused:
            raise QuotaExceeded("no room", where=account)
        return super().add(account, wish, quota_bytes=quota_bytes)


def test_a_refusal_takes_back_what_this_arrival_made_and_nothing_else(store: Store) -> None:
    book = OneOnly(store)
    known, fresh, book.refused = (put(store, data) for data in (b"known", b"fresh", b"refused"))
    before = book.add("alice", Wish(known))
    with pytest.raises(QuotaExceeded):
        pin_arrived(store.dag, book, ignored, ALICE, [known, fresh, book.refused], since_ns=0)
    assert [pin.request_id for pin in book.stream("alice", Filter())] == [before.request_id]


def test_a_pin_that_failed_is_not_taken_for_the_one_that_is_to_be_made(store: Store) -> None:
    book = Pins(store)
    root = put(store, b"late")
    failed = book.add("alice", Wish(root))
    book.begin(failed.request_id)
    book.failed(failed.request_id, "nobody had it")
    [arrived] = pin_arrived(store.dag, book, ignored, ALICE, [root], since_ns=0)
    assert arrived.pin.status is Status.PINNED
    assert arrived.pin.request_id != failed.request_id
    assert store.dag.roots_of(root)


def test_what_is_damaged_leaves_no_pin(store: Store) -> None:
    class Damaged(Looked):
        def size(self, cid: Cid) -> int | None:
            raise NotFound("it went away")

    book = Pins(store)
    with pytest.raises(NotFound):
        pin_arrived(Damaged(store, book), book, ignored, ALICE, [put(store, b"x")])
    assert book.page("alice", Filter(), 10).count == 0


def test_what_a_sweep_has_just_taken_is_not_taken_for_here(store: Store) -> None:
    """The sweep's commit is there, its new generation is not seen yet: memory knows the block still."""
    book = Pins(store)
    root = put(store, b"swept")
    assert store.dag.slice(root) is not None
    store.backing.writer.run(index=lambda txn: store.dag.rows.drop(txn, root.multihash))
    assert store.dag.has(root), "remembered"
    [arrived] = pin_arrived(SureBlocks(store.dag), book, ignored, ALICE, [root])
    assert (arrived.pin.status, arrived.missing) == (Status.QUEUED, root)
