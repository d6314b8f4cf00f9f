"""`/car`, `/tar`, `/form`: content that is sent here, pinned on arrival. A `net.app.App`.

What is asked is decided here and done in `car_body`, `tar_body` and `form_body` (one request) and
`resumable` (many).
Everything needs a token with the scope `pin`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from blockstore import Store
from blockstore.presence import SureBlocks
from net.answer import Answer, Hit
from net.app import BodyReader
from net.bearer import Caller, TokenBook, caller, require
from net.http1 import Request
from origins.steps import step
from pinning import upload_request
from pinning.arrival import Book, Note, pin_arrived
from pinning.car_body import CheckRoots, receive
from pinning.finish import Finisher, car_json, told
from pinning.form_body import import_form
from pinning.form_parts import boundary_of
from pinning.pin import Status
from pinning.resumable import PATHS, Resumable
from pinning.shares import Share, Shares
from pinning.spool import Spools
from pinning.tar_body import Import, TarReceiver, import_tar, profile_of
from pinning.upload_answer import error_answer, json_answer, options_answer
from runtime.clock import Clock
from runtime.errors import EdgeError, MethodNotAllowed, NotFound

CAR: Final = "/car"
TAR: Final = "/tar"
FORM: Final = "/form"
_METHODS: Final = dict.fromkeys((CAR, TAR, FORM, *PATHS), "POST, OPTIONS")
_ONE: Final = "GET, HEAD, PATCH, DELETE, OPTIONS"


class Uploads:
    """Everything under `/car`, `/tar` and `/form`."""

    def __init__(
        self,
        store: Store,
        book: Book,
        note: Note,
        tokens: TokenBook,
        spools: Spools,
        check_roots: CheckRoots,
        clock: Clock,
    ) -> None:
        """`check_roots` raises what refuses a root (a denylist)."""
        self._dag = store.dag
        self._tars = TarReceiver(store)
        self._book = book
        self._note = note
        self._tokens = tokens
        self._check_roots = check_roots
        self.finisher = Finisher(store, book, spools, check_roots, note)
        self._resumable = Resumable(spools, self.finisher, check_roots, self._left_bytes, clock)
        self._spools, self._shares, self._clock = spools, Shares(spools), clock

    def shares(self, host: str, accept: str) -> bool:
        """See `net.app.App`."""
        return False

    def hit(self, target: bytes) -> Hit | None:
        """See `net.app.App`: nothing here is memoised."""
        return None

    def decide(self, request: Request) -> Answer | None:
        """OPTIONS at once; everything else waits for the disk or for bytes."""
        if request.method != "OPTIONS":
            return None
        return options_answer(request, _METHODS.get(request.path, _ONE))

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """The answer; refusals are answers too, because browsers want fields of their own with them."""
        try:
            return await self._answer(request, body)
        except EdgeError as error:
            return error_answer(error, is_tus=request.path.startswith(tuple(PATHS)))

    async def _answer(self, request: Request, body: BodyReader) -> Answer:
        path, method = request.path, request.method
        base, _, identity = path.rpartition("/")
        if path not in _METHODS and base not in PATHS:
            hint = "POST /car takes a CAR, /tar a TAR, /form files; /car/uploads and /tar/uploads go on"
            raise NotFound("nothing is served here", where=path[:80], hint=hint)
        known = require(caller(request, self._tokens), "pin")
        if path == CAR and method == "POST":
            return await self._car(request, known, body)
        if path == TAR and method == "POST":
            return await self._folder(request, known, body, import_tar, "tar")
        if path == FORM and method == "POST":
            boundary = boundary_of(request.fields.get("content-type") or "")
            importing = partial(import_form, boundary=boundary)
            return await self._folder(request, known, body, importing, "form")
        upload_request.check_version(request)
        if path in PATHS and method == "POST":
            return await self._resumable.create(request, known, body)
        if path in _METHODS:
            raise MethodNotAllowed(f"{method[:16]} is not done here", where=path, hint=_METHODS[path])
        return await self._one(request, identity, known, body)

    async def _one(self, request: Request, identity: str, known: Caller, body: BodyReader) -> Answer:
        """A request about one resumable upload."""
        if request.method in ("GET", "HEAD"):
            return await self._resumable.show(request, identity, known)
        if request.method == "PATCH":
            return await self._resumable.patch(request, identity, known, body)
        if request.method == "DELETE":
            return await self._resumable.cancel(identity, known)
        raise MethodNotAllowed(f"{request.method[:16]} is not done here", where="an upload", hint=_ONE)

    async def _car(self, request: Request, known: Caller, body: BodyReader) -> Answer:
        """A CAR in one body: 201 when all of it is here and pinned, 202 when the rest is to be fetched."""
        sender = upload_request.sender(known, upload_request.parameters(request.query), self._clock.now_s())
        async with self._share(request, known) as share:
            roots, report = await receive(self._dag, body, self._check_roots, share.arrived)
            arrived = await step(
                pin_arrived,
                SureBlocks(self._dag, lambda cid: self._check_roots((cid,))),
                self._book,
                self._note,
                sender,
                roots,
            )
        whole = all(each.pin.status is Status.PINNED for each in arrived)
        return json_answer(201 if whole else 202, told(arrived, car_json(report)), known.account)

    async def _folder(
        self, request: Request, known: Caller, body: BodyReader, importing: Import, form: str
    ) -> Answer:
        """A TAR or a form in one body, pinned as one directory."""
        given = upload_request.parameters(request.query)
        sender = upload_request.sender(known, given, self._clock.now_s())
        profile = profile_of(given.get("profile"))
        async with self._share(request, known) as share:
            root, report = await self._tars.receive(body, profile, share.arrived, importing)
            self._check_roots((root,))
            arrived = await step(
                pin_arrived,
                SureBlocks(self._dag, lambda cid: self._check_roots((cid,))),
                self._book,
                self._note,
                sender,
                (root,),
                form=form,
            )
        return json_answer(201, told(arrived, report.as_json()), known.account)

    @asynccontextmanager
    async def _share(self, request: Request, known: Caller) -> AsyncIterator[Share]:
        """An upload in one request holds its part of the quota. Raises QuotaExceeded, StoreFull."""
        share = Share(self._shares, known.account, lambda: self._room_bytes(known))
        try:
            await step(share.begin, request.content_length or 0)
            yield share
        finally:
            await step(share.end)

    def _room_bytes(self, known: Caller) -> int | None:
        """What uploads in one request may still bring: what resumable ones were promised is theirs."""
        left_bytes = self._quota_left(known)
        return None if left_bytes is None else left_bytes - self._spools.promised_bytes(known.account)

    def _left_bytes(self, known: Caller) -> int | None:
        """What resumable uploads may still bring: what those in one request hold is theirs."""
        left_bytes = self._quota_left(known)
        return None if left_bytes is None else left_bytes - self._shares.of(known.account)

    def _quota_left(self, known: Caller) -> int | None:
        if known.quota_bytes is None:
            return None
        return known.quota_bytes - self._book.usage(known.account).bytes_
