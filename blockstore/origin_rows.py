"""Rows of the table `origins`, and which stay when a name has too many (docs/formats/store.md). Pure.

A row is one origin of one name (a multihash): its key is the name and 16 bytes that stand for who named it,
the kind and the address, so that the same origin noted twice is one row. Times only widen: the first success
never becomes later, the last never earlier, whichever process says what in whatever order.
"""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from blockstore import records
from blockstore.origin import (
    ADDRESS_BYTES_MAX,
    PER_NAME_MAX,
    PROFILE_BYTES_MAX,
    SUB_PATH_BYTES_MAX,
    Origin,
    OriginKind,
)
from blockstore.origin_address import clean
from content import multihash
from runtime.errors import BadRequest, BlobDamaged

MARK_BYTES: Final = 16
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BBBBHHHQQQQQ")
_IS_CUT: Final = 1
_HAS_SIZE: Final = 2
_MS: Final = 1000
_TIME_MAX_MS: Final = 2**63
_SIZE_MAX: Final = 2**63
_OF_DAGS: Final = frozenset((OriginKind.GATEWAY, OriginKind.PEER, OriginKind.UPLOAD))
# The number is on the disk
_KIND_NUMBERS: Final = {
    OriginKind.HTTP: 1,
    OriginKind.GATEWAY: 2,
    OriginKind.ARWEAVE: 3,
    OriginKind.FILECOIN: 4,
    OriginKind.PEER: 5,
    OriginKind.UPLOAD: 6,
    OriginKind.LOCAL: 7,
}
_KINDS: Final = {number: kind for kind, number in _KIND_NUMBERS.items()}


def row_key(name: bytes, origin: Origin) -> bytes:
    """Key of an origin's row. Others choose addresses, so its mark is of a hash without known collisions."""
    place = origin.account.encode() + bytes((0, _KIND_NUMBERS[origin.kind])) + _bytes(origin.address)
    return name + hashlib.blake2b(place, digest_size=MARK_BYTES).digest()


def name_of(key: bytes) -> bytes:
    """The name in a key."""
    return key[:-MARK_BYTES]


def cleaned(origin: Origin) -> Origin:
    """`origin` as a row may hold it: without secrets, within bounds. Raises BadRequest."""
    try:
        address, cut = clean(origin.kind, origin.address)
        if cut or address != origin.address:
            origin = replace(origin, address=address, is_cut=True)
        check(origin)
    except UnicodeEncodeError:
        raise BadRequest("a text of an origin is no Unicode") from None
    return origin


def check(origin: Origin) -> None:
    """Refuse what a row cannot hold: BadRequest, UnicodeEncodeError."""
    for text, most, what in (
        (origin.account.encode(), records.OWNER_BYTES_MAX, "account"),
        (_bytes(origin.address), ADDRESS_BYTES_MAX, "address"),
        (origin.profile.encode(), PROFILE_BYTES_MAX, "profile"),
        (_bytes(origin.sub_path), SUB_PATH_BYTES_MAX, "path"),
    ):
        if len(text) > most:
            raise BadRequest(f"the {what} of an origin has at most {most} bytes")


def row_value(key: bytes, origin: Origin) -> bytes:
    """Value of a row; `origin` was checked."""
    account, address = origin.account.encode(), _bytes(origin.address)
    profile, sub_path = origin.profile.encode(), _bytes(origin.sub_path)
    size = origin.size_bytes
    head = _HEAD.pack(
        _VERSION,
        _KIND_NUMBERS[origin.kind],
        (_IS_CUT if origin.is_cut else 0) | (_HAS_SIZE if size is not None else 0),
        len(account),
        len(address),
        len(profile),
        len(sub_path),
        min(size or 0, _SIZE_MAX),
        *(_ms(time_s) for time_s in (origin.added_s, origin.first_success_s)),
        *(_ms(time_s) for time_s in (origin.last_success_s, origin.last_failure_s)),
    )
    return records.seal(key, head + account + address + profile + sub_path)


def row(key: bytes, value: bytes) -> Origin:
    """Read a row. Raises BlobDamaged."""
    body = records.opened(key, value, "origin")
    try:
        _, kind, flags, *lengths_and_numbers = _HEAD.unpack_from(body)
        lengths, (size, *times_ms) = lengths_and_numbers[:4], lengths_and_numbers[4:]
        texts, at = [], _HEAD.size
        for length in lengths:
            texts.append(body[at : at + length].decode("utf-8", "surrogateescape"))
            at += length
        added_s, first_s, last_s, failure_s = (each / _MS for each in times_ms)
        return Origin(
            _KINDS[kind],
            texts[1],
            texts[0],
            added_s,
            size if flags & _HAS_SIZE else None,
            first_s,
            last_s,
            failure_s,
            texts[2],
            texts[3],
            bool(flags & _IS_CUT),
        )
    except (struct.error, ValueError, KeyError) as error:
        raise BlobDamaged("an origin row cannot be read", where=key.hex()[:80]) from error


def is_name(name: bytes) -> bool:
    """Whether origins are kept under it: a multihash, and not one that carries its content itself."""
    try:
        return multihash.split(name)[0] != multihash.IDENTITY
    except BadRequest:
        return False


def merged(old: Origin, new: Origin) -> Origin:
    """What is known of one origin from two records of it; of what cannot be joined the newer word counts."""
    return replace(
        old,
        added_s=_earlier(old.added_s, new.added_s),
        size_bytes=old.size_bytes if new.size_bytes is None else new.size_bytes,
        first_success_s=_earlier(old.first_success_s, new.first_success_s),
        last_success_s=max(old.last_success_s, new.last_success_s),
        last_failure_s=max(old.last_failure_s, new.last_failure_s),
        profile=new.profile or old.profile,
        sub_path=new.sub_path or old.sub_path,
        is_cut=old.is_cut or new.is_cut,
    )


def lacks_size(origin: Origin) -> bool:
    """Whether it gave a DAG, or a part of it, and the size of the DAG is not on record."""
    return origin.kind in _OF_DAGS and origin.has_worked and origin.size_bytes is None


def worth(origin: Origin) -> tuple[bool, bool, bool, float]:
    """What orders origins of a name, best last: it can be fetched from, it ever worked, it did not fail
    since; then the one that was good, or was named, most lately.
    """
    return (
        origin.kind is not OriginKind.UPLOAD and not origin.is_cut,
        origin.has_worked,
        origin.last_failure_s <= origin.last_success_s,
        max(origin.last_success_s, origin.added_s),
    )


def loser(origins: Iterable[Origin]) -> Origin | None:
    """Who makes room among the origins of a name when they are more than PER_NAME_MAX; else None.

    The worst of the account that has most of them: nobody can crowd out what another named.
    """
    known = list(origins)
    if len(known) <= PER_NAME_MAX:
        return None
    counts = Counter(each.account for each in known)
    most = max(counts.values())
    return min((each for each in known if counts[each.account] == most), key=worth)


def _bytes(text: str) -> bytes:
    """File names need not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _ms(time_s: float) -> int:
    return min(max(0, round(time_s * _MS)), _TIME_MAX_MS)


def _earlier(a_s: float, b_s: float) -> float:
    return min(a_s, b_s) if a_s and b_s else a_s or b_s
