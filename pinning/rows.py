"""Rows of pins, byte by byte (docs/formats/store.md, "Pins"), and what a wish may hold. Pure.

A pin's key is its account and its ordinal in it, so that a walk backwards is newest first. Reading a row is
the cost of every list: 3 us.
"""

import math
import struct
from dataclasses import dataclass, replace
from typing import Any, Final

from xxhash import xxh3_64_intdigest

from blockstore import records
from blockstore.origin import ADDRESS_BYTES_MAX
from content import cid as codecs
from content.cid import Cid
from pinning.pin import NAME_CHARS_MAX, ORIGINS_MAX, Pin, Progress, Status, Wish
from runtime.errors import BadRequest, BlobDamaged

ORDINALS_MAX: Final = 1 << 40  # an account's, ever: buckets are numbered by u32
META_PAIRS_MAX: Final = 1000  # of the specification
META_BYTES_MAX: Final = 32_768  # labels, not documents: each pair is found again by a row of its own
DETAILS_CHARS_MAX: Final = 1500  # what each of some origins said, and what to do
CURSOR_BYTES_MAX: Final = 65_536
ACCOUNT_BYTES_MAX: Final = 128  # with the request id it is the owner of a root: 255 bytes
TOKEN_BYTES: Final = 8
_VERSION: Final = 1
_KEY: Final = struct.Struct(">IQ")
# version, status, attempts; created ns, random part of the request id, bytes of the DAG and of its content,
# next try, expiry; lengths of CID, name, details, origins with meta
_HEAD: Final = struct.Struct("<BBHQ8sQQddBHHI")
_CHECK: Final = struct.Struct("<Q")
_LENGTH: Final = struct.Struct("<H")
_WORK: Final = struct.Struct("<QQQ")
_PLACE: Final = struct.Struct("<IQ")
_CREATED: Final = struct.Struct(">Q")
_UNKNOWN: Final = (1 << 64) - 1
_NO_NAME: Final = 0xFFFF
_ATTEMPTS_MAX: Final = 0xFFFF
_STATUSES: Final = (None, Status.QUEUED, Status.PINNING, Status.PINNED, Status.FAILED)
STATUS_NUMBERS: Final = {status: number for number, status in enumerate(_STATUSES) if status is not None}
_PINNING: Final = STATUS_NUMBERS[Status.PINNING]
_NEVER: Final = math.inf
_HEAD_BYTES: Final = _HEAD.size
_ROW_BYTES_MIN: Final = _HEAD.size + _CHECK.size
_NOTHING_DONE: Final = Progress()
_ID_CHARS: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pin lies: its account's number and its ordinal in it."""

    account: int
    ordinal: int

    @property
    def key(self) -> bytes:
        """Key of its row."""
        return _KEY.pack(self.account, self.ordinal)


def place_of(key: bytes) -> Place:
    """The place a key says."""
    account, ordinal = _KEY.unpack(key)
    return Place(account, ordinal)


# Request ids: when it was created, and a part nobody can guess


def request_id(created_ns: int, token: bytes) -> str:
    """The id of a pin, 32 hexadecimal digits."""
    return (_CREATED.pack(created_ns) + token).hex()


def created_of(request_id_: str) -> bytes | None:
    """Key of `pinids` for a request id; None when it cannot be one."""
    try:
        raw = bytes.fromhex(request_id_)
    except ValueError:
        return None
    # one pin, one spelling: fromhex takes spaces and capitals
    return raw[:8] if len(request_id_) == _ID_CHARS and raw.hex() == request_id_ else None


def created_key(created_ns: int) -> bytes:
    """Key of a row of `pinids`."""
    return _CREATED.pack(created_ns)


def place_value(key: bytes, place: Place) -> bytes:
    """Value of a row of `pinids`."""
    return records.seal(key, _PLACE.pack(place.account, place.ordinal))


def place_row(key: bytes, value: bytes) -> Place:
    """Read a row of `pinids`."""
    account, ordinal = _PLACE.unpack(records.opened(key, value, "pin id"))
    return Place(account, ordinal)


# Pins


def checked_wish(wish: Wish) -> Wish:
    """The wish, or BadRequest naming the field."""
    if wish.name is not None:
        _checked_text(wish.name, "name")
        if len(wish.name) > NAME_CHARS_MAX:
            raise BadRequest(f"a pin's name has at most {NAME_CHARS_MAX} characters", where="name")
    if len(wish.cid.raw) > codecs.MAX_BYTES:
        raise BadRequest(f"a CID has at most {codecs.MAX_BYTES} bytes", where="cid")
    if len(wish.origins) > ORIGINS_MAX:
        raise BadRequest(f"a pin has at most {ORIGINS_MAX} origins", where="origins")
    for origin in wish.origins:
        if len(_checked_text(origin, "origins")) > ADDRESS_BYTES_MAX:
            raise BadRequest(f"an origin has at most {ADDRESS_BYTES_MAX} bytes", where="origins")
    if len(wish.meta) > META_PAIRS_MAX:
        raise BadRequest(f"a pin has at most {META_PAIRS_MAX} pairs of meta", where="meta")
    size = sum(len(_checked_text(part, "meta")) for pair in wish.meta.items() for part in pair)
    if size > META_BYTES_MAX:
        raise BadRequest(f"the meta of a pin has at most {META_BYTES_MAX} bytes", where="meta")
    if wish.expires_s is not None and not (math.isfinite(wish.expires_s) and wish.expires_s > 0):
        raise BadRequest("a pin expires at seconds since the epoch", where="expires_s")
    return wish


def checked_account(account: str) -> str:
    """The account's name, or BadRequest."""
    if not 0 < len(_checked_text(account, "account")) <= ACCOUNT_BYTES_MAX:
        raise BadRequest(f"an account's name has 1 to {ACCOUNT_BYTES_MAX} bytes", where="account")
    return account


def _checked_text(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadRequest("this text is not Unicode: it has half a character in it", where=where) from None


def pin_value(key: bytes, pin: Pin) -> bytes:
    """Value of a row of `pins`."""
    wish = pin.wish
    name = b"" if wish.name is None else wish.name.encode()
    details = pin.details[:DETAILS_CHARS_MAX].encode(errors="replace")
    more = _packed_more(wish)
    head = _HEAD.pack(
        _VERSION,
        STATUS_NUMBERS[pin.status],
        min(pin.attempts, _ATTEMPTS_MAX),
        pin.created_ns,
        bytes.fromhex(pin.request_id)[8:],
        _UNKNOWN if pin.dag_bytes is None else pin.dag_bytes,
        _UNKNOWN if pin.raw_bytes is None else pin.raw_bytes,
        pin.next_try_s,
        math.inf if wish.expires_s is None else wish.expires_s,
        len(wish.cid.raw),
        _NO_NAME if wish.name is None else len(name),
        len(details),
        len(more),
    )
    return records.seal(key, head + wish.cid.raw + name + details + more)


class _OpenWish:
    """`Wish` while it is being read: a frozen class pays 90 ns for each field it is made with."""

    __slots__ = Wish.__slots__


class _OpenPin:
    """`Pin` while it is being read."""

    __slots__ = Pin.__slots__


def pin_row(account: str, key: bytes, value: bytes) -> Pin:
    """Read a row of `pins`; how far the walk is comes from another one. Raises BlobDamaged.

    The inner loop of every list: 2 us, where making the frozen values by their names takes 2 more.
    """
    if len(value) < _ROW_BYTES_MIN or xxh3_64_intdigest(key + value[:-8]) != _CHECK.unpack(value[-8:])[0]:
        raise BlobDamaged("a pin row does not match its checksum", where=key.hex())
    wish: Any = _OpenWish()
    pin: Any = _OpenPin()
    (
        _, status, pin.attempts, created_ns, token, dag, raw, pin.next_try_s, expires_s,
        cid_size, name_size, details_size, more_size,
    ) = _HEAD.unpack_from(value)  # fmt: skip
    end = _HEAD_BYTES + cid_size
    wish.cid = Cid.from_bytes(value[_HEAD_BYTES:end])
    if name_size == _NO_NAME:
        wish.name = None
    else:
        wish.name = value[end : end + name_size].decode()
        end += name_size
    if details_size:
        pin.details = value[end : end + details_size].decode()
        end += details_size
    else:
        pin.details = ""
    if more_size:
        wish.origins, wish.meta = _read_more(value, end)
    else:
        wish.origins, wish.meta = (), {}
    wish.expires_s = None if expires_s == _NEVER else expires_s
    wish.__class__ = Wish
    pin.request_id = (value[11:3:-1] + token).hex()  # `request_id`: created stands there little-endian
    pin.account = account
    pin.created_ns = created_ns
    pin.status = _STATUSES[status]
    pin.wish = wish
    pin.dag_bytes = None if dag == _UNKNOWN else dag
    pin.raw_bytes = None if raw == _UNKNOWN else raw
    pin.progress = _NOTHING_DONE
    pin.__class__ = Pin
    return pin  # type: ignore[no-any-return]


def is_open(value: bytes) -> bool:
    """Whether a pin is queued or pinning, from its row; the row is not checked."""
    return value[1] <= _PINNING


def created_ns_of(value: bytes) -> int:
    """When a pin was created, from its row; the row is not checked."""
    return int(_CHECK.unpack_from(value, 4)[0])


def _packed_more(wish: Wish) -> bytes:
    if not wish.origins and not wish.meta:
        return b""
    parts = [bytes((len(wish.origins),)), _LENGTH.pack(len(wish.meta))]
    for text in (*wish.origins, *(part for pair in wish.meta.items() for part in pair)):
        data = text.encode()
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def _read_more(value: bytes, at: int) -> tuple[tuple[str, ...], dict[str, str]]:
    origin_count, pair_count = value[at], _LENGTH.unpack_from(value, at + 1)[0]
    at += 3
    texts = []
    for _ in range(origin_count + 2 * pair_count):
        end = at + 2 + _LENGTH.unpack_from(value, at)[0]
        texts.append(value[at + 2 : end].decode())
        at = end
    pairs = texts[origin_count:]
    return tuple(texts[:origin_count]), dict(zip(pairs[::2], pairs[1::2], strict=True))


# How far a walk is


def work_value(key: bytes, progress: Progress, cursor: bytes) -> bytes:
    """Value of a row of `pinwork`. Raises BadRequest when the cursor is too long."""
    if len(cursor) > CURSOR_BYTES_MAX:
        raise BadRequest(f"a walk's cursor has at most {CURSOR_BYTES_MAX} bytes", where="cursor")
    return records.seal(key, _WORK.pack(progress.blocks, progress.bytes_, progress.wanted) + cursor)


def work_row(key: bytes, value: bytes) -> tuple[Progress, bytes]:
    """Read a row of `pinwork`: how far, and the cursor."""
    body = records.opened(key, value, "pin work")
    return Progress(*_WORK.unpack_from(body)), body[_WORK.size :]


def with_progress(pin: Pin, value: bytes | None, key: bytes) -> Pin:
    """The pin with what its row of `pinwork` says; a row that cannot be read says nothing."""
    if value is None:
        return pin
    try:
        return replace(pin, progress=work_row(key, value)[0])
    except BlobDamaged:
        return pin


def may_have_work(value: bytes) -> bool:
    """Whether a row of `pinwork` is worth looking for, from a pin's row: fetched now, or tried before."""
    return value[1] == _PINNING or (value[1] < _PINNING and value[2:4] != b"\0\0")
