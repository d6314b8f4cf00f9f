"""`DATA/format`: the first bytes of a store say what wrote it and what a reader must understand.

    8   magic "FLEEKST1"                       16  store id, random
    4   u32 LE format version                  8   u64 LE created, ms since the epoch
    4   u32 LE zero                            8   u64 LE XXH3-64 of all before
    8   u64 LE features a reader must know
    8   u64 LE features a reader may ignore

A higher version or an unknown must-know feature is NewerFormat (exit 8): nothing is touched.
"""

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest

from durable import locked_folder, replace_file_durably, translated, write_file_durably
from runtime.errors import BlobDamaged, NewerFormat, UsageError

MAGIC: Final = b"FLEEKST1"
VERSION: Final = 1
FEATURE_BLOCKS: Final = 1  # blobs may be held by blocks: who does not know would let them go
FEATURE_EXTENTS: Final = 2  # content may lie in extents: who does not know would find it missing
FEATURE_PACKS: Final = 4  # and in packs
KNOWN_FEATURES: Final = FEATURE_BLOCKS | FEATURE_EXTENTS | FEATURE_PACKS
_BODY: Final = struct.Struct("<8sIIQQ16sQ")
_CHECK: Final = struct.Struct("<Q")
FORMAT_BYTES: Final = _BODY.size + _CHECK.size


@dataclass(frozen=True, slots=True)
class Format:
    """What the format file says."""

    version: int
    needed_features: int
    other_features: int
    store_id: bytes
    created_ms: int


def pack(fmt: Format) -> bytes:
    """The bytes of the file."""
    body = _BODY.pack(
        MAGIC, fmt.version, 0, fmt.needed_features, fmt.other_features, fmt.store_id, fmt.created_ms
    )
    return body + _CHECK.pack(xxh3_64_intdigest(body))


def unpack(data: bytes, where: str) -> Format:
    """Read the bytes of the file. Raises NewerFormat, BlobDamaged.

    Magic and version are read first: a newer format may lay out the rest as it likes.
    """
    if data[:8] != MAGIC or len(data) < 12:
        raise BlobDamaged("this is not the format file of a store", where=where, hint="check --data")
    version = int.from_bytes(data[8:12], "little")
    if version > VERSION:
        raise NewerFormat(
            f"the store has format {version}, this program understands up to {VERSION}",
            where=where,
            hint="use the version that wrote it, or a newer one",
        )
    if len(data) != FORMAT_BYTES or data[_BODY.size :] != _CHECK.pack(xxh3_64_intdigest(data[: _BODY.size])):
        raise BlobDamaged("the format file does not match its checksum", where=where)
    _, version, _, needed, other, store_id, created = _BODY.unpack_from(data)
    if needed & ~KNOWN_FEATURES:
        raise NewerFormat(
            f"the store uses features {needed & ~KNOWN_FEATURES:#x} that this program does not know",
            where=where,
            hint="use the version that wrote it, or a newer one",
        )
    return Format(version, needed, other, store_id, created)


def read_or_create(data: Path, *, create: bool, now_ms: int) -> Format:
    """The format of the store in folder `data`, made when there is none and `create` allows it.

    Raises NewerFormat, BlobDamaged, UsageError, StoreFull.
    """
    path = data / "format"
    try:
        if create:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            if (data / "index" / "data.mdb").exists():
                raise BlobDamaged("the store has content and no format file", where=os.fspath(path))
            if not create:
                raise UsageError(
                    "there is no store here", where=os.fspath(data), hint="put or serve makes one"
                )
            fresh = Format(VERSION, KNOWN_FEATURES, 0, os.urandom(16), now_ms)
            write_file_durably(path, pack(fresh))
        return unpack(path.read_bytes()[:4096], os.fspath(path))
    except OSError as error:
        raise translated(error, os.fspath(path)) from error


def add_feature(data: Path, feature: int) -> Format:
    """Say durably that readers must understand `feature` from now on; returns what the file says now.

    Raises NewerFormat, BlobDamaged, StoreFull, UsageError.
    """
    path = data / "format"
    with locked_folder(data):  # two processes that each add one must not lose the other's
        try:
            fmt = unpack(path.read_bytes()[:4096], os.fspath(path))
        except OSError as error:
            raise translated(error, os.fspath(path)) from error
        if fmt.needed_features & feature:
            return fmt
        newer = replace(fmt, needed_features=fmt.needed_features | feature)
        replace_file_durably(path, pack(newer))
        return newer
