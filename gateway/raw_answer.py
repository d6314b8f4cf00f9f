"""A block as it is, under a CID: `application/vnd.ipld.raw` (trustless gateway specification)."""

from collections.abc import Callable
from typing import Final

from content.cid import Cid
from gateway.content_fields import content_fields, located, named
from gateway.content_request import ContentRequest, Reading, Target
from gateway.mended import block_span
from gateway.representation import Representation, answer
from net.answer import Answer, Piece

KIND: Final = "block"
MEDIA_TYPE: Final = "application/vnd.ipld.raw"


def raw_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """The terminal block. Raises BlockMissing."""
    cid = target.resolved.terminal
    etag = f'"{cid.text()}.raw"'
    fields = content_fields(asked, target, etag)
    fields += [
        named(asked, "attachment", f"{cid.text()}.bin"),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "bytes"),
        *located(asked),
    ]
    size, items = block_items(cid, reading)
    shown = Representation(etag, size, MEDIA_TYPE, fields, items, cid.text("f"), KIND, asked.account)
    return answer(shown, asked.request)


def block_items(cid: Cid, reading: Reading) -> tuple[int, Callable[[int, int], list[bytes | Piece]]]:
    """(length of a block, its bytes of any span, lent where they lie). Raises BlockMissing."""
    found = reading.slice(cid)
    if found is None or found.prefix or found.suffix:
        data = reading.read(cid)
        return len(data), lambda start, stop: [data[start:stop]]
    size = found.size_bytes
    return size, lambda start, stop: [block_span(cid, reading, start, stop)] if stop > start else []
