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
from runtime.errors import BadRequest

_NANOS_MAX: Final = 999_999_999
# A node of 2 MiB has room for 2^20 links of nothing; real ones have at most 1024
_SIZES_MAX: Final = 1 << 20


class Kind(IntEnum):
    """What a node is."""

    RAW = 0
    DIRECTORY = 1
    FILE = 2
    METADATA = 3
    SYMLINK = 4
    HAMT_SHARD = 5


@dataclass(frozen=True, slots=True)
class Mtime:
    """When a file was last changed: seconds since the epoch, and nanoseconds where they are known."""

    seconds: int
    nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A UnixFS message. `data_at`: where `data` begins in the bytes it was read from."""

    kind: Kind
    data: bytes | None = None
    file_bytes: int | None = None
    block_bytes: tuple[int, ...] = ()
    hash_type: int | None = None
    fanout: int | None = None
    mode: int | None = None
    mtime: Mtime | None = None
    data_at: int = 0


def decode(raw: bytes) -> Message:
    """Read a message. Raises BadRequest."""
    fields: dict[int, int] = {}
    data: bytes | None = None
    data_at = 0
    sizes: list[int] = []
    mtime: Mtime | None = None
    at = 0
    while at < len(raw):
        key, at = varint.decode(raw, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _int64(raw, at)
            if field == 4:
                sizes.append(value)
            else:
                fields[field] = value
        elif wire == 2:
            start, at = _stretch(raw, at)
            if field == 2:
                data, data_at = raw[start:at], start
            elif field == 4:
                sizes += _packed(raw, start, at)
            elif field == 8:
                mtime = _mtime(raw[start:at])
        elif wire in (1, 5):
            at = _skip(raw, at, 8 if wire == 1 else 4)
        else:
            raise _broken(f"wire type {wire}")
        if len(sizes) > _SIZES_MAX:
            raise _broken(f"more than {_SIZES_MAX} block sizes")
    try:
        kind = Kind(fields[1])
    except KeyError:
        raise _broken("it has no type") from None
    except ValueError:
        raise _broken(f"type {fields[1]} is not known") from None
    return Message(
        kind=kind,
        data=data,
        file_bytes=fields.get(3),
        block_bytes=tuple(sizes),
        hash_type=fields.get(5),
        fanout=fields.get(6),
        mode=fields.get(7),
        mtime=mtime,
        data_at=data_at,
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


def _mtime(raw: bytes) -> Mtime:
    seconds: int | None = None
    nanos: int | None = None
    at = 0
    while at < len(raw):
        key, at = varint.decode(raw, at)
        if key == 0x08:
            seconds, at = _int64(raw, at)
            seconds -= (seconds >> 63) << 64
        elif key == 0x15:
            end = _skip(raw, at, 4)
            nanos, at = int.from_bytes(raw[at:end], "little"), end
        else:
            raise _broken("its time has an unknown field")
    if seconds is None:
        raise _broken("its time has no seconds")
    if nanos is not None and nanos > _NANOS_MAX:
        raise _broken("its time has more nanoseconds than a second")
    return Mtime(seconds, nanos)


def _int64(raw: bytes, at: int) -> tuple[int, int]:
    """A protobuf varint: up to ten bytes, 64 bits; negative numbers take all of them."""
    number = shift = 0
    for index in range(at, min(at + 10, len(raw))):
        number |= (raw[index] & 0x7F) << shift
        if raw[index] < 0x80:
            if number >> 64:
                break
            return number, index + 1
        shift += 7
    raise _broken("a number is cut short or too long")


def _encode_int64(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _packed(raw: bytes, at: int, end: int) -> list[int]:
    sizes = []
    while at < end:
        size, at = _int64(raw, at)
        sizes.append(size)
    if at != end:
        raise _broken("packed block sizes are cut short")
    return sizes


def _stretch(raw: bytes, at: int) -> tuple[int, int]:
    length, start = varint.decode(raw, at)
    if length > len(raw) - start:
        raise _broken("a field is cut short")
    return start, start + length


def _skip(raw: bytes, at: int, count: int) -> int:
    if at + count > len(raw):
        raise _broken("a field is cut short")
    return at + count


def _broken(what: str) -> BadRequest:
    return BadRequest(f"not a UnixFS node: {what}")
