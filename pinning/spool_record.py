"""What is kept of a resumable upload beside its bytes: who sends it, and how far it is. Pure.

A position is written into one of two slots in turn, each with a checksum, so that a crash in the middle of a
write leaves the one before. docs/formats/upload.md has them byte by byte.
"""

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from pinning.arrival import Sender
from runtime.errors import BlobDamaged

HEADER_BYTES: Final = 4096  # of the spool file; the slots lie in its first sector pair, the content behind it
SLOT_BYTES: Final = 512  # a sector: written whole or not at all
_SLOT: Final = struct.Struct("<8sQQQQ")
_MAGIC: Final = b"fleekup1"
RECORD_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Position:
    """How far an upload is.

    `offset`: its bytes that are durable. `at`: where in them the next section of the CAR begins.
    """

    count: int = 0
    offset: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """An upload. `result`: what became of it, as answers tell it; None while it is under way.

    `form`: "car" or "tar". `profile`: of a TAR, the import profile. Times are epoch seconds.
    """

    form: str
    length_bytes: int
    created_s: float
    sender: Sender
    profile: str = ""
    metadata: str = ""
    result: dict[str, Any] | None = None


def pack_position(position: Position) -> bytes:
    """The slot of a position."""
    body = _SLOT.pack(_MAGIC, position.count, position.offset, position.at, 0)[:-8]
    return body + xxh3_64_intdigest(body).to_bytes(8, "little")


def newest(header: bytes) -> Position:
    """The position that counts. Raises BlobDamaged when neither slot can be read."""
    found = [slot for start in (0, SLOT_BYTES) if (slot := _read(header[start : start + _SLOT.size]))]
    if not found:
        raise BlobDamaged("how far an upload has come cannot be read", hint="cancel it and begin again")
    return max(found, key=lambda position: position.count)


def _read(slot: bytes) -> Position | None:
    if len(slot) < _SLOT.size:
        return None
    magic, count, offset, at, check = _SLOT.unpack(slot)
    if magic != _MAGIC or check != xxh3_64_intdigest(slot[:-8]) or at > offset:
        return None
    return Position(count, offset, at)


def pack_record(record: Record) -> bytes:
    """The record's file: JSON, because people look at it when something is stuck."""
    return json.dumps(asdict(record)).encode()


def read_record(data: bytes, where: str) -> Record:
    """Read a record's file. Raises BlobDamaged."""
    try:
        fields = json.loads(data)
        whose = fields.pop("sender")
        whose["meta"] = tuple((str(key), str(value)) for key, value in whose["meta"])
        return Record(sender=Sender(**whose), **fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BlobDamaged("the record of an upload cannot be read", where=where) from None
