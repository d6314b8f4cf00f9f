"""Addresses of content on other servers, and the proofs asked of them. Pure text.

    http(s)://HOST…/blake3/<hash>          a blob
    http(s)://HOST…/ipfs/<cid>/PATH        a path of a trustless gateway; /ipns/<name>/PATH as well
    http(s)://<cid>.ipfs.HOST/PATH         the same on a subdomain gateway

Whatever stands before `/blake3/`, `/ipfs/`, `/ipns/` is kept (a path prefix behind a proxy); a query is
replaced, since the form asked for is always a proof.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from content import names
from content.cid import Cid
from runtime.errors import BadRequest, UsageError
from tools.edge.named import ContentPath, content_path

_MARK: Final = "/blake3/"
_TEXT_MAX: Final = 8192  # the request line that servers accept (RFC 9112 §3 recommends 8000)


@dataclass(frozen=True, slots=True)
class RemoteBlob:
    """A blob that a server is said to have."""

    base: str
    root: bytes

    def proof_url(self, start: int | None = None, stop: int | None = None) -> str:
        """The combined encoding, or with `start` the slice of bytes [start, stop); stop None = to the end."""
        url = f"{self.base}{_MARK}{names.hex(self.root)}?format=bao"
        if start is None:
            return url
        return f"{url}&entity-bytes={start}:{'*' if stop is None else stop - 1}"


def is_url(text: str) -> bool:
    """Whether `text` is meant as an address and not as a hash."""
    return "://" in text


def remote_blob(text: str) -> RemoteBlob:
    """The blob that the address `text` names. Raises UsageError; BadRequest when its hash is malformed."""
    parts = _split(text)
    before, mark, name = parts.path.rpartition(_MARK)
    if not mark:
        raise UsageError("the address names no blob", where=text[:200], hint="it must end in /blake3/<hash>")
    try:
        root = names.parse(unquote(name))
    except BadRequest as error:
        raise UsageError(error.message, where=text[:200], hint=error.hint) from None
    return RemoteBlob(f"{parts.scheme}://{parts.netloc}{before}", root)


@dataclass(frozen=True, slots=True)
class RemotePath:
    """A content path on a trustless gateway.

    `base`: what stands before `/ipfs/`; of a subdomain gateway scheme and host without `<cid>.ipfs.`.
    """

    base: str
    path: ContentPath
    by_subdomain: bool = False

    def of(self, cid: Cid) -> "RemotePath":
        """The address of a block and what is below it, at the same gateway."""
        return RemotePath(self.base, ContentPath("ipfs", cid.text(), ()), self.by_subdomain)

    def car_url(self, span: str | None = None) -> str:
        """All blocks below the path depth first, or those of bytes `span` of the file it ends in."""
        scope = "dag-scope=all" if span is None else f"dag-scope=entity&entity-bytes={span}"
        return f"{self._url(self.path.root, self.path.segments)}?format=car&{scope}&car-order=dfs&car-dups=y"

    def block_url(self, cid: Cid) -> str:
        """One block of the same gateway."""
        return f"{self._url(cid.text(), ())}?format=raw"

    def record_url(self) -> str:
        """The record of the IPNS name that the path begins with."""
        return f"{self._url(self.path.root, ())}?format=ipns-record"

    def _url(self, root: str, segments: tuple[str, ...]) -> str:
        quoted = "/".join(quote(part.encode("utf-8", "surrogateescape"), safe="") for part in segments)
        if not self.by_subdomain:
            return f"{self.base}/{self.path.namespace}/{root}{'/' if quoted else ''}{quoted}"
        scheme, _, host = self.base.partition("://")
        label = Cid.parse(root).as_v1().text() if self.path.namespace == "ipfs" else root
        return f"{scheme}://{label}.{self.path.namespace}.{host}/{quoted}"


def remote_path(text: str) -> RemotePath | None:
    """The content path that the address `text` names; None when it names none. Raises UsageError."""
    parts = _split(text)
    plain = parts.path.split("/")
    segments = [unquote(part, "utf-8", "surrogateescape") for part in plain]
    label, _, rest = parts.netloc.partition(".")
    namespace, _, host = rest.partition(".")
    if namespace in ("ipfs", "ipns") and host:
        path = _path_of(text, namespace, label, segments)
        return RemotePath(f"{parts.scheme}://{host}", path, by_subdomain=True)
    for at in range(1, len(segments) - 1):
        if segments[at] == "blake3":
            return None
        if segments[at] in ("ipfs", "ipns"):
            base = f"{parts.scheme}://{parts.netloc}{'/'.join(plain[:at])}"
            return RemotePath(base, _path_of(text, segments[at], segments[at + 1], segments[at + 2 :]))
    return None


def _path_of(text: str, namespace: str, root: str, segments: list[str]) -> ContentPath:
    try:
        checked = content_path(f"/{namespace}/{root}")
    except BadRequest as error:
        raise UsageError(error.message, where=text[:200], hint=error.hint) from None
    return ContentPath(namespace, checked.root, tuple(part for part in segments if part))


def _split(text: str) -> SplitResult:
    if len(text) > _TEXT_MAX or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("the address holds characters that no address has", where=text[:200])
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as fault:
        raise UsageError(f"malformed address: {fault}", where=text[:200]) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError("the address is not http:// or https:// with a host", where=text[:200])
    if "@" in parts.netloc:
        where = f"{parts.scheme}://…@{parts.hostname}"
        raise UsageError("a password does not belong in an address", where=where, hint="use --token-file")
    return parts
