"""Rows of the index, byte by byte (docs/formats/store.md). Pure.

Every value ends in a checksum over its key and itself, so a row that was damaged, or is found
under another key, is refused and not believed. Integers in values are little-endian, in keys
big-endian (so that key order is number order).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from runtime.errors import BlobDamaged, UsageError

TABLES: Final = (
    "blobs",  # hash -> BlobRow; right behind it its roots: hash, kind, owner -> RootRow
    "owners",  # storage id -> hash of the blob or partial that owns it
    "upper",  # storage id, chunk -> nodes over segments (blockstore.upper)
    "partials",  # hash -> PartialRow
    "doomed",  # storage id -> "": content waiting to be deleted from bulk
    "damage",  # storage id, segment -> DamageRow
    "ranges",  # first storage id -> RangeRow
    "usage",  # "total", "a/" account -> TallyRow
    "meta",  # names of single numbers
    "blocks",  # multihash -> BlockRow: where the bytes of an IPFS block lie (blockstore.block_rows)
    "files",  # multihash of a UnixFS file's root -> the blob that is the whole file
    "dagroots",  # CID, kind, owner -> RootRow: why a DAG is kept
    "names",  # multihash of an IPNS name -> its newest record
    "waiting",  # multihash of a block, multihash of a file's root that lacks it -> "" (blockstore.waiting)
    "origins",  # multihash, mark of an origin -> where content came from (blockstore.origin_rows)
    "pinaccounts",  # who has pins, and what they count (pinning.accounts)
    "pins",  # account, ordinal -> a pin (pinning.rows)
    "pinids",  # created -> account and ordinal of the pin
    "pinstatus",  # account, status -> which pins, as bitmaps and counts (pinning.statuses)
    "pinterms",  # account, hash of a term -> which pins (pinning.terms)
    "pinnames",  # account, 256 ordinals -> their names as one text (pinning.names)
    "pinqueue",  # account, due, ordinal -> "": what the worker has to do (pinning.queue)
    "pinexpiry",  # expires, account, ordinal -> ""
    "pinwork",  # account, ordinal -> how far the walk is
    "pinproofs",  # request id -> what was proven last (pinning.proofs)
)
HASH_BYTES: Final = 32
NAME_BYTES_MAX: Final = 1024  # of a root's name: a path or a label, not a document
OWNER_BYTES_MAX: Final = 255  # LMDB keys end at 511 bytes
TYPE_BYTES_MAX: Final = 255  # of a content type
_CHECK_BYTES: Final = 8
_ID: Final = struct.Struct(">Q")
_BLOB: Final = struct.Struct("<BBHQQQ")
_ROOT: Final = struct.Struct("<QQQ")
_PARTIAL: Final = struct.Struct("<QQQ")
_DAMAGE: Final = struct.Struct("<QB")
_RANGE: Final = struct.Struct("<Q16s")
_TALLY: Final = struct.Struct("<QQ")
_VERSION: Final = 1


class BlobState(IntEnum):
    """Whether the bytes are here."""

    PRESENT = 1
    EVICTED = 2


class RootKind(IntEnum):
    """Why a blob is kept. The number is on the disk."""

    PIN = 1
    LEASE = 2
    ACCOUNT = 3
    BLOCK = 4  # of a blob only: a block, or a flattened file, whose bytes lie in it


@dataclass(frozen=True, slots=True)
class BlobRow:
    """What the index knows of one blob."""

    storage_id: int
    size_bytes: int
    created_ms: int
    content_type: str = ""
    state: BlobState = BlobState.PRESENT


@dataclass(frozen=True, slots=True)
class PartialRow:
    """A blob on its way in."""

    storage_id: int
    size_bytes: int
    expires_ms: int


@dataclass(frozen=True, slots=True)
class RootRow:
    """The value of a root; its kind and owner are in the key."""

    created_ms: int
    expires_ms: int  # 0 = never
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class RangeRow:
    """Storage ids one process has taken, up to `stop`, and the file that proves it lives."""

    stop: int
    token: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """How many blobs and bytes."""

    count: int
    bytes_: int


def id_key(storage_id: int) -> bytes:
    """Key of a storage id."""
    return _ID.pack(storage_id)


def id_of(key: bytes) -> int:
    """The storage id a key begins with."""
    return int(_ID.unpack_from(key)[0])


def seal(key: bytes, body: bytes) -> bytes:
    """`body` with its checksum."""
    return body + xxh3_64_intdigest(key + body).to_bytes(_CHECK_BYTES, "little")


def opened(key: bytes, value: bytes, what: str) -> bytes:
    """The body of a row, or BlobDamaged naming it."""
    body = value[:-_CHECK_BYTES]
    if len(value) < _CHECK_BYTES or seal(key, body) != value:
        raise BlobDamaged(f"a {what} row does not match its checksum", where=key[:HASH_BYTES].hex())
    return body


def blob_value(key: bytes, row: BlobRow) -> bytes:
    """Value of a row of `blobs`. UsageError when the content type is too long."""
    kind = row.content_type.encode()
    if len(kind) > TYPE_BYTES_MAX:
        raise UsageError(f"a content type has at most {TYPE_BYTES_MAX} bytes", where=row.content_type[:80])
    head = _BLOB.pack(_VERSION, row.state, len(kind), row.storage_id, row.size_bytes, row.created_ms)
    return seal(key, head + kind)


def blob_row(key: bytes, value: bytes) -> BlobRow:
    """Read a row of `blobs`."""
    body = opened(key, value, "blob")
    try:
        _, state, length, storage_id, size, created = _BLOB.unpack_from(body)
        kind = body[_BLOB.size : _BLOB.size + length].decode()
        return BlobRow(storage_id, size, created, kind, BlobState(state))
    except (struct.error, ValueError) as error:
        raise BlobDamaged("a blob row cannot be read", where=key.hex()) from error


def root_key(root: bytes, kind: RootKind, owner: str) -> bytes:
    """Key of a row of `roots`. UsageError when the owner is too long."""
    tail = owner.encode()
    if len(tail) > OWNER_BYTES_MAX:
        raise UsageError(f"a pin's or account's name has at most {OWNER_BYTES_MAX} bytes", where=owner[:80])
    return root + bytes((kind,)) + tail


def root_value(key: bytes, row: RootRow) -> bytes:
    """Value of a row of `roots`."""
    name = row.name.encode()
    if len(name) > NAME_BYTES_MAX:
        raise UsageError(f"a root's name has at most {NAME_BYTES_MAX} bytes", where=row.name[:80])
    return seal(key, _ROOT.pack(row.created_ms, row.expires_ms, row.size_bytes) + name)


def root_row(key: bytes, value: bytes) -> RootRow:
    """Read a row of `roots`."""
    body = opened(key, value, "root")
    try:
        created, expires, size = _ROOT.unpack_from(body)
        return RootRow(created, expires, size, body[_ROOT.size :].decode())
    except (struct.error, ValueError) as error:
        raise BlobDamaged("a root row cannot be read", where=key[:HASH_BYTES].hex()) from error


def partial_value(key: bytes, row: PartialRow) -> bytes:
    """Value of a row of `partials`."""
    return seal(key, _PARTIAL.pack(row.storage_id, row.size_bytes, row.expires_ms))


def partial_row(key: bytes, value: bytes) -> PartialRow:
    """Read a row of `partials`."""
    return PartialRow(*_unpacked(_PARTIAL, key, value, "partial"))


def damage_value(key: bytes, found_ms: int, cause: int) -> bytes:
    """Value of a row of `damage`."""
    return seal(key, _DAMAGE.pack(found_ms, cause))


def damage_row(key: bytes, value: bytes) -> tuple[int, int]:
    """Read a row of `damage`: (found_ms, cause)."""
    found, cause = _unpacked(_DAMAGE, key, value, "damage")
    return found, cause


def range_value(key: bytes, row: RangeRow) -> bytes:
    """Value of a row of `ranges`."""
    return seal(key, _RANGE.pack(row.stop, row.token))


def range_row(key: bytes, value: bytes) -> RangeRow:
    """Read a row of `ranges`."""
    stop, token = _unpacked(_RANGE, key, value, "range")
    return RangeRow(stop, token)


def tally_value(key: bytes, tally: Tally) -> bytes:
    """Value of a row of `usage`."""
    return seal(key, _TALLY.pack(tally.count, tally.bytes_))


def tally_row(key: bytes, value: bytes) -> Tally:
    """Read a row of `usage`."""
    return Tally(*_unpacked(_TALLY, key, value, "usage"))


def _unpacked(shape: struct.Struct, key: bytes, value: bytes, what: str) -> tuple[Any, ...]:
    try:
        return shape.unpack(opened(key, value, what))
    except struct.error as error:
        raise BlobDamaged(f"a {what} row cannot be read", where=key[:HASH_BYTES].hex()) from error
