"""Pins at a service that speaks the IPFS Pinning Service API 1.0.0, ours or anybody's."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from pinning import timestamps
from runtime.errors import Busy, NotFound, NotImplementedHere, SourceTimeout, Unreachable, UsageError
from tools.pin import lines
from tools.pin.book import Order, Wanted
from tools.pin.paging import Pages
from tools.pin.psa import NO_SUCH_API, Psa
from tools.pin.record import PinRecord, encoded, record_of

_PAGE: Final = 1000  # the most the specification lets one ask for


class RemoteBook:
    """`book.Book` over HTTP."""

    def __init__(self, psa: Psa) -> None:
        self.psa = psa

    @property
    def where(self) -> str:
        """The endpoint."""
        return self.psa.service.endpoint

    def add(self, order: Order) -> PinRecord:
        """Have it pinned."""
        return record_of(self.psa.change("POST", "/pins", self._pin(order)), self.where)

    def get(self, request_id: str) -> PinRecord:
        """One pin."""
        return record_of(self.psa.get(_named(request_id)), self.where)

    def replace(self, request_id: str, order: Order) -> PinRecord:
        """A new pin in place of an old one."""
        return record_of(self.psa.change("POST", _named(request_id), self._pin(order)), self.where)

    def remove(self, request_id: str) -> None:
        """Let go."""
        self.psa.change("DELETE", _named(request_id))

    def count(self, wanted: Wanted) -> int:
        """How many match, as the service says."""
        return self._parsed(self.psa.get(_page(wanted, wanted.before, 1)))[0]

    def pins(self, wanted: Wanted) -> Iterator[PinRecord]:
        """All that match, as they come."""
        before = wanted.before
        if self.is_fleek:
            for chunk in (stream := self._stream(wanted)).chunks:
                yield from lines.records(chunk, self.where)
            if stream.is_over:
                return
            before = stream.before
        yield from self._paged(replace(wanted, before=before))

    def lines(self, wanted: Wanted) -> Iterator[str]:
        """The same as lines of JSON."""
        before = wanted.before
        if self.is_fleek:
            for chunk in (stream := self._stream(wanted)).chunks:
                yield lines.checked(chunk, self.where)
            if stream.is_over:
                return
            before = stream.before
        for record in self._paged(replace(wanted, before=before)):
            yield f"{encoded(record)}\n"

    def _stream(self, wanted: Wanted) -> "_Stream":
        return _Stream(self.psa, _query(wanted, wanted.before, None), wanted.before)

    def _paged(self, wanted: Wanted) -> Iterator[PinRecord]:
        """All that match; the next page is on its way while one is read."""
        pages = Pages(wanted.before)
        with self.psa.sibling() as psa:
            psa.begin(_page(wanted, pages.before, _PAGE))
            while not pages.over:
                fresh = pages.take(*self._parsed(psa.finish()))
                if pages.crowd is not None:
                    fresh = self._crowd(pages, wanted)
                if not pages.over:
                    psa.begin(_page(wanted, pages.before, _PAGE))
                yield from fresh

    def origins(self, cid: str) -> Iterator[dict[str, Any]]:
        """What the node remembers of where content came from."""
        found = self._extension(f"/x/origins/{quote(cid, safe='')}", "keeps no record of origins")
        rows = found.get("origins") if isinstance(found, dict) else found
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._strange()
        yield from rows

    def every_origin(self) -> Iterator[bytes]:
        """Those of the account, as the node sends them."""
        self._check_fleek("keeps no record of origins")
        yield from self.psa.stream("/x/origins")

    def size(self, cid: str) -> dict[str, Any]:
        """What the node knows of a DAG's size."""
        found = self._extension(f"/x/size/{quote(cid, safe='')}", "does not tell sizes")
        if not isinstance(found, dict):
            raise self._strange()
        return found

    def proof(self, cid: str, nonce: bytes, samples: int) -> Iterator[bytes]:
        """The node's answer to a challenge."""
        self._check_fleek("proves nothing")
        yield from self.psa.stream(f"/x/proof/{quote(cid, safe='')}/{nonce.hex()}/{samples}")

    def _extension(self, path: str, what: str) -> Any:
        self._check_fleek(what)
        return self.psa.get(path)

    def _check_fleek(self, what: str) -> None:
        """Ask nobody else for what only Fleek Edge nodes have. Raises NotImplementedHere elsewhere."""
        if not self.is_fleek:
            hint = "a Fleek Edge node does; its endpoint ends in /pinning/v1"
            raise NotImplementedHere(f"this service {what}", where=self.where, hint=hint)

    @property
    def is_fleek(self) -> bool:
        """Whether the endpoint is where a Fleek Edge node has it."""
        return self.where.endswith("/pinning/v1")

    def _crowd(self, pages: Pages, wanted: Wanted) -> list[PinRecord]:
        """More pins were created at one moment than a page holds: look at them by status.

        Raises Unreachable when that does not tell all of them apart either.
        """
        after, before = pages.around_crowd()
        found: list[PinRecord] = []
        for status in wanted.statuses:
            part = Wanted(wanted.cids, wanted.name, wanted.match, (status,), None, after, wanted.meta)
            count, page = self._parsed(self.psa.get(_page(part, before, _PAGE)))
            if count > len(page):
                hint = "ask for less: --name, --cid or --meta"
                why = f"{count} pins were created at {pages.crowd}, and the service shows {len(page)} of them"
                raise Unreachable(why, where=self.where, hint=hint)
            found += page
        return pages.take_crowd(found)

    def _parsed(self, value: Any) -> tuple[int, list[PinRecord]]:
        count, results = (
            (value.get("count"), value.get("results")) if isinstance(value, dict) else (None, None)
        )
        if type(count) is not int or not isinstance(results, list):
            raise self._strange()
        where = self.where
        return count, [record_of(each, where) for each in results]

    def _pin(self, order: Order) -> dict[str, Any]:
        """The Pin object of the API; an end is a label that Fleek Edge nodes know (docs/pinning-api.md).

        Raises NotImplementedHere: the service would keep the pin for ever.
        """
        meta = order.meta
        if order.expires_s is not None:
            if not self.is_fleek:
                hint = "remove it in time yourself, or pin at a Fleek Edge node"
                raise NotImplementedHere("this service lets no pin end", where=self.where, hint=hint)
            meta = meta | {"pinned_until": timestamps.written_s(order.expires_s)}
        pin: dict[str, Any] = {"cid": order.cid}
        pin |= {"name": order.name} if order.name else {}
        pin |= {"origins": list(order.origins)} if order.origins else {}
        pin |= {"meta": meta} if meta else {}
        return pin

    def _strange(self) -> Unreachable:
        return Unreachable("the service sent something else", where=self.where, hint=NO_SUCH_API)


class _Stream:
    """A node's own list, which knows no pages.

    `is_over`: it came to its end. Otherwise the node has none or broke off, and pages go on from `before`.
    """

    def __init__(self, psa: Psa, query: str, before: str | None) -> None:
        self._psa, self._query = psa, query
        self.before = before
        self.is_over = False

    @property
    def chunks(self) -> Iterator[bytes]:
        """Chunks of whole lines, not looked at; created times are unique, so none is lost at a break."""
        where = self._psa.service.endpoint
        with self._psa.sibling() as psa:
            chunks = lines.whole_lines(psa.stream(f"/x/list?{self._query}"), where)
            while True:
                try:
                    chunk = next(chunks, None)
                except (NotFound, Unreachable, SourceTimeout, Busy):
                    return
                if chunk is None:
                    self.is_over = True
                    return
                yield chunk
                self.before = lines.last_created(chunk, where)


def _named(request_id: str) -> str:
    if not request_id or request_id in (".", ".."):
        raise UsageError("not a request id", where=repr(request_id))
    return f"/pins/{quote(request_id, safe='')}"


def _page(wanted: Wanted, before: str | None, limit: int) -> str:
    return f"/pins?{_query(wanted, before, limit)}"


def _query(wanted: Wanted, before: str | None, limit: int | None) -> str:
    """The query of a list; `limit` None: without one."""
    fields = [("limit", str(limit))] if limit is not None else []
    fields += [("status", ",".join(wanted.statuses))]
    fields += [("cid", ",".join(wanted.cids))] if wanted.cids else []
    fields += [("name", wanted.name), ("match", wanted.match)] if wanted.name is not None else []
    fields += [("before", before)] if before is not None else []
    fields += [("after", wanted.after)] if wanted.after is not None else []
    fields += [("meta", json.dumps(wanted.meta))] if wanted.meta else []
    return urlencode(fields, safe=",:")
