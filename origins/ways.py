"""What the record of origins says of where a thing may be had now, beside the gateways of the settings.

Rows are kept of roots only: a block that is asked for alone, and was here once, is looked for among the
blocks below what is pinned, and the origins of that root are its own.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from blockstore import Store
from blockstore.origin import OPERATOR
from blockstore.origin_book import blob_name
from content.block import BlockMissing
from content.cid import DAG_CBOR, DAG_JSON, Cid
from content.dag_walk import walk
from origins.came import Trust
from origins.places import gateway_of
from origins.refetch import Refetch
from origins.steps import step
from runtime.clock import Clock
from runtime.errors import (
    BadRequest,
    BlobDamaged,
    EdgeError,
    NotFound,
    SourceTimeout,
    StoreFull,
    Unreachable,
    Unverified,
)

log = logging.getLogger("fleek.origins")

_GATEWAYS_MAX: Final = 8
# Looking through what is pinned for one lost block: as long as a person waits, and 30 us a block
_ABOVE_S: Final = 5.0
_ABOVE_MAX: Final = 4
# What is asked for again at once lies below the same roots; a few hundred bytes each
_ABOVE_KEPT_S: Final = 10.0
_ABOVE_KEPT_MAX: Final = 1024
_NO_LINKS: Final = {DAG_CBOR: b"\xa0", DAG_JSON: b"{}"}


class Ways:
    """Ways back, of one process."""

    def __init__(self, store: Store, refetch: Refetch, clock: Clock, sources: Trust) -> None:
        self._store, self._refetch, self._clock, self._sources = store, refetch, clock, sources
        self._above: dict[bytes, tuple[float, list[Cid]]] = {}
        self._searching = asyncio.Lock()

    def gateways(self, *cids: Cid | None) -> tuple[str, ...]:
        """Base URLs of gateways that are on record for one of these, best first. 10 us a CID and more."""
        found: dict[str, None] = {}
        for cid in dict.fromkeys(each for each in cids if each is not None):
            for origin in self._store.origins.of(cid.multihash):
                base = gateway_of(origin)
                if base is not None and len(found) < _GATEWAYS_MAX:
                    found[base] = None
                    if origin.account == OPERATOR:
                        self._sources.trust(base)
        return tuple(found)

    def knows_blob(self, root: bytes) -> bool:
        """Whether a blob, or what is the whole of it, has an origin. 2 us a leaf in it, and more."""
        names = [blob_name(root), *self._store.dag.whole_names(root)]
        return any(self._refetch.knows(each) for each in names)

    async def back(self, cid: Cid, roots: Sequence[Cid | None], error: EdgeError) -> None:
        """Have a block from where it, or one of `roots` above it, came from. Raises `error` when vain."""
        for each in dict.fromkeys(root for root in (cid, *roots) if root is not None):
            if not self._refetch.knows(each.multihash):
                continue
            try:
                await self._refetch.fetch(each)
            except StoreFull:
                raise
            except (NotFound, Unreachable, SourceTimeout, Unverified, BadRequest) as failure:
                log.info("%s does not come back: %s", each, failure.message)
            if self._store.dag.has(cid):
                return
        raise error

    async def above(self, cid: Cid) -> list[Cid]:
        """Roots with origins below which a block lies that was here once; [] for others at once.

        One search at a time, of some seconds; [] also where others take too long.
        """
        try:
            async with asyncio.timeout(_ABOVE_S):
                await self._searching.acquire()
        except TimeoutError:
            return []
        try:
            kept = self._above.get(cid.multihash)
            if kept is not None and kept[0] > self._clock.tick_s():
                return kept[1]
            found = await step(self._search, cid)
            while len(self._above) >= _ABOVE_KEPT_MAX:
                del self._above[next(iter(self._above))]
            self._above[cid.multihash] = (self._clock.tick_s() + _ABOVE_KEPT_S, found)
            return found
        finally:
            self._searching.release()

    def _search(self, cid: Cid) -> list[Cid]:
        if not self._store.dag.is_known(cid):
            return []
        found: list[Cid] = []
        stop_s = self._clock.tick_s() + _ABOVE_S
        seen: set[bytes] = set()
        for root in (each.cid for each in self._store.dag.roots()):
            if self._clock.tick_s() > stop_s or len(found) >= _ABOVE_MAX:
                break
            if root.multihash in seen:
                continue
            seen.add(root.multihash)
            try:
                if self._refetch.knows(root.multihash) and self._holds(root, cid, stop_s):
                    found.append(root)
            except BadRequest:
                continue  # its blocks are not of their codecs
        return found

    def _holds(self, root: Cid, cid: Cid, stop_s: float) -> bool:
        for each in walk(root, self._read):
            if each.multihash == cid.multihash:
                return True
            if self._clock.tick_s() > stop_s:
                return False
        return False

    def _read(self, cid: Cid) -> bytes:
        """A block, or one without links in place of what cannot be read."""
        try:
            return self._store.dag.read(cid)
        except (BlockMissing, BlobDamaged):
            return _NO_LINKS.get(cid.codec, b"")
