"""Pins in a store of this machine, without HTTP and with or without a node on the folder.

What is wholly here is pinned at once. What is not waits for the node on this folder to fetch it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from blockstore import Store
from blockstore.origin_address import shown
from blockstore.presence import SureBlocks
from content.cid import Cid
from node.config import load
from node.identity import signing_key
from pinning import timestamps
from pinning.api_json import details_of
from pinning.challenge import Challenge
from pinning.holding import Holding
from pinning.measure import measured
from pinning.origins_answer import origins_of
from pinning.pin import LOCAL_ACCOUNT, Filter, Match, Pin, Status, Wish
from pinning.pins import Pins
from pinning.proving import prove
from pinning.size_answer import size_of
from runtime.clock import SystemClock
from runtime.errors import NotFound
from tools.frame.output import human_size
from tools.pin.book import ANY_STATUS, Order, Wanted
from tools.pin.record import PinRecord, encoded

_SECOND_MS: Final = 1000
_WAITS: Final = "waits for its turn: a node that runs on this folder, and not --offline, brings it here"


class LocalBook:
    """`book.Book` on a store, for the account of commands that work on the folder itself."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self._folder = folder
        self._book = Pins(store)

    @property
    def where(self) -> str:
        """The data folder."""
        return str(self._folder)

    def add(self, order: Order) -> PinRecord:
        """Pin; done at once when all of it is here."""
        return self._settled(self._book.add(LOCAL_ACCOUNT, _wish(order)))

    def get(self, request_id: str) -> PinRecord:
        """One pin."""
        return _record(self._book.get(LOCAL_ACCOUNT, request_id))

    def pins(self, wanted: Wanted) -> Iterator[PinRecord]:
        """All that match, newest first."""
        return map(_record, self._book.stream(LOCAL_ACCOUNT, _filter(wanted)))

    def lines(self, wanted: Wanted) -> Iterator[str]:
        """The same as lines of JSON."""
        for record in self.pins(wanted):
            yield f"{encoded(record)}\n"

    def count(self, wanted: Wanted) -> int:
        """How many match; may be too low for partial names and labels."""
        return self._book.page(LOCAL_ACCOUNT, _filter(wanted), 1).count

    def replace(self, request_id: str, order: Order) -> PinRecord:
        """A new pin in place of an old one, in one commit."""
        return self._settled(self._book.replace(LOCAL_ACCOUNT, request_id, _wish(order)))

    def remove(self, request_id: str) -> None:
        """Let go; `fleek-edge gc` takes what nothing else keeps."""
        self._book.remove(LOCAL_ACCOUNT, request_id)

    def origins(self, cid: str) -> Iterator[dict[str, Any]]:
        """What the store remembers, of every account: whoever reads the folder is its operator."""
        yield from origins_of(self.store, Cid.parse(cid), None)

    def every_origin(self) -> Iterator[bytes]:
        """Of every account, in the order of content; no snapshot between pages."""
        return self.store.origins.export()

    def size(self, cid: str) -> dict[str, Any]:
        """The size of a DAG, measured or as its root says. Raises NotFound, naming the block."""
        return size_of(self.store, Cid.parse(cid))

    def proof(self, cid: str, nonce: bytes, samples: int) -> Iterator[bytes]:
        """What the node on this folder would answer."""
        key, now_ms = signing_key(self._folder), int(SystemClock().now_s() * _SECOND_MS)
        challenge = Challenge(Cid.parse(cid), nonce, samples)
        yield from prove(challenge, Holding(self.store), key.public, key.sign, now_ms).pieces

    def _settled(self, pin: Pin) -> PinRecord:
        """`pin`, marked as pinned when nothing of it is missing: no worker need look at it again."""
        if pin.status is not Status.PINNED:
            found = measured(pin.wish.cid, SureBlocks(self.store.dag))
            if found.missing is None and self._book.begin(pin.request_id) is not None:
                self._book.pinned(pin.request_id, found.dag_bytes, found.raw_bytes)
                pin = self._book.get(LOCAL_ACCOUNT, pin.request_id)
        return _record(pin)


@contextmanager
def opened(data: Path | None, *, create: bool = False) -> Iterator[LocalBook]:
    """The pins of the store in `data`, else in $FLEEK_EDGE_DATA. Raises NotFound where there is none."""
    config = load(None, os.environ, {"data": data})
    folder = config.node.data
    if not create and not (folder / "format").exists():
        hint = "`fleek-pin add FILE` and `fleek-edge put` make one; --data names another folder"
        raise NotFound("there is no store here", where=str(folder), hint=hint)
    store = Store.open(folder, config.store, SystemClock(), create=create)
    try:
        yield LocalBook(store, folder)
    finally:
        store.close()


def _wish(order: Order) -> Wish:
    return Wish(Cid.parse(order.cid), order.name or None, order.origins, order.meta, order.expires_s)


def _filter(wanted: Wanted) -> Filter:
    any_status = wanted.statuses == ANY_STATUS
    return Filter(
        cids=tuple(Cid.parse(cid) for cid in wanted.cids),
        name=wanted.name,
        match=Match(wanted.match),
        statuses=frozenset() if any_status else frozenset(Status(each) for each in wanted.statuses),
        before_ns=None if wanted.before is None else timestamps.read(wanted.before, "--before", up=True),
        after_ns=None if wanted.after is None else timestamps.read(wanted.after, "--after"),
        meta=wanted.meta,
    )


def _record(pin: Pin) -> PinRecord:
    details = details_of(pin, _WAITS)
    info: dict[str, Any] = {"status_details": details} if details else {}
    info |= {} if pin.dag_bytes is None else {"dag_size": str(pin.dag_bytes)}
    info |= {} if pin.raw_bytes is None else {"raw_size": str(pin.raw_bytes)}
    if pin.wish.expires_s is not None:
        info["pinned_until"] = timestamps.written_s(pin.wish.expires_s)
    if pin.status is Status.PINNING:
        progress = pin.progress
        info["progress"] = f"{progress.blocks} blocks, {human_size(progress.bytes_)}, {progress.wanted} to go"
    return {
        "requestid": pin.request_id,
        "status": pin.status.value,
        "cid": pin.wish.cid.text(),
        "name": pin.wish.name or "",
        "created": timestamps.written(pin.created_ns),
        "origins": list(shown(pin.wish.origins)),
        "meta": pin.wish.meta,
        "delegates": [],
        "info": info,
    }
