"""Addresses of blobs on other servers: `http(s)://HOST…/blake3/<hash>`, and the proofs asked of them.

Pure text. Whatever stands before `/blake3/` is kept (a path prefix behind a proxy); a query is
replaced, since the form asked for is always a proof.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from content import names
from runtime.errors import BadRequest, UsageError

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
