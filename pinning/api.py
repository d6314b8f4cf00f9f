"""`/pinning/v1`: the IPFS Pinning Service API 1.0.0 over a `PinBook`.

Source: the API's OpenAPI document, version 1.0.0; what clients rely on beyond it is in docs/pinning-api.md.

Invariants
 1. The book makes lists and changes in threads, never on the loop; no snapshot outlives such a call. One pin
    is read at once: 15 us, less than a thread costs, and it waits for nobody's list. Extras have a thread of
    their own.
 2. Every answer is JSON of the API's schemas, errors too; a token's account sees its own pins only.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from content.cid import Cid
from net.answer import Answer
from net.app import BodyReader
from net.bearer import Caller, TokenBook, caller, require
from net.http1 import Request
from net.refusal import Refused
from pinning import api_query
from pinning.api_json import delegates_json, page_json, pin_json
from pinning.api_list import list_answer
from pinning.pin import Page, Pin, Status
from pinning.ports import PinBook
from runtime.clock import Clock
from runtime.errors import Blocked, Busy, EdgeError, Forbidden, Kind, MethodNotAllowed, NotFound, TooLarge

log = logging.getLogger("fleek.pinning")

BASE: Final = "/pinning/v1"
PINS: Final = "/pinning/v1/pins"
KIND: Final = "pin"
_ONE: Final = f"{PINS}/"
_EXTRA: Final = f"{BASE}/x/"  # what the specification does not have
LIST: Final = f"{_EXTRA}list"
_ID_CHARS_MAX: Final = 128
DENIED: Final = "kept, and not served: the operator's denylist names it"
# Pages are made of Python: more threads than these would only take turns with the loop that serves content
_READERS: Final = 2
# Extras read content and may take a second: lists must not wait for them
_EXTRA_READERS: Final = 1
# These wait for a commit, which serves all that wait at once
_WRITERS: Final = 32
# Calls a worker holds, most of which wait for a thread; each is small, and more would only wait longer
_PENDING_MAX: Final = 512
_READ: Final = "GET, HEAD, OPTIONS"
_READ_ADD: Final = "GET, HEAD, POST, OPTIONS"
_ALL: Final = "GET, HEAD, POST, DELETE, OPTIONS"
_FIELDS: Final = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Access-Control-Allow-Origin", "*"),
)
_PREFLIGHT: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", _ALL),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Requested-With"),
    ("Access-Control-Max-Age", "86400"),
)
# Kinds whose status or reason the specification names otherwise than our table does
_STATUSES: Final = {
    Kind.QUOTA: 409,  # "InsufficientFunds": the account does not cover it
    Kind.BLOCKED: 403,  # 410 would say that /pins is gone
}
_REASONS: Final = {
    Kind.USAGE: "BAD_REQUEST",
    Kind.UNAUTHENTICATED: "UNAUTHORIZED",
    Kind.QUOTA: "INSUFFICIENT_FUNDS",
    Kind.INTERNAL: "INTERNAL_SERVER_ERROR",
    Kind.DAMAGED: "INTERNAL_SERVER_ERROR",
    Kind.NEWER_FORMAT: "INTERNAL_SERVER_ERROR",
}
_T = TypeVar("_T")
Extra: TypeAlias = Callable[[Caller, str], Answer]
"""What answers a GET of `x/NAME/REST` to who may list: called in a thread with (caller, REST as sent)."""


class Deny(Protocol):
    """The operator's denylist."""

    def check(self, cid: Cid) -> None:
        """Raise Blocked when a rule names this content."""
        ...


class PinApi:
    """`net.app.App` under BASE."""

    def __init__(
        self,
        book: PinBook,
        tokens: TokenBook,
        deny: Deny,
        delegates: Callable[[Request], tuple[str, ...]],
        clock: Clock,
        extras: Mapping[str, Extra],
    ) -> None:
        """`delegates(request)`: 1 to 20 multiaddrs with a peer id, where this node takes content.

        `extras`: by name, what is answered under `/pinning/v1/x/`.
        """
        self._book = book
        self._tokens = tokens
        self._deny = deny
        self._delegates = delegates
        self._clock = clock
        self._extras = extras
        self._readers = ThreadPoolExecutor(_READERS, "pin-read")
        self._extra_readers = ThreadPoolExecutor(_EXTRA_READERS, "pin-extra")
        self._writers = ThreadPoolExecutor(_WRITERS, "pin-write")
        self._pending = 0

    def close(self) -> None:
        """Wait for the calls in progress and end the threads."""
        self._readers.shutdown()
        self._extra_readers.shutdown()
        self._writers.shutdown()

    def shares(self, host: str, accept: str) -> bool:
        """Nothing here is memoised."""
        return False

    def hit(self, target: bytes) -> None:
        """Nothing here is memoised."""

    def decide(self, request: Request) -> Answer | None:
        """Preflights, and what is no endpoint; the rest asks the book."""
        allowed = self._allowed(request.path)
        if allowed is None:
            hint = f"the endpoints are {PINS} and {PINS}/<requestid>"
            return refusal(NotFound("no such endpoint", where=request.path[:80], hint=hint))
        if request.method == "OPTIONS":
            return Answer(204, [*_PREFLIGHT], kind=KIND)
        if request.method not in allowed.split(", "):
            answer = refusal(MethodNotAllowed(f"{request.method[:16]} is not done here", hint=allowed))
            answer.fields.append(("Allow", allowed))
            return answer
        return None

    def _allowed(self, path: str) -> str | None:
        """The methods of an endpoint; None where there is none."""
        if path == PINS:
            return _READ_ADD
        if path.startswith(_ONE):
            return None if "/" in path[len(_ONE) :] else _ALL
        if path == LIST:
            return _READ
        if path.startswith(_EXTRA) and path[len(_EXTRA) :].partition("/")[0] in self._extras:
            return _READ
        return None

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """The answer of an endpoint, refusals included."""
        account = None
        try:
            known = caller(request, self._tokens)
            account = known.account if known is not None else None
            answer = await self._answer(request, known, body)
        except EdgeError as error:
            answer = refusal(error)
        except Exception:  # a bug: its client is owed the API's schema as well
            log.exception("a pin request failed by a bug")
            answer = refusal(EdgeError("internal fault", hint="the node's log has more"))
        answer.account = account
        return answer

    async def _answer(self, request: Request, known: Caller | None, body: BodyReader) -> Answer:
        if request.path == LIST:
            return self._streamed(request, _lister(known).account)
        if request.path.startswith(_EXTRA):
            name, _, rest = request.path[len(_EXTRA) :].partition("/")
            lister, extra = _lister(known), self._extras[name]
            return await self._in_thread(self._extra_readers, lambda: _open(extra(lister, rest)))
        request_id = _request_id(request.path)
        if request.method in ("GET", "HEAD"):
            account = _lister(known).account
            if request_id is None:
                return await self._listed(request, account)
            return self._told(request, 200, self._noted(self._book.get(account, request_id)))
        owner = require(known, "pin")
        if request.method == "DELETE":
            assert request_id is not None, "decide lets no other through"
            await self._in_thread(self._writers, lambda: self._book.remove(owner.account, request_id))
            return Answer(202, [*_FIELDS], b"", kind=KIND)
        wish = api_query.wish(await _read(request, body), self._clock.now_s())
        self._deny.check(wish.cid)
        account, quota_bytes, book = owner.account, owner.quota_bytes, self._book
        if request_id is None:
            pin = await self._in_thread(
                self._writers, lambda: book.add(account, wish, quota_bytes=quota_bytes)
            )
        else:
            pin = await self._in_thread(
                self._writers, lambda: book.replace(account, request_id, wish, quota_bytes=quota_bytes)
            )
        return self._told(request, 202, pin)

    async def _listed(self, request: Request, account: str) -> Answer:
        asked = api_query.listing(request.query)
        delegates = delegates_json(self._delegates(request))

        def make() -> bytes:
            page = self._book.page(account, asked.wanted, asked.limit)
            return page_json(Page(page.count, tuple(map(self._noted, page.pins))), delegates)

        return _json(200, await self._in_thread(self._readers, make))

    def _streamed(self, request: Request, account: str) -> Answer:
        """The pins of a filter without a page's bounds, and so without `limit`."""
        wanted = api_query.listing(request.query).wanted
        delegates = json.dumps(self._delegates(request))
        pins = map(self._noted, self._book.stream(account, wanted))
        answer = list_answer(pins, delegates, self._readers)
        answer.fields += _FIELDS
        answer.kind = KIND
        return answer

    def _noted(self, pin: Pin) -> Pin:
        """The pin; one that was denied after it was pinned says that its content is not served."""
        if pin.status is not Status.PINNED:
            return pin
        try:
            self._deny.check(pin.wish.cid)
        except EdgeError as error:
            return replace(pin, details=DENIED if isinstance(error, Blocked) else pin.details)
        return pin

    def _told(self, request: Request, status: int, pin: Pin) -> Answer:
        return _json(status, pin_json(pin, delegates_json(self._delegates(request))).encode("ascii"))

    async def _in_thread(self, pool: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
        if self._pending >= _PENDING_MAX:
            raise Busy("this node has as many pin requests as it may hold", hint="ask again in a moment")
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call)
        finally:
            self._pending -= 1


def refusal(error: EdgeError) -> Answer:
    """`error` as a Failure of the API: a reason for programs, details for people."""
    if isinstance(error, Refused):
        status, reason = error.status, error.reason
    else:
        status = _STATUSES.get(error.kind, error.outcome.http_status)
        reason = _REASONS.get(error.kind, error.kind.value.upper())
    details = f"{error.where}: {error.message}" if error.where else error.message
    if error.hint:
        details += f" ({error.hint})"
    answer = _json(status, json.dumps({"error": {"reason": reason, "details": details}}).encode())
    answer.kind = "error"
    if status == 401:
        answer.fields.append(("WWW-Authenticate", 'Bearer realm="fleek-edge"'))
    if error.outcome.may_retry:
        answer.fields.append(("Retry-After", "5"))
    return answer


def _open(answer: Answer) -> Answer:
    """An answer of an extra, readable by other origins like all of ours."""
    answer.fields = [*answer.fields, ("Access-Control-Allow-Origin", "*")]
    return answer


def _json(status: int, body: bytes) -> Answer:
    return Answer(status, [("Content-Type", "application/json"), *_FIELDS], body, kind=KIND)


def _lister(known: Caller | None) -> Caller:
    """Whoever may write pins may list them; `read` is enough for that."""
    try:
        return require(known, "pin")
    except Forbidden:
        return require(known, "read")


def _request_id(path: str) -> str | None:
    """The id in a path, None for the collection. Raises NotFound for what can be none."""
    if path == PINS:
        return None
    request_id = unquote(path[len(_ONE) :])
    if not 0 < len(request_id) <= _ID_CHARS_MAX or not request_id.isascii() or not request_id.isprintable():
        raise NotFound("no pin has this request id", where="requestid")
    return request_id


async def _read(request: Request, body: BodyReader) -> bytes:
    """The whole body, bounded. Raises TooLarge, Refused."""
    media_type = (request.fields.get("content-type") or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(415, "a pin is sent as JSON", where="Content-Type", hint="application/json")
    taken = bytearray()
    async for piece in body:
        taken += piece
        if len(taken) > api_query.BODY_BYTES_MAX:
            raise TooLarge(f"the body is longer than {api_query.BODY_BYTES_MAX} bytes", where="body")
    return bytes(taken)
