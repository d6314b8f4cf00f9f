"""A GET or HEAD of bytes of known length, whole or in ranges. Pure: reads no byte of them.

Sources: RFC 9110 §13 (conditions), §14 (ranges), §14.6 (multipart/byteranges).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from content.ranges import Span, Unsatisfiable, parse_range
from gateway.conditional import Verdict, evaluate_read, range_applies
from gateway.refusal import unsatisfiable
from net.answer import Answer, Pause, Piece
from net.http1 import Request

_REPEATED: Final = frozenset(("ETag", "Cache-Control", "Vary", "Content-Location"))
Fields = list[tuple[str, str]]
Items = Iterable[bytes | Piece | Pause]


@dataclass(frozen=True, slots=True)
class Representation:
    """What can be sent of one resource.

    `etag`: strong, or weak for what is not byte for byte the same, with its quotes. `fields`: of every
    200 and 206, without type and length. `items(start, stop)`: the bytes of a span; called only for what
    is sent. `boundary`: of a multipart answer; must not occur in the bytes.
    """

    etag: str
    size_bytes: int
    content_type: str
    fields: Fields
    items: Callable[[int, int], Items]
    boundary: str
    kind: str
    account: str | None = None
    status: int = 200


def answer(shown: Representation, request: Request) -> Answer:
    """Conditions first, then ranges, then the whole (RFC 9110 §13.2.2)."""
    # RFC 9110 §13.2.1: conditions count only where the answer would be a 2xx without them
    verdict = evaluate_read(shown.etag, request) if shown.status == 200 else Verdict.PERFORM
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, shown.fields, shown.account)
    range_field = request.fields.get("range")
    if (
        range_field is not None
        and shown.status == 200
        and range_applies(shown.etag, request.fields.get("if-range"))
    ):
        # RFC 9110 §14.2: Range is defined for GET alone; a HEAD answers as the GET without it
        spans = parse_range(range_field, shown.size_bytes) if request.method == "GET" else None
        if isinstance(spans, Unsatisfiable):
            return unsatisfiable(shown.size_bytes, shown.account)
        if spans is not None:
            return _partial(shown, spans)
    size = shown.size_bytes
    wanted = size and request.method != "HEAD"
    return Answer(
        status=shown.status,
        fields=[*shown.fields, ("Content-Type", shown.content_type)],
        body=shown.items(0, size) if wanted else b"" if not size else None,
        length=size,
        kind=shown.kind,
        account=shown.account,
    )


def bodiless(verdict: Verdict, fields: Fields, account: str | None) -> Answer:
    """304 or 412. A 304 repeats what caches go by (RFC 9110 §15.4.5), and CORS for scripts."""
    kept = [
        (name, value) for name, value in fields if name in _REPEATED or name.startswith("Access-Control-")
    ]
    length = None if verdict is Verdict.NOT_MODIFIED else 0
    return Answer(status=verdict.value, fields=kept, body=None, length=length, kind="other", account=account)


def _partial(shown: Representation, spans: list[Span]) -> Answer:
    fields = list(shown.fields)
    if len(spans) == 1:
        start, stop = spans[0]
        fields.append(("Content-Range", _content_range(start, stop, shown.size_bytes)))
        fields.append(("Content-Type", shown.content_type))
        return Answer(
            status=206,
            fields=fields,
            body=shown.items(start, stop),
            length=stop - start,
            kind=shown.kind,
            account=shown.account,
        )
    fields.append(("Content-Type", f"multipart/byteranges; boundary={shown.boundary}"))
    heads = [
        f"\r\n--{shown.boundary}\r\nContent-Type: {shown.content_type}\r\n"
        f"Content-Range: {_content_range(start, stop, shown.size_bytes)}\r\n\r\n".encode()
        for start, stop in spans
    ]
    tail = f"\r\n--{shown.boundary}--\r\n".encode()
    length = sum(map(len, heads)) + sum(stop - start for start, stop in spans) + len(tail)
    return Answer(
        status=206,
        fields=fields,
        body=_parts(shown, spans, heads, tail),
        length=length,
        kind=shown.kind,
        account=shown.account,
    )


def _parts(
    shown: Representation, spans: list[Span], heads: list[bytes], tail: bytes
) -> Iterator[bytes | Piece | Pause]:
    for head, (start, stop) in zip(heads, spans, strict=True):
        yield head
        yield from shown.items(start, stop)
    yield tail


def _content_range(start: int, stop: int, size_bytes: int) -> str:
    return f"bytes {start}-{stop - 1}/{size_bytes}"
