"""`PUT /blake3/<hash>` and `POST /blake3/`: a body streamed into the store.

Memory is bounded by the ingest's queue: a body is read no faster than its segments are taken by
the writer. Nothing becomes visible before the whole body was hashed, matched what was promised
(the name, a digest field) and was made durable; the answer comes after that.
"""

import asyncio
import json
import re
from typing import Any, Final

from blockstore import Blob, Ingest, Put, Root, Store
from blockstore.origin import Origin, OriginKind
from blockstore.origin_book import blob_name
from content import names
from gateway.conditional import Verdict, evaluate
from gateway.digest import UploadDigests
from net.answer import Answer
from net.app import BodyReader
from net.bearer import Caller, require
from net.http1 import Request
from runtime.errors import (
    BadRequest,
    BlobDamaged,
    EdgeError,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    Unverified,
)

# type "/" subtype *( ";" parameter ), RFC 9110 §8.3.1, bounded; quoted parameter values excluded CR/LF
_MEDIA_TYPE: Final = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?:[ \t]*;[ -~]{1,128})?"
)
# What form posts and curl --data-binary put there without anybody having meant it
_NOT_STORED: Final = ("application/x-www-form-urlencoded", "application/octet-stream")


async def put_blob(
    store: Store, request: Request, root: bytes, principal: Caller | None, body: BodyReader
) -> Answer:
    """201 when stored, 200 when it was there, 422 (Unverified) when the bytes do not match."""
    caller = require(principal, "put")
    digests = _checked_fields(request, root)
    blob = _whole_blob(store, root)
    _check_conditions(request, root, is_here=blob is not None)
    if blob is None:
        return _stored(await _ingest(store, request, caller, body, digests, expected=root), caller)
    if not request.expect_continue:  # a client that asked first is spared sending what is here already
        await _compare(blob, body, digests)
    held_by = Root.account(caller.account)
    store.origins.note_soon(blob_name(root), _came_from(store, request, caller, blob.size_bytes))
    await asyncio.to_thread(store.add_root, root, held_by, quota_bytes=caller.quota_bytes)
    return _stored(Put(root=root, size_bytes=blob.size_bytes, already=True), caller)


async def post_blob(store: Store, request: Request, principal: Caller | None, body: BodyReader) -> Answer:
    """Store a body under whatever hash it has."""
    caller = require(principal, "put")
    digests = _checked_fields(request, None)
    return _stored(await _ingest(store, request, caller, body, digests, expected=None), caller, located=True)


def _checked_fields(request: Request, expected: bytes | None) -> UploadDigests:
    """The digests that a request announces. Raises Unverified, BadRequest for what is no whole plain body."""
    digests = UploadDigests(request.fields.get("content-digest"), request.fields.get("repr-digest"))
    if expected is not None and digests.blake3 not in (None, expected):
        raise Unverified("the digest field names another hash than the address", where=names.hex(expected))
    if request.fields.get("content-encoding") is not None:
        raise BadRequest(
            "an encoded body is not decoded here", where="Content-Encoding", hint="send it plain"
        )
    if request.fields.get("content-range") is not None:  # RFC 9110 §14.5
        raise BadRequest("a part is not stored by itself", where="Content-Range", hint="send the whole")
    return digests


def _check_conditions(request: Request, root: bytes, *, is_here: bool) -> None:
    """Raise PreconditionFailed where If-Match or If-None-Match does not hold (RFC 9110 §13.1)."""
    if_match, if_none_match = request.fields.get("if-match"), request.fields.get("if-none-match")
    if is_here:
        verdict = evaluate(
            f'"{names.hex(root)}"', if_match=if_match, if_none_match=if_none_match, is_read=False
        )
    else:
        verdict = Verdict.PERFORM if if_match is None else Verdict.PRECONDITION_FAILED
    if verdict is not Verdict.PERFORM:
        why = "it is here already" if is_here and if_match is None else "what it asks for is not here"
        raise PreconditionFailed(f"the condition of the request does not hold: {why}", where=names.hex(root))


def _whole_blob(store: Store, root: bytes) -> Blob | None:
    """The stored blob, None when it is not here or known to be damaged: a PUT then heals it."""
    try:
        blob = store.blob(root)
    except (NotFound, BlobDamaged):
        return None
    return None if blob.damaged_segments else blob


async def _compare(blob: Blob, body: BodyReader, digests: UploadDigests) -> None:
    """Check a body against the stored bytes, which is cheaper than hashing and writes nothing."""
    position = 0
    async for data in body:
        stop = position + len(data)
        if stop > blob.size_bytes or blob.read(position, stop) != data:
            raise Unverified("the bytes are not those of this name", where=names.hex(blob.root))
        digests.update(data)
        position = stop
    if position != blob.size_bytes:
        raise Unverified("the body ends before the blob does", where=names.hex(blob.root))
    digests.check()


async def _ingest(
    store: Store,
    request: Request,
    caller: Caller,
    body: BodyReader,
    digests: UploadDigests,
    *,
    expected: bytes | None,
) -> Put:
    content_type = stored_type(request.fields.get("content-type"))
    used_bytes = 0 if caller.quota_bytes is None else store.account_bytes(caller.account)
    _check_quota(caller, used_bytes, request.content_length or 0)
    ingest = store.ingest(expected=expected or digests.blake3, size_hint=request.content_length)
    try:
        if not ingest.has_id:  # the first upload of a process, and every 65,536th: one commit
            await asyncio.to_thread(ingest.take_id)
        async for data in body:
            _check_quota(caller, used_bytes, ingest.size_bytes + len(data))
            digests.update(data)
            if not ingest.has_room:
                await _room(ingest)
            ingest.write(data, wait=False)
        digests.check()
        origin = _came_from(store, request, caller, ingest.size_bytes)
        return await _finish(store, ingest, caller, content_type, origin)
    except BaseException:
        ingest.abort()
        raise


def _check_quota(caller: Caller, used_bytes: int, body_bytes: int) -> None:
    """Refuse what is too much, by its length or by what has come of it, before more of it is read."""
    if caller.quota_bytes is not None and used_bytes + body_bytes > caller.quota_bytes:
        raise QuotaExceeded(
            f"{used_bytes} of {caller.quota_bytes} bytes are used and the body has {body_bytes} or more",
            where=f"account {caller.account}",
            hint="remove something, or ask the operator for a larger quota",
        )


async def _room(ingest: Ingest) -> None:
    """Wait until the writer has taken enough that another segment may queue."""
    loop = asyncio.get_running_loop()
    room: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        loop.call_soon_threadsafe(_settle, room, None)

    ingest.ready(wake)
    await room


def _came_from(store: Store, request: Request, caller: Caller, size_bytes: int) -> Origin:
    now_s = store.backing.clock.now_s()
    address = f"{request.method} {request.path}"
    return Origin(OriginKind.UPLOAD, address, caller.account, now_s, size_bytes, now_s, now_s)


async def _finish(
    store: Store, ingest: Ingest, caller: Caller, content_type: str | None, origin: Origin
) -> Put:
    loop = asyncio.get_running_loop()
    landed: asyncio.Future[Put] = loop.create_future()

    def done(outcome: Put | EdgeError) -> None:
        loop.call_soon_threadsafe(_settle, landed, outcome)

    ingest.finish_soon(
        done,
        root=Root.account(caller.account),
        content_type=content_type,
        quota_bytes=caller.quota_bytes,
        also=store.origins.noting(origin),
    )
    return await landed


def _settle(future: "asyncio.Future[Any]", outcome: object) -> None:
    if future.done():
        return  # the request was cancelled while the writer worked
    if isinstance(outcome, EdgeError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def stored_type(field: str | None) -> str | None:
    """The media type to keep with the blob, None for the default. Raises BadRequest when malformed."""
    if field is None:
        return None
    text = field.strip()
    if _MEDIA_TYPE.fullmatch(text) is None:
        raise BadRequest("malformed Content-Type", where=text[:64])
    return None if text.partition(";")[0].strip().lower() in _NOT_STORED else text


def _stored(put: Put, caller: Caller, *, located: bool = False) -> Answer:
    name = names.hex(put.root)
    text = json.dumps({"blake3": name, "cid": names.cid(put.root), "size_bytes": put.size_bytes}) + "\n"
    fields = [("Content-Type", "application/json"), ("ETag", f'"{name}"')]
    if located:
        fields.append(("Location", f"/blake3/{name}"))
    body = text.encode()
    return Answer(
        status=200 if put.already and not located else 201,
        fields=fields,
        body=body,
        length=len(body),
        kind="upload",
        account=caller.account,
    )
