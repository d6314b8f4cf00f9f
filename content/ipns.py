"""IPNS: names that a key signs for, and the records it signs.

    message IpnsEntry { bytes value = 1; bytes signatureV1 = 2; ValidityType validityType = 3;
      bytes validity = 4; uint64 sequence = 5; uint64 ttl = 6; bytes pubKey = 7;
      bytes signatureV2 = 8; bytes data = 9; }

Source: the IPNS record specification. What counts is `data` (dag-cbor) under `signatureV2`; where the V1
fields are there too they must say the same. A record with V1 alone is refused, as everybody does since 2023.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from content import cid as codecs
from content import dag_cbor, multibase, multihash, public_key, varint
from content.cid import Cid
from content.dag_value import Value
from runtime.errors import BadRequest, Unverified

MAX_RECORD_BYTES: Final = 10 << 10  # the specification's own limit
_SIGNED_PREFIX: Final = b"ipns-signature:"
_FIELDS: Final = {1: "value", 2: "signature_v1", 4: "validity", 7: "key", 8: "signature_v2", 9: "data"}
_NUMBERS: Final = {3: "validity_type", 5: "sequence", 6: "ttl"}
_EOL: Final = 0
_TEXT_MAX: Final = 256
_RFC3339: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,18})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER_MAX: Final = (1 << 63) - 1  # sequences and nanoseconds that every reader holds
_EXPIRES_MAX_S: Final = 253_402_300_799.0  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Record:
    """A record that its key signed. `raw`: the bytes it came as."""

    value: str  # a path: /ipfs/…, /ipns/…
    sequence: int
    ttl_s: float
    expires_s: float  # seconds since the epoch
    raw: bytes


def parse_name(text: str) -> Cid:
    """The name that `text` writes: a CID of codec libp2p-key in any base, or a bare base58 peer id.

    Raises BadRequest.
    """
    if len(text) > _TEXT_MAX:
        raise BadRequest("not an IPNS name: it is too long", where=text[:80])
    if text.startswith(("Qm", "1")):
        try:
            name = multibase.decode("z" + text)
            multihash.split(name)
        except BadRequest as error:
            raise BadRequest(f"not an IPNS name: {error.message}", where=text[:80]) from None
        return Cid.v1(codecs.LIBP2P_KEY, name)
    try:
        cid = Cid.parse(text)
    except BadRequest as error:
        hint = "names begin with k51 or 12D3; keys have names of their own, which no one else knows"
        raise BadRequest(f"not an IPNS name: {error.message}", where=text[:80], hint=hint) from None
    if cid.codec not in (codecs.LIBP2P_KEY, codecs.DAG_PB):
        raise BadRequest(
            f"not an IPNS name: its codec is {cid.codec_name}", where=text[:80], hint="libp2p-key is wanted"
        )
    return Cid.v1(codecs.LIBP2P_KEY, cid.multihash)


def name_text(name: Cid) -> str:
    """The name as it is written: base36, so that it fits a DNS label."""
    return name.text("k")


def verified(name: Cid, raw: bytes, now_s: float) -> Record:
    """The record, after its signature was checked against `name`. 0.2 ms.

    Raises Unverified (wrong, contradictory, expired, V1 only), BadRequest (not a record).
    """
    fields = _fields(raw)
    data, signature = fields.get("data"), fields.get("signature_v2")
    if not data or not signature:
        raise _refused("it has no V2 signature; V1 alone is no longer accepted", name)
    key = _key_of(name, fields.get("key"))
    if not key.verifies(bytes(signature), _SIGNED_PREFIX + bytes(data)):
        raise _refused("its signature is not the name's", name)
    signed = dag_cbor.decode(bytes(data))
    if not isinstance(signed, dict):
        raise _refused("its signed data is not a map", name)
    record = _record(signed, raw, name)
    _check_v1(fields, signed, name)
    if record.expires_s <= now_s:
        raise _refused("it is no longer valid", name)
    return record


def unchecked(name: Cid, raw: bytes) -> Record:
    """A record that was verified before, without checking it again: for its sequence and end."""
    signed = dag_cbor.decode(bytes(_fields(raw).get("data", b"")))
    if not isinstance(signed, dict):
        raise _refused("its signed data is not a map", name)
    return _record(signed, raw, name)


def newer(one: Record, other: Record) -> Record:
    """The one that counts: the higher sequence, then the longer validity (IPNS specification, §record)."""
    return max(one, other, key=lambda record: (record.sequence, record.expires_s))


def create(
    key: bytes, sign: Callable[[bytes], bytes], value: str, *, sequence: int, expires_s: float, ttl_s: float
) -> bytes:
    """A V1-compatible V2 record of `value`, signed by `sign`; `key` is the public key's protobuf.

    `sign` makes what the key's kind verifies: Ed25519; RSA PKCS #1 v1.5 with SHA-256; ECDSA with SHA-256 in
    DER (`public_key`). Raises BadRequest for numbers that no record holds, and for one that is too large.
    """
    if not (
        0 <= sequence <= _NUMBER_MAX and 0 <= ttl_s <= _NUMBER_MAX / 1e9 and 0 <= expires_s <= _EXPIRES_MAX_S
    ):
        raise BadRequest(
            "an IPNS record cannot say this",
            where=f"sequence {sequence}, lifetime to {expires_s:g}, TTL {ttl_s:g} s",
            hint="a sequence below 2^63, a TTL below 292 years, an end before the year 10000",
        )
    validity = _as_rfc3339(expires_s)
    nanos = min(int(ttl_s * 1e9), _NUMBER_MAX)
    data = dag_cbor.encode(
        {
            "Value": value.encode(),
            "Validity": validity,
            "ValidityType": _EOL,
            "Sequence": sequence,
            "TTL": nanos,
        }
    )
    parts = [
        _bytes_field(1, value.encode()),
        _bytes_field(2, sign(value.encode() + validity + b"0")),
        _number_field(3, _EOL),
        _bytes_field(4, validity),
        _number_field(5, sequence),
        _number_field(6, nanos),
    ]
    if public_key.decode(key).name[0] != multihash.IDENTITY:
        parts.append(_bytes_field(7, key))
    parts += [_bytes_field(8, sign(_SIGNED_PREFIX + data)), _bytes_field(9, data)]
    record = b"".join(parts)
    if len(record) > MAX_RECORD_BYTES:
        raise BadRequest(f"a record has at most {MAX_RECORD_BYTES} bytes", where=value[:80])
    return record


def _fields(raw: bytes) -> dict[str, bytes | int]:
    if len(raw) > MAX_RECORD_BYTES:
        raise BadRequest(f"not an IPNS record: it has more than {MAX_RECORD_BYTES} bytes")
    found: dict[str, bytes | int] = {}
    at = 0
    while at < len(raw):
        key, at = varint.decode(raw, at)
        number, at = varint.decode(raw, at)
        field, wire = key >> 3, key & 7
        if wire == 0 and field in _NUMBERS:
            found[_NUMBERS[field]] = number
        elif wire == 2:
            if number > len(raw) - at:
                raise BadRequest("not an IPNS record: a field is cut short", where=f"byte {at}")
            if field in _FIELDS:
                found[_FIELDS[field]] = raw[at : at + number]
            at += number
        elif wire != 0:
            raise BadRequest(f"not an IPNS record: wire type {wire}", where=f"byte {at}")
    return found


def _key_of(name: Cid, given: bytes | int | None) -> public_key.PublicKey:
    if name.is_identity:
        return public_key.decode(name.digest)
    if not isinstance(given, bytes):
        raise _refused("its key is neither in the name nor in the record", name)
    if not multihash.verify(name.multihash, given):
        raise _refused("the key it brings is not the name's", name)
    return public_key.decode(given)


def _record(signed: dict[str, Value], raw: bytes, name: Cid) -> Record:
    value, validity = signed.get("Value"), signed.get("Validity")
    sequence, ttl = _unsigned(signed.get("Sequence")), _unsigned(signed.get("TTL", 0))
    if (
        not (isinstance(value, bytes) and isinstance(validity, bytes))
        or sequence is None
        or ttl is None
        or _unsigned(signed.get("ValidityType")) != _EOL
    ):
        raise _refused("its signed data lacks a field or has one of another type", name)
    try:
        return Record(value.decode(), sequence, ttl / 1e9, _from_rfc3339(validity), raw)
    except (ValueError, OverflowError):  # UnicodeDecodeError among them
        raise _refused("its path or its end is no readable text", name) from None


def _unsigned(value: Value) -> int | None:
    """A number that the V1 fields could hold as well; True is none."""
    return value if type(value) is int and value >= 0 else None


def _check_v1(fields: dict[str, bytes | int], signed: dict[str, Value], name: Cid) -> None:
    if not fields.get("value") and not fields.get("signature_v1"):
        return
    pairs = {
        "value": "Value",
        "validity": "Validity",
        "validity_type": "ValidityType",
        "sequence": "Sequence",
        "ttl": "TTL",
    }
    for field, key in pairs.items():
        empty: bytes | int = b"" if field in ("value", "validity") else 0
        if fields.get(field, empty) != signed.get(key, empty):
            raise _refused(f"its V1 {field} says something else than its signed data", name)


def _as_rfc3339(moment_s: float) -> bytes:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


def _from_rfc3339(raw: bytes) -> float:
    """Seconds since the epoch. Raises ValueError, OverflowError. `fromisoformat` alone takes much more."""
    found = _RFC3339.fullmatch(raw.decode("ascii"))
    if found is None:
        raise ValueError("not a time as RFC 3339 writes it")
    whole, fraction, zone = found.groups()
    # records have nanoseconds: more digits than datetime reads
    return datetime.fromisoformat(f"{whole}{(fraction or '.')[:7].ljust(7, '0')}{zone}").timestamp()


def _bytes_field(number: int, value: bytes) -> bytes:
    return varint.encode(number << 3 | 2) + varint.encode(len(value)) + value


def _number_field(number: int, value: int) -> bytes:
    return varint.encode(number << 3) + varint.encode(value)


def _refused(what: str, name: Cid) -> Unverified:
    return Unverified(f"the IPNS record is refused: {what}", where=name_text(name))
