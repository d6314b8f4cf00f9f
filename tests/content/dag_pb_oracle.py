"""dag-pb and the UnixFS message read slowly and plainly: what the native reader has to agree with.

In another shape than the native reader, on purpose: every value is an object as soon as it is read. Refusals
are `Refused(at)`, with the byte they name.
"""

from dataclasses import dataclass

from content import varint
from content.cid import Cid
from runtime.errors import BadRequest


class Refused(Exception):
    """The bytes break the form at byte `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(f"byte {at}")
        self.at = at


Link = tuple[bytes, str | None, int | None]


@dataclass(frozen=True)
class Node:
    """Links as (CID, name, size), and where the data lies."""

    links: tuple[Link, ...]
    data: tuple[int, int] | None


def node(block: bytes) -> Node:
    """Read a dag-pb node. Raises Refused."""
    links: list[Link] = []
    data: tuple[int, int] | None = None
    at, links_over = 0, False
    while at < len(block):
        key = block[at]
        if key not in (0x0A, 0x12):
            raise Refused(at)
        length, start = _varint(block, at + 1)
        stop = start + length
        if stop > len(block):
            raise Refused(at)
        if key == 0x12:
            if links_over:
                raise Refused(at)
            links.append(_link(block, start, stop))
        else:
            if data is not None:
                raise Refused(at)
            data = start, stop
            links_over = bool(links)
        at = stop
    return Node(tuple(links), data)


def _link(block: bytes, at: int, stop: int) -> Link:
    block = block[:stop]
    if at >= stop or block[at] != 0x0A:
        raise Refused(at)
    length, start = _varint(block, at + 1)
    if start + length > stop:
        raise Refused(at)
    at = start + length
    try:
        cid = Cid.from_bytes(block[start:at]).raw
    except BadRequest:
        raise Refused(start) from None
    name: str | None = None
    size: int | None = None
    if at < stop and block[at] == 0x12:
        length, start = _varint(block, at + 1)
        if start + length > stop:
            raise Refused(at)
        at = start + length
        name = block[start:at].decode("utf-8", "surrogateescape")
    if at < stop and block[at] == 0x18:
        size, at = _varint(block, at + 1)
    if at != stop:
        raise Refused(at)
    return cid, name, size


def _varint(block: bytes, at: int) -> tuple[int, int]:
    try:
        return varint.decode(block, at)
    except BadRequest as error:
        raise Refused(int(error.where.removeprefix("byte "))) from None


Message = tuple[
    int | None,  # kind
    tuple[int, int] | None,  # payload
    int | None,  # file_bytes
    tuple[int, ...],  # block_bytes
    int | None,  # hash_type
    int | None,  # fanout
    int | None,  # mode
    tuple[int, int | None] | None,  # mtime
]


def message(raw: bytes) -> Message:
    """Read a UnixFS message. Raises Refused, naming no particular byte."""
    numbers: dict[int, int] = {}
    payload: tuple[int, int] | None = None
    sizes: list[int] = []
    mtime: tuple[int, int | None] | None = None
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _number(raw, at)
            if field == 4:
                sizes.append(value)
            else:
                numbers[field] = value
        elif wire == 2:
            length, start = _varint(raw, at)
            at = _moved(raw, start, length)
            if field == 2:
                payload = start, at
            elif field == 4:
                while start < at:
                    size, start = _number(raw[:at], start)
                    sizes.append(size)
            elif field == 8:
                mtime = _time(raw[start:at])
        elif wire in (1, 5):
            at = _moved(raw, at, 8 if wire == 1 else 4)
        else:
            raise Refused(at)
    one = numbers.get
    return one(1), payload, one(3), tuple(sizes), one(5), one(6), one(7), mtime


def _time(raw: bytes) -> tuple[int, int | None]:
    seconds: int | None = None
    nanos: int | None = None
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        if key == 0x08:
            seconds, at = _number(raw, at)
            seconds -= seconds >> 63 << 64
        elif key == 0x15:
            start, at = at, _moved(raw, at, 4)
            nanos = int.from_bytes(raw[start:at], "little")
            if nanos >= 10**9:
                raise Refused(start)
        else:
            raise Refused(at)
    if seconds is None:
        raise Refused(at)
    return seconds, nanos


def _number(raw: bytes, at: int) -> tuple[int, int]:
    number = 0
    for index in range(10):
        if at + index >= len(raw):
            break
        number |= (raw[at + index] & 0x7F) << 7 * index
        if raw[at + index] < 0x80:
            if number >> 64:
                break
            return number, at + index + 1
    raise Refused(at)


def _moved(raw: bytes, at: int, count: int) -> int:
    if count > len(raw) - at:
        raise Refused(at)
    return at + count
