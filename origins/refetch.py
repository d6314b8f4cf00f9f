"""Brings content back from where it came: every kind of origin, one after the other, until one gave it.

Theory of operation. The record of origins (`blockstore.origin_book`) says where content under a name was
had, or is said to be. What is a gateway (also another node, and Filecoin's `/ipfs/`) is asked for the DAG; a
URL or an Arweave transaction gives bytes, from which the DAG is built again, or that are a CAR or a TAR
(`taking`); a Filecoin piece is a CAR; a file or folder of this machine is read as it was added (`local`).
Nothing is believed: bytes count only when what was built from them has the name (`rebuild`, `sinks`). How
each try ended goes on record.

Invariants
 1. Nothing enters the store that did not match its name.
 2. Every address is dialled through the guard, whoever named it, and networks that the operator allows only
    where the operator named it. Files are read only where the operator named them.
 3. One fetch of a name from the same places at a time over all processes, not too many at once, for one
    account, or from what one named, fewer. It ends when nobody waits for it any more.
 4. What a place may send is bounded before it is asked: bytes are on the disk before they are verified.
 5. What was cut off an address because it may be a secret is used to dial, and never logged or kept.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Final, Protocol
from weakref import WeakValueDictionary

from blockstore import Store
from blockstore.adding.recipe import CAR
from blockstore.origin import OPERATOR, Origin, OriginKind
from blockstore.origin_book import blob_name
from content import cid as codecs
from content.cid import Cid
from content.commp import commitment_of
from origins.absences import Absences
from origins.byte_stream import BYTES_MAX, ByteStreams, open_file
from origins.failure import told, worse
from origins.fills import OneFetch
from origins.local import from_disk
from origins.places import PIECE, Fit, Place, gateway_of, parted, place_named, search_name
from origins.said import Said
from origins.sinks import BlobSink, CarSink, ProofSink, Sink
from origins.steps import step
from origins.taking import blake3_of, most_from, pour, sink_for
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

_BAO: Final = "application/vnd.fleek.bao"
# Of the turns there are, so that no account's slow places hold up all others
_TURNS_OF_ACCOUNT: Final = 2


class Dags(Protocol):
    """Gateways; `origins.dag_fetch.DagFetch` is one."""

    async def dag(self, cid: Cid, also: Sequence[str] = ()) -> None:
        """Have a block, and of what is below it all or a part, also from gateways with these base URLs."""
        ...


class Refetch:
    """The way back."""

    def __init__(
        self,
        store: Store,
        streams: ByteStreams,
        dags: Dags,
        once: OneFetch,
        clock: Clock,
        trust: Callable[[str], None],
        said: Said,
    ) -> None:
        """`trust`: told of gateways that the operator named, before they are asked. `said`: what gateways say
        is noted there by `dags`, the rest here.
        """
        self._store, self._streams, self._dags, self._once = store, streams, dags, once
        self._clock, self._trust, self._said = clock, trust, said
        self._absences = Absences()
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def fetch(
        self,
        cid: Cid,
        origins: Sequence[str] = (),
        *,
        account: str = OPERATOR,
        most_bytes: int | None = None,
        wanted: Cid | None = None,
    ) -> None:
        """Bring a DAG here, verified, from `origins` (addresses) or from where it came before.

        From a gateway a part of it may come, from a file or folder of this machine what is needed for the
        block `wanted` where that is given, from all others all of it. `account`: for whom, and who named
        `origins`; `most_bytes`: for how much there is room. Ends when it is cancelled, unless others wait for
        the same. Raises NotFound (nobody is known who has it), Unverified (only lies came, or too much),
        Unreachable, StoreFull.
        """
        problem: EdgeError | None = None
        for whose, places in parted(self._of(cid, origins, account), account):
            parts = wanted if any(each.origin.kind is OriginKind.LOCAL for each in places) else None
            try:
                await self._fetch_in_turn(cid, places, whose, most_bytes, parts)
                return
            except (NotFound, Unreachable, Unverified, SourceTimeout) as error:
                problem = error if problem is None else worse(problem, error)
        assert problem is not None, "there is a part, be it empty"
        raise problem

    async def _fetch_in_turn(
        self, cid: Cid, places: Sequence[Place], account: str, most_bytes: int | None, wanted: Cid | None
    ) -> None:
        part = b"" if wanted is None else wanted.multihash
        asked = search_name(
            cid.multihash, part, cid.codec.to_bytes(8), str(most_bytes).encode(), places=places
        )
        await self._once.awaited(
            asked,
            lambda: False,
            lambda: self._fetch(cid, places, asked, most_bytes, wanted),
            self._turn_of(account),
        )

    async def blob(self, root: bytes) -> None:
        """Bring a blob back whole, by its hash or as the file it is. Raises as `fetch`."""
        name = blob_name(root)
        whose = next((each.account for each in self._recorded(name)), OPERATOR)
        await self._once.awaited(
            b"blob " + root,
            lambda: self.is_whole(root),
            lambda: self._fetch_blob(root, name),
            self._turn_of(whose),
        )

    def said(self, addresses: Sequence[str], names: Sequence[bytes]) -> list[tuple[str, str]]:
        """Why places did not give what they were asked for, see `Said.of`."""
        return self._said.of(addresses, names)

    def knows(self, name: bytes) -> bool:
        """Whether an origin is on record from which content of this name may be had. 5 us and more."""
        return bool(self._recorded(name))

    def is_on_disk(self, name: bytes) -> bool:
        """Whether one of those origins is a file or a folder of this machine."""
        return any(each.kind is OriginKind.LOCAL for each in self._recorded(name))

    def is_whole(self, root: bytes) -> bool:
        """Whether all of a blob is here, as far as is known."""
        try:
            return not self._store.blob(root).damaged_segments
        except (NotFound, BlobDamaged):
            return False

    # One name

    def _turn_of(self, account: str) -> AbstractAsyncContextManager[None]:
        """What is held while something is fetched for an account, or for a reader from places it named.

        Nothing for what the operator named.
        """
        if account == OPERATOR:
            return nullcontext()
        return self._turns.setdefault(account, asyncio.Semaphore(_TURNS_OF_ACCOUNT))

    def _recorded(self, name: bytes) -> list[Origin]:
        """Origins on record that can be fetched from, best first: no uploads, files only of the operator."""
        return [
            each
            for each in self._store.origins.of(name)
            if each.kind is not OriginKind.UPLOAD
            and (each.kind is not OriginKind.LOCAL or each.account == OPERATOR)
        ]

    def _of(self, cid: Cid, declared: Sequence[str], account: str) -> list[Place]:
        """Places to try, best first: those on record, then what is only declared."""
        found: dict[str, Place] = {}
        for each in self._recorded(cid.multihash):
            kept = found.setdefault(each.address, Place(each, each.address))
            if each.account == OPERATOR:
                found[each.address] = Place(replace(kept.origin, account=OPERATOR), each.address)
        for text in declared:
            with suppress(BadRequest):
                place = place_named(text, account)
                origin = place.origin
                if origin.is_cut:  # on record without its secret, which is needed to fetch it now
                    known = found.pop(origin.address, None)
                    if known is not None:
                        origin = replace(known.origin, account=account)
                    found[origin.address] = Place(origin, text)
                else:
                    found.setdefault(origin.address, place)
        return list(found.values())

    async def _fetch(
        self,
        cid: Cid,
        places: Sequence[Place],
        asked: bytes,
        most_bytes: int | None = None,
        wanted: Cid | None = None,
    ) -> None:
        def attempt(origin: Origin) -> Awaitable[Fit | None]:
            return self._from(origin, cid, most_bytes, wanted)

        await self._try_all(cid.multihash, cid.text(), places, asked, attempt)

    async def _fetch_blob(self, root: bytes, name: bytes) -> None:
        try:
            places = [Place(each, each.address) for each in self._recorded(name)]
            asked = search_name(b"blob", name, places=places)
            await self._try_all(name, root.hex(), places, asked, lambda each: self._blob_from(each, root))
            return
        except (NotFound, Unreachable, Unverified) as error:
            failure: EdgeError = error
        for cid in await step(self._cids_of, root):
            with suppress(NotFound, Unreachable, Unverified, SourceTimeout):
                places = self._of(cid, (), OPERATOR)
                asked = search_name(cid.multihash, cid.codec.to_bytes(8), places=places)
                await self._fetch(cid, places, asked)
                if self.is_whole(root):
                    return
        raise failure

    def _cids_of(self, root: bytes) -> list[Cid]:
        """What a blob may be the whole of: a file by its root, or one raw block."""
        names = self._store.dag.whole_names(root)
        return [
            Cid.v1(codec, each) for each in names for codec in (codecs.DAG_PB, codecs.RAW) if self.knows(each)
        ]

    async def _try_all(
        self,
        name: bytes,
        shown: str,
        places: Sequence[Place],
        asked: bytes,
        attempt: Callable[[Origin], Awaitable[Fit | None]],
    ) -> None:
        problem: EdgeError = NotFound("no origin of it is known", where=shown)
        self._absences.check(asked, self._clock.tick_s(), shown)
        for place in places:
            failure = await self._try(name, shown, place, attempt)
            if failure is None:
                return
            problem = worse(problem, failure)
        problem = told(problem, shown)
        if places:
            self._absences.learn(asked, problem, self._clock.tick_s())
        raise problem

    async def _try(
        self, name: bytes, shown: str, place: Place, attempt: Callable[[Origin], Awaitable[Fit | None]]
    ) -> EdgeError | None:
        """What kept one place from giving it; how it ended is on record and said. Raises StoreFull."""
        origin = place.origin
        self._say(place, name, "it was not done in the time there was")  # holds when this is cancelled
        try:
            fit = await attempt(place.dialled)
        except StoreFull:
            raise
        except (EdgeError, OSError) as error:
            failure = error if isinstance(error, EdgeError) else Unreachable(str(error), where=shown)
            log.info("%s from %s: %s", shown, origin.address, failure.message)
            self._say(place, name, failure.message)
            self._store.origins.failed(name, origin.address, self._clock.now_s())
            return failure
        if fit is None:
            return None
        now_s = self._clock.now_s()
        self._said.gave(place.address, name)
        self._store.origins.succeeded(name, origin.address, now_s)
        size_bytes = origin.size_bytes if fit.size_bytes is None else fit.size_bytes
        known = replace(
            origin,
            profile=fit.profile or origin.profile,
            sub_path=fit.sub_path or origin.sub_path,
            size_bytes=size_bytes,
        )
        if known != origin and origin.added_s:
            self._store.origins.note_soon(name, known)
        return None

    def _say(self, place: Place, name: bytes, why: str) -> None:
        if gateway_of(place.dialled) is None:  # what a gateway said is noted where it is asked
            self._said.note(place.address, name, why)

    # One origin

    async def _from(self, origin: Origin, cid: Cid, most_bytes: int | None, wanted: Cid | None) -> Fit | None:
        """Have a DAG from one origin; returns how its bytes fit. None: asked beside others, of whom `dags`
        puts on record who gave it.
        """
        base = gateway_of(origin)
        if base is not None:
            if origin.account == OPERATOR:
                self._trust(base)
            await self._dags.dag(cid, (base,))
            return None
        if origin.kind is OriginKind.LOCAL and (origin.profile == CAR or blake3_of(cid) is not None):
            return await pour(open_file(origin), sink_for(self._store, origin, cid, None, threading.Event()))
        if origin.kind is OriginKind.LOCAL:
            return await from_disk(self._store, self._clock, origin, cid, wanted)
        if origin.kind is OriginKind.FILECOIN:
            piece = Cid.parse(origin.address.partition(PIECE)[2].partition("/")[0].partition("?")[0])
            sink = CarSink(self._store, cid, commitment_of(piece), most_bytes)
            return await pour(
                self._streams.open(origin.address, most_from(origin), is_trusted=origin.account == OPERATOR),
                sink,
            )
        # a CAR may have more than the DAG, of which alone is kept what is verified
        stream_bytes = None if origin.profile == CAR else most_bytes
        stop = threading.Event()
        return await self._first(
            origin,
            lambda: sink_for(self._store, origin, cid, most_bytes, stop),
            most_from(origin, stream_bytes),
            stop,
        )

    async def _blob_from(self, origin: Origin, root: bytes) -> Fit:
        base = gateway_of(origin)
        if base is not None:
            url = f"{base}/blake3/{root.hex()}?format=bao"
            return await pour(
                self._streams.open(url, BYTES_MAX, _BAO, is_trusted=origin.account == OPERATOR),
                ProofSink(self._store, root),
            )
        if origin.kind is OriginKind.LOCAL:
            return await pour(open_file(origin), BlobSink(self._store, root))
        return await self._first(origin, lambda: BlobSink(self._store, root), most_from(origin))

    async def _first(
        self,
        origin: Origin,
        sink: Callable[[], Sink],
        most_bytes: int,
        stop: threading.Event | None = None,
    ) -> Fit:
        """From the first URL of an origin that gives the right bytes."""
        problem: EdgeError = NotFound("it has no URL that can be asked")
        is_trusted = origin.account == OPERATOR or origin.kind is OriginKind.ARWEAVE  # of the settings
        for url in self._streams.urls(origin):
            try:
                opened = self._streams.open(url, most_bytes, is_trusted=is_trusted)
                return await pour(opened, sink(), stop)
            except StoreFull:
                raise
            except EdgeError as error:
                problem = worse(problem, error)
        raise problem
