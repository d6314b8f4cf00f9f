"""Brings content back from where it came: every kind of origin, one after the other, until one gave it.

Theory of operation. The record of origins (`blockstore.origin_book`) says where content under a name was
had, or is said to be. What is a gateway (also another node, and Filecoin's `/ipfs/`) is asked for the DAG; a
URL, an Arweave transaction or a file of this machine gives bytes, from which the DAG is built again; a
Filecoin piece is a CAR. Nothing is believed: bytes count only when what was built from them has the name
(`rebuild`, `sinks`). How each try ended goes on record.

Invariants
 1. Nothing enters the store that did not match its name.
 2. Every address is dialled through the guard, whoever named it. Files are read only where the operator named
    them.
 3. One fetch a name at a time over all processes, and not too many at once.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from blockstore import Store
from blockstore.origin import OPERATOR, Origin, OriginKind
from blockstore.origin_address import named
from blockstore.origin_book import blob_name
from content import cid as codecs
from content import multihash
from content.cid import Cid
from content.commp import commitment_of
from origins.absences import Absences
from origins.byte_stream import ByteStreams, open_file
from origins.fills import OneFetch
from origins.provider_records import base_url
from origins.rebuild import Rebuild, candidates
from origins.sinks import BlobSink, CarSink, ProofSink, Sink
from runtime.clock import Clock
from runtime.errors import (
    BadRequest,
    BlobDamaged,
    EdgeError,
    Forbidden,
    NotFound,
    SourceTimeout,
    StoreFull,
    TooLarge,
    Unreachable,
    Unverified,
)

log = logging.getLogger("fleek.origins")

_CAR: Final = "car"
_PIECE: Final = "/piece/"
_BAO: Final = "application/vnd.fleek.bao"
_GATEWAYS: Final = frozenset((OriginKind.GATEWAY, OriginKind.PEER))
T = TypeVar("T")
Opened = AbstractAsyncContextManager[AsyncIterator[bytes]]


class Dags(Protocol):
    """Gateways; `origins.dag_fetch.DagFetch` is one."""

    async def dag(self, cid: Cid, also: Sequence[str] = ()) -> None:
        """Have a block, and of what is below it all or a part, also from gateways with these base URLs."""
        ...


class Refetch:
    """The way back."""

    def __init__(self, store: Store, streams: ByteStreams, dags: Dags, once: OneFetch, clock: Clock) -> None:
        self._store, self._streams, self._dags, self._once = store, streams, dags, once
        self._clock = clock
        self._absences = Absences()

    async def fetch(self, cid: Cid, origins: Sequence[str] = ()) -> None:
        """Bring a DAG here, verified, from `origins` (addresses) or from where it came before.

        From a gateway a part of it may come, from all others all of it. Raises NotFound (nobody is known who
        has it), Unverified (only lies came), Unreachable, StoreFull.
        """
        work = self._once.start(
            b"origins " + cid.multihash, lambda: False, lambda: self._fetch(cid, self._of(cid, origins))
        )
        await asyncio.shield(work)

    async def blob(self, root: bytes) -> None:
        """Bring a blob back whole, by its hash or as the file it is. Raises as `fetch`."""
        name = blob_name(root)
        work = self._once.start(
            b"blob " + root, lambda: self._is_whole(root), lambda: self._fetch_blob(root, name)
        )
        await asyncio.shield(work)

    def knows(self, name: bytes) -> bool:
        """Whether an origin is on record from which content of this name may be had. 5 us and more."""
        return bool(self._recorded(name))

    # One name

    def _recorded(self, name: bytes) -> list[Origin]:
        """Origins on record that can be fetched from, best first: no uploads, files only of the operator."""
        return [
            each
            for each in self._store.origins.of(name)
            if each.kind is not OriginKind.UPLOAD
            and (each.kind is not OriginKind.LOCAL or each.account == OPERATOR)
        ]

    def _of(self, cid: Cid, declared: Sequence[str]) -> list[Origin]:
        """Origins to try, best first: those on record, then what is only declared."""
        found = {each.address: each for each in reversed(self._recorded(cid.multihash))}
        known = list(reversed(found.values()))
        for text in declared:
            with suppress(BadRequest):
                origin = named(text)
                if origin.is_cut:  # on record without its secret, which is needed to fetch it now
                    known = [each for each in known if each.address != origin.address]
                    origin = replace(origin, address=text)
                elif origin.address in found:
                    continue
                known.append(origin)
        return known

    async def _fetch(self, cid: Cid, origins: Sequence[Origin]) -> None:
        await self._try_all(cid.multihash, cid.text(), origins, lambda origin: self._from(origin, cid))

    async def _fetch_blob(self, root: bytes, name: bytes) -> None:
        try:
            await self._try_all(
                name, root.hex(), self._recorded(name), lambda each: self._blob_from(each, root)
            )
            return
        except (NotFound, Unreachable, Unverified) as error:
            failure: EdgeError = error
        for cid in await asyncio.to_thread(self._cids_of, root):
            with suppress(NotFound, Unreachable, Unverified, SourceTimeout):
                await self._fetch(cid, self._of(cid, ()))
                if self._is_whole(root):
                    return
        raise failure

    def _cids_of(self, root: bytes) -> list[Cid]:
        """What a blob may be the whole of: a file by its root, or one raw block."""
        names = self._store.dag.whole_names(root)
        return [
            Cid.v1(codec, each) for each in names for codec in (codecs.DAG_PB, codecs.RAW) if self.knows(each)
        ]

    def _is_whole(self, root: bytes) -> bool:
        try:
            return not self._store.blob(root).damaged_segments
        except (NotFound, BlobDamaged):
            return False

    async def _try_all(
        self,
        name: bytes,
        shown: str,
        origins: Sequence[Origin],
        attempt: Callable[[Origin], Awaitable[str]],
    ) -> None:
        problem: EdgeError = NotFound("no origin of it is known", where=shown)
        asked = b" ".join((name, *(each.address.encode("utf-8", "surrogateescape") for each in origins)))
        self._absences.check(asked, self._clock.tick_s(), shown)
        for origin in origins:
            try:
                profile = await attempt(origin)
            except StoreFull:
                raise
            except (EdgeError, OSError) as error:
                failure = error if isinstance(error, EdgeError) else Unreachable(str(error), where=shown)
                log.info("%s from %s: %s", shown, origin.address, failure.message)
                self._store.origins.failed(name, origin.address, self._clock.now_s())
                problem = _worse(problem, failure)
            else:
                now_s = self._clock.now_s()
                self._store.origins.succeeded(name, origin.address, now_s)
                if profile and profile != origin.profile and origin.added_s:
                    self._store.origins.note_soon(name, replace(origin, profile=profile))
                return
        problem = _told(problem, shown)
        if origins:
            self._absences.learn(asked, problem, self._clock.tick_s())
        raise problem

    # One origin

    async def _from(self, origin: Origin, cid: Cid) -> str:
        """Have a DAG from one origin; returns how its bytes fit."""
        base = gateway_of(origin)
        if base is not None:
            await self._dags.dag(cid, (base,))
            return ""
        if origin.kind is OriginKind.LOCAL:
            return await _pour(open_file(origin), self._sink(origin, cid))
        if origin.kind is OriginKind.FILECOIN:
            piece = Cid.parse(origin.address.partition(_PIECE)[2].partition("/")[0].partition("?")[0])
            sink = CarSink(self._store, cid, commitment_of(piece))
            return await _pour(self._streams.open(origin.address), sink)
        return await self._first(origin, lambda: self._sink(origin, cid))

    async def _blob_from(self, origin: Origin, root: bytes) -> str:
        base = gateway_of(origin)
        if base is not None:
            url = f"{base}/blake3/{root.hex()}?format=bao"
            return await _pour(self._streams.open(url, _BAO), ProofSink(self._store, root))
        if origin.kind is OriginKind.LOCAL:
            return await _pour(open_file(origin), BlobSink(self._store, root))
        return await self._first(origin, lambda: BlobSink(self._store, root))

    async def _first(self, origin: Origin, sink: Callable[[], Sink]) -> str:
        """From the first URL of an origin that gives the right bytes."""
        problem: EdgeError = NotFound("it has no URL that can be asked", where=origin.address)
        for url in self._streams.urls(origin):
            try:
                return await _pour(self._streams.open(url), sink())
            except StoreFull:
                raise
            except EdgeError as error:
                problem = _worse(problem, error)
        raise problem

    def _sink(self, origin: Origin, cid: Cid) -> Sink:
        if origin.profile == _CAR:
            return CarSink(self._store, cid)
        code, digest = multihash.split(cid.multihash)
        if cid.codec == codecs.RAW and code == multihash.BLAKE3 and len(digest) == 32:
            return BlobSink(self._store, digest)
        return Rebuild(self._store, cid, candidates(origin.profile))


def gateway_of(origin: Origin) -> str | None:
    """Base URL of a gateway that an origin is; None where it is none, or offers no HTTP."""
    if origin.kind in _GATEWAYS:
        address = origin.address
        return base_url(address) if address.startswith("/") else address.rstrip("/")
    if origin.kind is OriginKind.FILECOIN and _PIECE not in origin.address:
        return origin.address.partition("/ipfs/")[0].rstrip("/")
    return None


async def _on_thread(function: Callable[..., T], *args: object) -> T:
    """`asyncio.to_thread`, but who is cancelled waits for the thread: a sink has one at a time."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *args))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait((work,))
        raise


async def _pour(opened: Opened, sink: Sink) -> str:
    """Everything into a sink; it is given up when something breaks."""
    try:
        async with opened as pieces:
            async for data in pieces:
                await _on_thread(sink.write, data)
        return await _on_thread(sink.finish)
    except BaseException:
        await _on_thread(sink.abort)
        raise


def _worse(a: EdgeError, b: EdgeError) -> EdgeError:
    """Of two failures the one to tell: a lie before trouble, trouble before absence."""
    return max((b, a), key=_weight)


def _weight(error: EdgeError) -> int:
    if isinstance(error, (Unverified, BadRequest, TooLarge)):
        return 2
    return 0 if isinstance(error, NotFound) else 1


def _told(error: EdgeError, shown: str) -> EdgeError:
    if isinstance(error, NotFound):
        return NotFound(error.message, where=shown)
    if _weight(error) == 2:
        return Unverified(f"an origin gave something else: {error.message}", where=shown)
    if isinstance(error, Forbidden):
        return Unreachable(error.message, where=shown, hint=error.hint)
    return Unreachable(f"no origin gave it: {error.message}", where=shown)
