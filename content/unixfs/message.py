"""The UnixFS message in the data field of a dag-pb node.

    message Data { required DataType Type = 1; optional bytes Data = 2; optional uint64 filesize = 3;
      repeated uint64 blocksizes = 4; optional uint64 hashType = 5; optional uint64 fanout = 6;
      optional uint32 mode = 7; optional UnixTime mtime = 8; }
    message UnixTime { required int64 Seconds = 1; optional fixed32 FractionalNanoseconds = 2; }

Source: the UnixFS specification. Block sizes are written unpacked, and read packed too, as proto2 readers
must. Fields that are not known here are passed over (the specification reserves them for later versions).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from content import varint
from content.dag_pb import Opened, refused
from runtime.errors import BadRequest

_WHAT: Final = "not a UnixFS node: "


class Kind(IntEnum):
    """What a node is."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


_KINDS: Final[dict[int | None, Kind]] = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Mtime:
    """When a file was last changed: seconds since the epoch, and nanoseconds where they are known."""

    seconds: int
    nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A UnixFS message."""

    kind: Kind
    data: bytes | None = None
    file_bytes: int | None = None
    block_bytes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None
    mode: int | None = None
    mtime: Mtime | None = None


def read(opened: Opened) -> tuple[Message, int]:
    """(message, where its `data` begins in the block) of a dag-pb node. Raises BadRequest."""
    try:
        number, span, file_bytes, block_bytes, hash_type, fanout, mode, mtime = opened.native.unixfs()
    except ValueError as error:
        raise refused(_WHAT, error) from None
    kind = _KINDS.get(number)
    if kind is None:
        raise BadRequest(_WHAT + ("it has no type" if number is None else f"type {number} is not known"))
    start, stop = span or (0, 0)
    return (
        Message(
            kind,
            None if span is None else opened.block[start:stop],
            file_bytes,
            block_bytes,
            hash_type,
            fanout,
            mode,
            None if mtime is None else Mtime(*mtime),
        ),
        start,
    )


def encode(message: Message) -> bytes:
    """The bytes of a message, fields in the order of their numbers, as kubo writes them."""
    out = bytearray(b"\x08")
    out.append(message.kind)
    if message.data is not None:
        out += b"\x12" + varint.encode(len(message.data)) + message.data
    if message.file_bytes is not None:
        out += b"\x18" + varint.encode(message.file_bytes)
    for size in message.block_bytes:
        out += b"\x20" + varint.encode(size)
    for key, value in ((0x28, message.hash_type), (0x30, message.fanout), (0x38, message.mode)):
        if value is not None:
            out.append(key)
            out += varint.encode(value)
    if message.mtime is not None:
        body = b"\x08" + _encode_int64(message.mtime.seconds)
        if message.mtime.nanos:
            body += b"\x15" + message.mtime.nanos.to_bytes(4, "little")
        out += b"\x42" + varint.encode(len(body)) + body
    return bytes(out)


def _encode_int64(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
