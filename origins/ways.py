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
from content.cid import DAG_PB, RAW, Cid
from content.dag_walk import walk
from content.links import NO_LINKS
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
        """Whether a blob is on record here, and has an origin or is a file or a block, which may lie below
        what has one. What `rm` took away stays away. 2 us a leaf in it, and more.
        """
        if not self._store.remembers(root):
            return False
        return self._refetch.knows(blob_name(root)) or bool(self._store.dag.whole_names(root))

    async def back(self, cid: Cid, roots: Sequence[Cid | None], error: EdgeError) -> None:
        """Have a block from where one of `roots` (itself, or what it lies below) came from.

        Raises `error` when that is vain, but Unreachable where the origin has something else by now.
        """
        for each in dict.fromkeys(root for root in roots if root is not None):
            if not self._refetch.knows(each.multihash):
                continue
            try:
                await self._refetch.fetch(each, wanted=cid)
            except StoreFull:
                raise
            except (NotFound, Unreachable, SourceTimeout, BadRequest) as failure:
                log.info("%s does not come back: %s", each, failure.message)
            except Unverified as failure:
                log.info("%s does not come back: %s", each, failure.message)
                error = Unreachable(failure.message, where=cid.text(), hint=failure.hint)
            if self._store.dag.has(cid):
                return
        raise error

    async def blob_back(self, root: bytes, error: EdgeError) -> None:
        """Have a blob from where a root came from that it, as a file or a block, lies below of.

        Raises as `back`.
        """
        for multihash in await step(self._store.dag.whole_names, root):
            for cid in (Cid.v1(DAG_PB, multihash), Cid.v1(RAW, multihash)):
                try:
                    await self.back(cid, await self.above(cid), error)
                except Unreachable as failure:
                    error = failure
                except (NotFound, SourceTimeout, Unverified):
                    continue
                if self._refetch.is_whole(root):
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
        """Those first below which it is, then those below which it may be: directories of theirs are lost,
        and can be read again from a folder of this machine.
        """
        if not self._store.dag.is_known(cid):
            return []
        found: list[Cid] = []
        perhaps: list[Cid] = []
        stop_s = self._clock.tick_s() + _ABOVE_S
        seen: set[bytes] = set()
        for root in (each.cid for each in self._store.dag.roots()):
            if self._clock.tick_s() > stop_s or len(found) >= _ABOVE_MAX:
                break
            if root.multihash in seen:
                continue
            seen.add(root.multihash)
            try:
                if not self._refetch.knows(root.multihash):
                    continue
                holds = self._holds(root, cid, stop_s)
            except BadRequest:
                continue  # its blocks are not of their codecs
            if holds:
                found.append(root)
            elif holds is None and self._refetch.is_on_disk(root.multihash):
                perhaps.append(root)
        return [*found, *perhaps][:_ABOVE_MAX]

    def _holds(self, root: Cid, cid: Cid, stop_s: float) -> bool | None:
        """Whether a block is below a root; None where that cannot be told, as some of it is not here."""
        lacks = False

        def read(cid: Cid) -> bytes:
            """A block, or one without links in place of what cannot be read."""
            nonlocal lacks
            try:
                return self._store.dag.read(cid)
            except (BlockMissing, BlobDamaged):
                lacks = True
                return NO_LINKS.get(cid.codec, b"")

        for each in walk(root, read):
            if each.multihash == cid.multihash:
                return True
            if self._clock.tick_s() > stop_s:
                break
        return None if lacks else False
