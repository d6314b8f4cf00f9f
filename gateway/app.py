"""The public listener's application: what is answered at once, what is memoised, what may wait.

Theory of operation
  `hit` is called for a plain GET and must cost a dict lookup: it returns a prebuilt header block
  and the blob to lend from, memoised under the request target together with the store's
  generation. Anything that takes content away changes the generation (runtime/board.py), so a
  stale decision is never used: it is made again from the index.
  `decide` answers every other read at once, unless something has to be fetched. `handle` takes
  uploads, which wait for their bytes, and reads of what is not here: fetch, then decide again.

Invariants
 1. A memoised hit is used only while the generation it was read under *before* the index was
    looked up still stands.
 2. A request with credentials never takes the memoised path (`net` sends those to `decide`).
 3. What a memo holds depends on the target alone: hosts and Accept fields for which it does not are not
    `shares`.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Final

from blockstore import Blob, Store
from blockstore.hot import Entry, hot_entry, hot_path
from content import names
from content.block import BlockMissing
from content.cid import Cid
from gateway import upload
from gateway.blob_answer import (
    DEFAULT_TYPE,
    KIND,
    PRIVATE_FOREVER,
    PUBLIC_FOREVER,
    answer_blob,
    blob_fields,
)
from gateway.content_app import NAMESPACES, ContentApp, is_cached_only, options_answer
from gateway.content_fields import timed
from gateway.content_hit import ContentHit, content_hit
from gateway.formats import AS_IT_IS, by_accept
from gateway.hosts import Site, split_host
from gateway.landing import landing_answer
from gateway.mended import blob_again, blob_span, mended_proof
from gateway.mutable import NameUnknown
from gateway.ports import Fetcher
from gateway.proof_answer import answer_proof, parse_query
from gateway.refusal import not_allowed, told
from gateway.routing_answer import ROUTING, Routing
from net.answer import Answer, Hit, Piece
from net.app import BodyReader, HotPath
from net.bearer import Caller, TokenBook, caller, require
from net.http1 import Request
from runtime.errors import BlobDamaged, EdgeError, NotFound, TooManyRequests

PREFIX: Final = "/blake3/"
_PREFIX_BYTES: Final = PREFIX.encode()
_IPFS_BYTES: Final = b"/ipfs/"
# An entry is about 1 KiB (header block, handle, key): 16 MiB a worker at most
MAX_HITS: Final = 16_384
_MAX_HIT_TARGET: Final = 160  # the longest form of a name worth memoising (base 10 of a CID is 100)
_MAX_CONTENT_TARGET: Final = 1024  # of a path: longer ones are rare and would fill the memo
# Blocks one request may wait for, one after the other, before its answer begins: a deep path, a
# directory of many shards
_FETCHES_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may read. Writing always needs a token. `max_misses`: see `GatewaySettings`."""

    anonymous_read: bool = True
    max_misses: int = 256


class Gateway:
    """`net.app.App` over one store."""

    def __init__(
        self, store: Store, tokens: TokenBook, rules: AccessRules, content: ContentApp, routing: Routing
    ) -> None:
        """Keep nothing but references; the memo starts empty."""
        self._store = store
        self._tokens = tokens
        self._content = content
        self._routing = routing
        self._anonymous_read = rules.anonymous_read
        self._misses_left = rules.max_misses
        self._cache_control = PUBLIC_FOREVER if rules.anonymous_read else PRIVATE_FOREVER
        self._hits: dict[bytes, tuple[int, Hit, Blob]] = {}
        self._hot: dict[bytes, Entry] = {}

    def shares(self, host: str, accept: str) -> bool:
        """See `net.app.App`: hosts that are path gateways and will stay so, clients without a preference."""
        return by_accept(accept).form in AS_IT_IS and self._content.hosts.is_plain(host)

    def hit(self, target: bytes) -> Hit | None:
        """The memoised answer to a plain GET of `target`; None sends it to `decide`."""
        known = self._hits.get(target)
        if known is not None and known[0] == self._store.board.generation():
            if target not in self._hot:
                self._make_hot(target, *known)
            return known[1]
        return self._make_hit(target)

    def forget(self) -> None:
        """Drop every memoised answer: something came that may change what is answered."""
        self._hits.clear()
        self._hot.clear()

    @property
    def has_rules(self) -> bool:
        """Whether there is a denylist, and so a need to `look_again`."""
        return not self._content.deny.is_empty

    def look_again(self) -> None:
        """Forget when content came that a rule may name. Call once a second where rules are."""
        if self._content.deny.look_again():
            self.forget()

    def hot_path(self) -> HotPath:
        """The native form of `hit`, which knows what was asked for again after it was proven."""
        return hot_path(self._store, self._hot)

    def _make_hot(self, target: bytes, generation: int, hit: Hit, blob: Blob) -> None:
        entry = hot_entry(self._store, blob, generation, hit.head, hit)
        if entry is not None:
            while len(self._hot) >= MAX_HITS:
                del self._hot[next(iter(self._hot))]
            self._hot[target] = entry

    def _make_hit(self, target: bytes) -> Hit | None:
        self._hits.pop(target, None)
        self._hot.pop(target, None)
        if not self._anonymous_read:
            return None
        generation = self._store.board.generation()
        try:
            found = self._found(target)
        except (EdgeError, UnicodeDecodeError):
            return None  # `decide` meets the same and says so
        if found is None:
            return None
        head, blob, kind = found.head, found.blob, found.kind
        hit = Hit(head, blob.size_bytes, blob.lend, kind, otherwise=found.otherwise)
        while len(self._hits) >= MAX_HITS:
            del self._hits[next(iter(self._hits))]
        self._hits[target] = (generation, hit, blob)
        return hit

    def _found(self, target: bytes) -> ContentHit | None:
        if target.startswith(_IPFS_BYTES) and len(target) <= _MAX_CONTENT_TARGET:
            return content_hit(self._content, target.decode("ascii"))
        if not target.startswith(_PREFIX_BYTES) or len(target) > _MAX_HIT_TARGET or b"?" in target:
            return None
        blob = self._store.blob(names.parse(target[len(_PREFIX_BYTES) :].decode("ascii")))
        self._content.deny.check_blob(blob.root)
        fields = blob_fields(blob, self._cache_control)
        fields.append(("Content-Type", blob.content_type or DEFAULT_TYPE))
        otherwise = None
        if self._content.fetcher is not None:
            otherwise = partial(self._lent, blob.root, 0, blob.size_bytes)
        return ContentHit.of(fields, blob, KIND, otherwise)

    def _lent(self, root: bytes, start: int, stop: int) -> Piece:
        return blob_span(self._store, self._content.fetcher, root, (start, stop))

    def decide(self, request: Request) -> Answer | None:
        """Answer a read or refusal at once; None: an upload, or something to be fetched. Raises EdgeError."""
        content = self._content
        if request.method == "CONNECT":
            return self._tunnel(request)
        if not request.target.startswith(("/", "*")) and not content.hosts.is_ours(request.host):
            raise NotFound("this node is no proxy for other hosts", where=request.host[:160])
        site = content.hosts.site(request)
        if content.fetcher is not None and content.hosts.is_unknown(site) and not is_cached_only(request):
            return None
        if site.is_isolated or (request.path[1:5] in NAMESPACES and request.path[5:6] in ("/", "")):
            return self._decide_content(request, site)
        try:
            return self._decide_own(request, site)
        except BlobMissing:
            return None

    def _tunnel(self, request: Request) -> Answer:
        if not self._content.hosts.is_ours(request.host):
            raise NotFound("this node is no proxy for other hosts", where=request.host[:160])
        return Answer(200)

    def _decide_content(self, request: Request, site: Site) -> Answer | None:
        try:
            return self._answer_content(request, site)
        except (BlockMissing, NameUnknown, BlobDamaged) as missing:
            if self._content.fetcher is None or (isinstance(missing, NameUnknown) and missing.absent):
                return told(missing, request)
            return None
        except EdgeError as error:
            return told(error, request)

    def _answer_content(self, request: Request, site: Site) -> Answer:
        if request.method == "OPTIONS":
            return options_answer()
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request, "GET, HEAD, OPTIONS")
        principal = caller(request, self._tokens)
        if not self._anonymous_read:
            require(principal, "read")
        return self._content.decide(request, site, principal.account if principal is not None else None)

    def _decide_own(self, request: Request, site: Site) -> Answer | None:
        """What is not content by CID: the start page, /blake3, /routing."""
        if request.path == "/":
            return landing_answer(request)
        if request.path == "*":
            return Answer(204, [("Allow", "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS")])
        if request.path.startswith(ROUTING):
            return self._routing.decide(request, site)
        if not request.path.startswith(PREFIX):
            hint = "try /ipfs/<cid> or /blake3/<hash>"
            raise NotFound("nothing is served here", where=request.path[:80], hint=hint)
        named = request.path != PREFIX
        if request.method == ("PUT" if named else "POST"):
            return None
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request, "GET, HEAD, PUT" if named else "POST")
        principal = caller(request, self._tokens)
        if not self._anonymous_read:
            require(principal, "read")
        root = names.parse(request.path[len(PREFIX) :])
        try:
            return self._read(request, root, principal)
        except (NotFound, BlobDamaged):
            fetcher = self._content.fetcher
            if fetcher is None or is_cached_only(request) or not fetcher.knows_blob(root):
                raise
        raise BlobMissing(root)

    def _read(self, request: Request, root: bytes, principal: Caller | None) -> Answer:
        wanted = parse_query(request.query)
        self._content.deny.check_blob(root)
        blob = self._store.blob(root)
        account = principal.account if principal is not None else None
        fetcher = self._content.fetcher
        if wanted is None:
            lent = None if fetcher is None else partial(self._lent, root)
            return answer_blob(blob, request, self._cache_control, account, lent)
        mended = mended_proof(partial(self._store.blob, root), blob_again(fetcher, root))
        return answer_proof(blob, wanted, request, self._cache_control, account, mended)

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """Take an upload, or fetch what a read needs. Raises EdgeError; nothing is kept of what fails."""
        if request.method in ("GET", "HEAD"):
            return await self._fetched(request)
        if request.path.startswith(ROUTING):
            return await self._routing.handle(request, body)
        principal = caller(request, self._tokens)
        if request.method == "PUT":
            root = names.parse(request.path[len(PREFIX) :])
            return await upload.put_blob(self._store, request, root, principal, body)
        return await upload.post_blob(self._store, request, principal, body)

    async def _fetched(self, request: Request) -> Answer:
        """The answer to a read, after what it needs was brought here."""
        if not self._misses_left:
            raise TooManyRequests("this node is fetching as much as it may", hint="ask again in a moment")
        self._misses_left -= 1
        now = asyncio.get_running_loop().time
        started_s = now()
        settled = False
        try:
            for _ in range(_FETCHES_MAX):
                try:
                    answer = await self._fetch_next(request)
                except _Again:
                    continue
                except BlobDamaged:
                    if settled or self._content.fetcher is None:
                        raise
                    settled = True  # damage that is on record counts as missing
                    await self._content.fetcher.settle()
                    continue
                answer.fields = timed(answer.fields, (now() - started_s) * 1000)
                return answer
            raise TooManyRequests(f"more than {_FETCHES_MAX} blocks lie before the answer")
        except EdgeError as error:
            if request.path.startswith(PREFIX):
                raise
            return told(error, request)
        finally:
            self._misses_left += 1

    async def _fetch_next(self, request: Request) -> Answer:
        content, fetcher = self._content, self._content.fetcher
        assert fetcher is not None, "decide sends nothing here without one"
        site = content.hosts.site(request)
        if content.hosts.is_unknown(site):
            await fetcher.dnslink(split_host(site.base)[0])
            raise _Again
        try:
            answer = self.decide_here(request, site)
        except BlockMissing as missing:
            await self._fetch_block(fetcher, missing)
        except BlobMissing as missing:
            await fetcher.blob(missing.root)
        except NameUnknown as unknown:
            if unknown.name is not None:
                await self._fetch_record(fetcher, unknown.name, kept=unknown.kept)
            elif unknown.absent:
                raise
            else:
                await fetcher.dnslink(unknown.host)
        else:
            return answer
        raise _Again

    async def _fetch_block(self, fetcher: Fetcher, missing: BlockMissing) -> None:
        try:
            fetch = fetcher.file if missing.whole else fetcher.entity if missing.entity else fetcher.block
            await fetch(missing.cid, missing.root)
        except EdgeError as error:
            found = self._content.dag.slice(missing.cid)
            if found is not None and found.is_damaged:
                raise BlobDamaged(
                    "a block is damaged here", where=missing.cid.text(), hint=error.message
                ) from None
            raise

    async def _fetch_record(self, fetcher: Fetcher, name: Cid, *, kept: bool) -> None:
        """Ask for the newest record; the one kept here goes on counting where nobody has any."""
        try:
            await fetcher.record(name)
        except EdgeError:
            if not kept:
                raise
        self._content.names.asked(name)

    def decide_here(self, request: Request, site: Site) -> Answer:
        """The answer over what is here. Raises BlockMissing, NameUnknown and every other EdgeError."""
        if site.is_isolated or request.path[1:5] in NAMESPACES:
            return self._answer_content(request, site)
        answer = self._decide_own(request, site)
        assert answer is not None, "a GET is no upload"
        return answer


class BlobMissing(NotFound):
    """A blob that is not here whole, and came from somewhere."""

    def __init__(self, root: bytes) -> None:
        super().__init__("the blob has to be fetched again", where=root.hex())
        self.root = root


class _Again(Exception):
    """Something was brought here: decide again."""
