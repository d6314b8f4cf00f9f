"""A GET or HEAD of a whole blob or byte ranges of it, as an answer. Pure: reads no byte of it.

Sources: RFC 9110 §13 (conditions), §14 (ranges), §14.6 (multipart/byteranges); RFC 8246 (immutable).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from blockstore import Blob
from content import names
from gateway.digest import repr_digest
from gateway.representation import Fields, Representation, answer
from gateway.span import BlobSpan
from net.answer import Answer, Piece
from net.http1 import Request

KIND: Final = "blob"
DEFAULT_TYPE: Final = "application/octet-stream"
PUBLIC_FOREVER: Final = "public, max-age=31536000, immutable"
PRIVATE_FOREVER: Final = "private, max-age=31536000, immutable"


def blob_fields(blob: Blob, cache_control: str) -> Fields:
    """The fields that every 200 and 206 of this blob carries, but for type and length."""
    return [
        ("ETag", f'"{names.hex(blob.root)}"'),
        ("Cache-Control", cache_control),
        ("Accept-Ranges", "bytes"),
        ("Repr-Digest", repr_digest(blob.root)),
        ("X-Content-Type-Options", "nosniff"),
        # Stored bytes are anybody's: opened as a page they get no origin, script or form (CSP sandbox)
        ("Content-Security-Policy", "sandbox"),
    ]


def answer_blob(
    blob: Blob,
    request: Request,
    cache_control: str,
    account: str | None,
    lent: Callable[[int, int], Piece] | None = None,
) -> Answer:
    """The blob, whole or in ranges, if the request's conditions hold. `lent`: makes the body's pieces."""
    shown = Representation(
        etag=f'"{names.hex(blob.root)}"',
        size_bytes=blob.size_bytes,
        content_type=blob.content_type or DEFAULT_TYPE,
        fields=blob_fields(blob, cache_control),
        items=lambda start, stop: [(lent or partial(BlobSpan, blob))(start, stop)],
        # A blob cannot contain its own BLAKE3 hash in hex, so no part can contain this boundary
        boundary=names.hex(blob.root),
        kind=KIND,
        account=account,
    )
    return answer(shown, request)
