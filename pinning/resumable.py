"""`/car/uploads`, `/tar/uploads`: uploads that go on where they were cut off, in the words of tus 1.0.0.

A PATCH is written to the upload's spool as it comes, each block of the CAR checked before more is taken, and
made durable every few MiB: that much, and what is on its way, is sent again after a crash; after a
broken connection nothing is. Memory: two batches a request.
"""

import asyncio
import contextlib
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from typing import Any, Final

from net.answer import Answer
from net.app import BodyReader
from net.bearer import Caller
from net.http1 import Request
from origins.steps import step
from pinning import upload_request
from pinning.car_body import CheckRoots
from pinning.finish import Finisher, refused
from pinning.pouring import pour
from pinning.receiving import CarReceiving, Receiving, TarReceiving
from pinning.spool import Spool, Spools, check_offset
from pinning.spool_record import Record
from pinning.tar_body import profile_of
from pinning.upload_answer import gone_on, json_answer, tus_answer
from runtime.clock import Clock
from runtime.errors import BadRequest, Busy, EdgeError, TooLarge

PATHS: Final = {"/car/uploads": "car", "/tar/uploads": "tar"}
"""Where an upload of which form is begun; once begun it is found under each."""
LeftBytes = Callable[[Caller], int | None]
"""What an account may still bring, resumable uploads left out; None: no limit. May block."""
_TYPE: Final = f"send Content-Type: {upload_request.OFFSET_TYPE}"


class Resumable:
    """The resumable uploads of a node."""

    def __init__(
        self,
        spools: Spools,
        finisher: Finisher,
        check_roots: CheckRoots,
        left_bytes: LeftBytes,
        clock: Clock,
    ) -> None:
        self._spools = spools
        self._finisher = finisher
        self._check_roots = check_roots
        self._left_bytes = left_bytes
        self._clock = clock
        self._finishing: set[asyncio.Task[dict[str, Any]]] = set()

    async def create(self, request: Request, caller: Caller, body: BodyReader) -> Answer:
        """POST: begin an upload; a body is its first bytes."""
        form = PATHS[request.path]
        length = upload_request.length_of(request)
        named = upload_request.metadata(request)
        given = upload_request.parameters(request.query)
        name = named.get("name") or named.get("filename")
        sender = upload_request.sender(caller, given, self._clock.now_s(), name)
        raw = request.fields.get("upload-metadata") or ""
        profile = profile_of(given.get("profile")).name if form == "tar" else ""
        record = Record(form, length, self._clock.now_s(), sender, profile, metadata=raw)
        identity = await step(self._spools.create, record, partial(self._left_bytes, caller))
        offset = 0
        if request.fields.get("content-type") == upload_request.OFFSET_TYPE:
            try:
                offset = await self._take(identity, record, 0, body)
            except BaseException:  # its address was not told: nobody could go on, or cancel it
                with contextlib.suppress(EdgeError):
                    await step(self._spools.remove, identity)
                raise
        fields = [("Location", f"{request.path}/{identity}"), *self._standing(identity, offset)]
        return tus_answer(201, fields, caller.account)

    async def patch(self, request: Request, identity: str, caller: Caller, body: BodyReader) -> Answer:
        """PATCH: the next bytes. With the last of them the upload is imported and pinned."""
        if request.fields.get("content-type") != upload_request.OFFSET_TYPE:
            raise BadRequest("bytes of an upload have a type of their own", where="Content-Type", hint=_TYPE)
        offset = upload_request.offset_of(request)
        record = await step(self._spools.record, identity, caller.account)
        if record.result is not None:
            return self._ended(record, identity, caller)
        if request.content_length is not None and offset + request.content_length > record.length_bytes:
            raise TooLarge(f"the upload was promised with {record.length_bytes} bytes", where="body")
        offset = await self._take(identity, record, offset, body)
        if offset == record.length_bytes:
            record = await step(self._spools.record, identity, caller.account)
            return self._ended(record, identity, caller)
        return tus_answer(204, self._standing(identity, offset), caller.account)

    async def show(self, request: Request, identity: str, caller: Caller) -> Answer:
        """HEAD: how far it is. GET: also what became of it, finishing what a crash left."""
        record = await step(self._spools.record, identity, caller.account)
        offset = record.length_bytes
        if record.result is None:
            offset = await step(self._spools.offset, identity)
        if record.result is None and offset == record.length_bytes and request.method == "GET":
            with contextlib.suppress(Busy):
                await self._finish(await step(self._spools.open, identity))
            record = await step(self._spools.record, identity, caller.account)
        fields = [("Upload-Length", str(record.length_bytes)), *self._standing(identity, offset)]
        if record.metadata:
            fields.append(("Upload-Metadata", record.metadata))
        state = {"offset": offset, "length": record.length_bytes, "done": record.result is not None}
        return gone_on(json_answer(200, {**state, **(record.result or {})}, caller.account), fields)

    async def cancel(self, identity: str, caller: Caller) -> Answer:
        """DELETE: forget the upload and its bytes; pins that were made stay."""
        await step(self._spools.record, identity, caller.account)
        await step(self._spools.remove, identity)
        return tus_answer(204, [], caller.account)

    async def _take(self, identity: str, record: Record, offset: int, body: BodyReader) -> int:
        """Write a body to the spool; where the upload stands then."""
        spool = await step(self._spools.open, identity)
        try:
            check_offset(spool, offset)
            await self._write(spool, record, body)
        except BaseException:
            await step(spool.close)
            raise
        if spool.received == record.length_bytes:
            await self._finish(spool)
        else:
            await step(spool.close)
        return spool.received

    async def _write(self, spool: Spool, record: Record, body: BodyReader) -> None:
        """All of a body, as far as it comes. Nothing is lost of what came; a lie ends the upload."""
        receiving = await step(self._receiving, spool, record)
        try:
            try:
                await pour(body, receiving.take)
            finally:
                await step(receiving.pause)
        except EdgeError:
            if receiving.refusal is not None:
                await step(self._spools.settle, spool, refused(receiving.refusal))
            raise

    def _receiving(self, spool: Spool, record: Record) -> Receiving:
        if record.form == "tar":
            return TarReceiving(spool, record.length_bytes)
        return CarReceiving(spool, record.length_bytes, self._check_roots)

    async def _finish(self, spool: Spool) -> None:
        """Import and pin; goes on to its end also when nobody waits any more."""

        def work() -> dict[str, Any]:
            with spool:
                return self._finisher.finish(spool)

        task = asyncio.create_task(asyncio.to_thread(work))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    def _standing(self, identity: str, offset: int) -> list[tuple[str, str]]:
        expires_s = self._clock.now_s() + self._spools.keep_s
        return [("Upload-Offset", str(offset)), ("Upload-Expires", formatdate(expires_s, usegmt=True))]

    def _ended(self, record: Record, identity: str, caller: Caller) -> Answer:
        """The answer to a PATCH of an upload that has ended: 204, or the refusal that ended it."""
        result = record.result or {}
        if "error" in result:
            return gone_on(json_answer(int(result["status"]), result, caller.account), [])
        return tus_answer(204, self._standing(identity, record.length_bytes), caller.account)
