"""The public listener's application: what is answered at once, what is memoised, what may wait.

Theory of operation
  `hit` is called for a plain GET and must cost a dict lookup: it returns a prebuilt header block
  and the blob to lend from, memoised under the request target together with the store's
  generation. Anything that takes content away changes the generation (runtime/board.py), so a
  stale decision is never used: it is made again from the index.
  `decide` answers every other read at once. `handle` takes uploads, which wait for their bytes.

Invariants
 1. A memoised hit is used only while the generation it was read under *before* the index was
    looked up still stands.
 2. A request with credentials never takes the memoised path (`net` sends those to `decide`).
"""

from dataclasses import dataclass
from typing import Final

from blockstore import Blob, Store
from blockstore.hot import hot_entry, hot_path
from content import names
from content.bao._native import HotEntry
from gateway import upload
from gateway.access import Caller, TokenBook, caller, require
from gateway.blob_answer import (
    DEFAULT_TYPE,
    KIND,
    PRIVATE_FOREVER,
    PUBLIC_FOREVER,
    answer_blob,
    blob_fields,
)
from gateway.landing import landing_answer
from gateway.proof_answer import answer_proof, parse_query
from gateway.refusal import not_allowed
from net.answer import Answer, Hit
from net.app import BodyReader, HotPath
from net.http1 import Request
from runtime.errors import EdgeError, NotFound

PREFIX: Final = "/blake3/"
_PREFIX_BYTES: Final = PREFIX.encode()
# An entry is about 1 KiB (header block, handle, key): 16 MiB a worker at most
MAX_HITS: Final = 16_384
_MAX_HIT_TARGET: Final = 160  # the longest form of a name worth memoising (base 10 of a CID is 100)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may read. Writing always needs a token."""

    anonymous_read: bool = True


class Gateway:
    """`net.app.App` over one store."""

    def __init__(self, store: Store, tokens: TokenBook, rules: AccessRules) -> None:
        """Keep nothing but references; the memo starts empty."""
        self._store = store
        self._tokens = tokens
        self._anonymous_read = rules.anonymous_read
        self._cache_control = PUBLIC_FOREVER if rules.anonymous_read else PRIVATE_FOREVER
        self._hits: dict[bytes, tuple[int, Hit, Blob]] = {}
        self._hot: dict[bytes, HotEntry] = {}

    def shares(self, host: str) -> bool:
        """See `net.app.App`."""
        return True

    def hit(self, target: bytes) -> Hit | None:
        """The memoised answer to a plain GET of `target`; None sends it to `decide`."""
        known = self._hits.get(target)
        if known is not None and known[0] == self._store.board.generation():
            if target not in self._hot:
                self._make_hot(target, *known)
            return known[1]
        return self._make_hit(target)

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
        if not self._anonymous_read or not target.startswith(_PREFIX_BYTES):
            return None
        if len(target) > _MAX_HIT_TARGET or b"?" in target:
            return None
        generation = self._store.board.generation()
        try:
            blob = self._store.blob(names.parse(target[len(_PREFIX_BYTES) :].decode("ascii")))
        except (EdgeError, UnicodeDecodeError):
            return None  # `decide` meets the same and says so
        hit = Hit(head=self._hit_head(blob), lend=blob.lend, size_bytes=blob.size_bytes, kind=KIND)
        while len(self._hits) >= MAX_HITS:
            del self._hits[next(iter(self._hits))]
        self._hits[target] = (generation, hit, blob)
        return hit

    def _hit_head(self, blob: Blob) -> bytes:
        fields = blob_fields(blob, self._cache_control)
        fields.append(("Content-Type", blob.content_type or DEFAULT_TYPE))
        fields.append(("Content-Length", str(blob.size_bytes)))
        return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1") + b"\r\n"

    def decide(self, request: Request) -> Answer | None:
        """Answer a read or a refusal at once; None for an upload. Raises EdgeError."""
        if request.path == "/":
            return landing_answer(request)
        if not request.path.startswith(PREFIX):
            raise NotFound("nothing is served here", where=request.path[:80], hint="try /blake3/<hash>")
        named = request.path != PREFIX
        if request.method == ("PUT" if named else "POST"):
            return None
        if request.method not in ("GET", "HEAD"):
            return not_allowed(request, "GET, HEAD, PUT" if named else "POST")
        principal = caller(request, self._tokens)
        if not self._anonymous_read:
            require(principal, "read")
        return self._read(request, principal)

    def _read(self, request: Request, principal: Caller | None) -> Answer:
        root = names.parse(request.path[len(PREFIX) :])
        wanted = parse_query(request.query)
        blob = self._store.blob(root)
        account = principal.account if principal is not None else None
        if wanted is None:
            return answer_blob(blob, request, self._cache_control, account)
        return answer_proof(blob, wanted, request, self._cache_control, account)

    async def handle(self, request: Request, body: BodyReader) -> Answer:
        """Take an upload. Raises EdgeError; nothing is kept of one that fails."""
        principal = caller(request, self._tokens)
        if request.method == "PUT":
            root = names.parse(request.path[len(PREFIX) :])
            return await upload.put_blob(self._store, request, root, principal, body)
        return await upload.post_blob(self._store, request, principal, body)
