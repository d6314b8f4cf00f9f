"""A GET or HEAD of a whole blob or byte ranges of it, as an answer. Pure: reads no byte of it.

Sources: RFC 9110 §13 (conditions), §14 (ranges), §14.6 (multipart/byteranges); RFC 8246 (immutable).
"""

from collections.abc import Iterator
from typing import Final

from blockstore import Blob
from content import names
from content.ranges import Span, Unsatisfiable, parse_range
from gateway.conditional import Verdict, evaluate_read, range_applies
from gateway.digest import repr_digest
from gateway.refusal import unsatisfiable
from gateway.span import BlobSpan
from net.answer import Answer, Piece
from net.http1 import Request

KIND: Final = "blob"
DEFAULT_TYPE: Final = "application/octet-stream"
PUBLIC_FOREVER: Final = "public, max-age=31536000, immutable"
PRIVATE_FOREVER: Final = "private, max-age=31536000, immutable"

Fields = list[tuple[str, str]]


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


def answer_blob(blob: Blob, request: Request, cache_control: str, account: str | None) -> Answer:
    """Conditions first, then ranges, then the whole (RFC 9110 §13.2.2)."""
    etag = f'"{names.hex(blob.root)}"'
    fields = blob_fields(blob, cache_control)
    verdict = evaluate_read(etag, request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, account)
    range_field = request.fields.get("range")
    if range_field is not None and range_applies(etag, request.fields.get("if-range")):
        # RFC 9110 §14.2: Range is defined for GET alone; a HEAD answers as the GET without it
        spans = parse_range(range_field, blob.size_bytes) if request.method == "GET" else None
        if isinstance(spans, Unsatisfiable):
            return unsatisfiable(blob.size_bytes, account)
        if spans is not None:
            return _partial(blob, spans, fields, account)
    fields.append(("Content-Type", blob.content_type or DEFAULT_TYPE))
    return Answer(
        status=200,
        fields=fields,
        body=[BlobSpan(blob, 0, blob.size_bytes)] if blob.size_bytes else b"",
        length=blob.size_bytes,
        kind=KIND,
        account=account,
    )


def bodiless(verdict: Verdict, fields: Fields, account: str | None) -> Answer:
    """304 or 412. A 304 repeats ETag and Cache-Control only (RFC 9110 §15.4.5)."""
    kept = [(name, value) for name, value in fields if name in ("ETag", "Cache-Control")]
    length = None if verdict is Verdict.NOT_MODIFIED else 0
    return Answer(status=verdict.value, fields=kept, body=None, length=length, kind="other", account=account)


def _partial(blob: Blob, spans: list[Span], fields: Fields, account: str | None) -> Answer:
    content_type = blob.content_type or DEFAULT_TYPE
    if len(spans) == 1:
        start, stop = spans[0]
        fields.append(("Content-Range", _content_range(start, stop, blob.size_bytes)))
        fields.append(("Content-Type", content_type))
        body: list[Piece | bytes] = [BlobSpan(blob, start, stop)]
        return Answer(status=206, fields=fields, body=body, length=stop - start, kind=KIND, account=account)
    # A blob cannot contain its own BLAKE3 hash in hex, so no part can contain this boundary
    boundary = names.hex(blob.root)
    fields.append(("Content-Type", f"multipart/byteranges; boundary={boundary}"))
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Range: {_content_range(start, stop, blob.size_bytes)}\r\n\r\n".encode()
        for start, stop in spans
    ]
    tail = f"\r\n--{boundary}--\r\n".encode()
    length = sum(map(len, heads)) + sum(stop - start for start, stop in spans) + len(tail)
    return Answer(
        status=206,
        fields=fields,
        body=_parts(blob, spans, heads, tail),
        length=length,
        kind=KIND,
        account=account,
    )


def _parts(blob: Blob, spans: list[Span], heads: list[bytes], tail: bytes) -> Iterator[bytes | Piece]:
    for head, (start, stop) in zip(heads, spans, strict=True):
        yield head
        yield BlobSpan(blob, start, stop)
    yield tail


def _content_range(start: int, stop: int, size_bytes: int) -> str:
    return f"bytes {start}-{stop - 1}/{size_bytes}"
