"""Lines of pins as Fleek Edge nodes stream them (`x/list`), looked at before they are sent on. Pure.

Nearly all lines have the form that `record.encoded` gives them, and one expression tells that of a whole
chunk: 1 us a pin, where reading and writing it again takes 8. Any other line is read whole, and refused
unless it is a pin. Repeats are possessive: no input makes the expression look twice at a byte.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from runtime.errors import Unreachable
from tools.pin.record import PinRecord, encoded, record_of

LINE_BYTES_MAX: Final = 1 << 20  # all origins and meta have about 72 KiB, escaped six times that
_RUN: Final = rb"[ !#-\[\]-~]*+"
_TEXT: Final = rb'"' + _RUN + rb'(?:\\(?:["\\bfnrt]|u[0-9a-f]{4})' + _RUN + rb')*+"'
_TEXTS: Final = rb"\[(?:%s(?:, %s)*+)?+\]" % (_TEXT, _TEXT)
_PAIR: Final = _TEXT + rb": " + _TEXT
_OBJECT: Final = rb"\{(?:%s(?:, %s)*+)?+\}" % (_PAIR, _PAIR)
_LINE: Final = (
    rb'\{"requestid": %s, "status": "(?:queued|pinning|pinned|failed)", '
    rb'"cid": %s, "name": %s, "created": %s, '
    rb'"origins": %s, "meta": %s, "delegates": %s, "info": %s\}\n'
) % (_TEXT, _TEXT, _TEXT, _TEXT, _TEXTS, _OBJECT, _TEXTS, _OBJECT)
_LINES: Final = re.compile(rb"(?:" + _LINE + rb")*+")


def whole_lines(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """The bytes of `pieces` in chunks of whole lines. Raises Unreachable: a line too long, or cut short."""
    held = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield held + piece[:end]
            held = piece[end:]
        else:
            held += piece
        if len(held) > LINE_BYTES_MAX:
            raise _strange(held, where)
    if held:
        raise _strange(held, where)


def checked(chunk: bytes, where: str) -> str:
    """Lines of JSON that are pins and hold no control characters. Raises Unreachable: one is none."""
    if _LINES.fullmatch(chunk):
        return chunk.decode("ascii")
    return "".join(f"{encoded(record)}\n" for record in records(chunk, where))


def records(chunk: bytes, where: str) -> Iterator[PinRecord]:
    """The pins of whole lines. Raises Unreachable: one is none."""
    for line in chunk.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise _strange(line, where) from None
        yield record_of({**value, "pin": value} if isinstance(value, dict) else value, where)


def last_created(chunk: bytes, where: str) -> str:
    """When the last pin of whole lines was created."""
    start = chunk.rfind(b"\n", 0, len(chunk) - 1) + 1
    return next(records(chunk[start:], where))["created"]


def _strange(line: bytes, where: str) -> Unreachable:
    return Unreachable(f"the service sent a line that is no pin: {line[:120]!r}", where=where)
