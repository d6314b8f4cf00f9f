"""Proof forms of a blob: `?format=bao`, `bao-chunk` and `bao-outboard` (docs/formats/bao.md).

Each form and range is a representation of its own with its own strong tag; byte ranges of a
proof mean nothing, so `Range` is ignored and `Accept-Ranges: none` says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import content.bao.encode as encode
from blockstore import Blob
from content import names
from content.ranges import Span, parse_entity_bytes, parse_entity_ranges
from gateway.conditional import Verdict, evaluate_read
from gateway.representation import bodiless
from net.answer import Answer, Pause
from net.http1 import Request
from runtime.errors import BadRequest

Pieces = Callable[[Blob], Iterator[bytes]]
Mended = Callable[[Blob, Pieces], Iterator[bytes | Pause]]
KIND: Final = "proof"
MEDIA_TYPE: Final = "application/vnd.fleek.bao"
_MAX_FIELDS: Final = 16  # the forms below use two


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query asks for: a proof form, and the text of its `entity-bytes` if any."""

    format: str
    entity_bytes: str | None


def parse_query(query: str) -> Wanted | None:
    """The proof form that a query asks for, None when it asks for none. Raises BadRequest."""
    if not query:
        return None
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadRequest(f"more than {_MAX_FIELDS} query parameters", where=query[:64]) from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in ("format", "entity-bytes") and values.setdefault(name, value) != value:
            raise BadRequest(f"{name} is given twice with different values", where=query[:64])
    wanted = values.get("format")
    if wanted is None:
        if "entity-bytes" in values:
            raise BadRequest(
                "entity-bytes needs a proof form",
                where=query[:64],
                hint="add format=bao or format=bao-chunk, or send a Range field for plain bytes",
            )
        return None
    if wanted not in ("bao", "bao-chunk", "bao-outboard"):
        raise BadRequest(
            f"unknown format {wanted[:32]!r}",
            where=query[:64],
            hint="bao, bao-chunk or bao-outboard; without format the bytes themselves are served",
        )
    return Wanted(wanted, values.get("entity-bytes"))


def answer_proof(
    blob: Blob,
    wanted: Wanted,
    request: Request,
    cache_control: str,
    account: str | None,
    mended: Mended = lambda blob, pieces: pieces(blob),
) -> Answer:
    """The proof as a 200 that is encoded while it is sent, or 304/412. Raises BadRequest.

    `mended`: makes the body of what encodes it (`gateway.mended.mended_proof`).
    """
    tag, length, pieces = _encoding(blob, wanted)
    etag = f'"{names.hex(blob.root)}.{tag}"'
    fields = [
        ("ETag", etag),
        ("Cache-Control", cache_control),
        ("Accept-Ranges", "none"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    verdict = evaluate_read(etag, request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, account)
    fields.append(("Content-Type", MEDIA_TYPE))
    body = mended(blob, pieces)
    return Answer(status=200, fields=fields, body=body, length=length, kind=KIND, account=account)


def _encoding(blob: Blob, wanted: Wanted) -> tuple[str, int, Pieces]:
    """Tag of the form, its exact length, and what makes its pieces."""
    size = blob.size_bytes
    if wanted.format == "bao-outboard":
        return "bao-outboard", encode.outboard_length(size), encode.outboard_pieces
    if wanted.format == "bao":
        if wanted.entity_bytes is None:
            return "bao", encode.combined_length(size), encode.combined_pieces
        start, stop = parse_entity_bytes(wanted.entity_bytes, size)
        count = stop - start
        length = encode.slice_length(size, start, count)
        return f"bao.{start}-{stop}", length, lambda blob: encode.slice_pieces(blob, start, count)
    spans = _chunk_spans(wanted.entity_bytes, size)
    tag = "bao-chunk." + ",".join(f"{start}-{stop}" for start, stop in spans)
    return tag, encode.subgroup_length(size, spans), lambda blob: encode.subgroup_pieces(blob, spans)


def _chunk_spans(entity_bytes: str | None, size: int) -> list[Span]:
    if entity_bytes is None:
        return [(0, max(size, 1))]
    # An empty span (a start past the end) still selects a chunk: the last, which proves the end
    return [(start, max(stop, start + 1)) for start, stop in parse_entity_ranges(entity_bytes, size)]
