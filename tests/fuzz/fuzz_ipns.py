"""Fuzz target `ipns`: records and public keys.

The first byte chooses between any bytes as a record, any bytes as a key, and signed data put together (so
that fuzzing gets behind the signature). Invariants
 1. Only Unverified and BadRequest are raised.
 2. A record that is accepted carries a signature of its data by the name's key, checked here with the
    library itself; it is not over, and says what its signed data says.
 3. Fields of the first version that are there say the same.
 4. A key that is accepted is in its one form.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from content import dag_cbor, ipns, public_key, varint
from content.cid import LIBP2P_KEY, Cid
from content.dag_value import Value
from runtime.errors import BadRequest, Unverified
from tests.fuzz import fixtures, values
from tests.fuzz.draws import Draws

TARGET = "ipns"
NOW_S = 1_800_000_000.0
_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_PUBLIC = public_key.ed25519_key(_KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
_NAME = Cid.v1(LIBP2P_KEY, public_key.decode(_PUBLIC).name)
_PREFIX = b"ipns-signature:"
_VALUES = (b"/ipfs/bafkqaaa", b"/ipns/example.com/x", b"", b"\xff", b"/ipfs/")
_ENDS = (
    b"2100-01-01T00:00:00Z",
    b"2100-01-01T00:00:00.123456789Z",
    b"2027-01-15T07:59:59.999999999Z",
    b"2100-01-01T00:00:00+14:00",
    b"9999-12-31T23:59:59Z",
    b"9999-12-31T23:59:59-23:59",
    b"0001-01-01T00:00:00+23:59",
    b"2100-01-01T00:00:00",
    b"2100-01-01",
    b"2100-W01-1T00:00:00Z",
    b"2100-01-01 00:00:00Z",
    b"21000101T000000Z",
)
_NUMBERS = (3, 5, 6)
_KEYS = ("Value", "Validity", "ValidityType", "Sequence", "TTL", "Extra")


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    kind, rest = data[0] % 4, data[1:]
    if kind == 0:
        _key(rest)
    elif kind == 1:
        name_text, _, raw = rest.partition(b"\n")
        try:
            name = ipns.parse_name(name_text.decode("utf-8", "replace"))
        except BadRequest:
            name = _NAME
        _record(name, raw)
    else:
        _record(_NAME, _put_together(Draws(rest)))


def _record(name: Cid, raw: bytes) -> None:
    try:
        record = ipns.verified(name, raw, NOW_S)
    except (BadRequest, Unverified) as error:
        assert error.message
        return
    assert record.expires_s > NOW_S
    assert 0 <= record.sequence < 1 << 64
    assert 0 <= record.ttl_s <= (1 << 64) / 1e9
    fields = _fields(raw)
    signed = fields[9]
    assert isinstance(signed, bytes)
    if name == _NAME:
        try:
            _KEY.public_key().verify(bytes(fields[8]), _PREFIX + signed)
        except InvalidSignature:
            raise AssertionError("accepted without a signature") from None
    said = dag_cbor.decode(signed)
    assert isinstance(said, dict)
    assert said["Value"] == record.value.encode()
    assert values.same(said["Sequence"], record.sequence)
    assert ipns.unchecked(name, raw) == record
    if fields.get(1) or fields.get(2):
        for number, key in ((1, "Value"), (4, "Validity"), (3, "ValidityType"), (5, "Sequence"), (6, "TTL")):
            told = fields.get(number, b"" if number in (1, 4) else 0)
            assert told == said.get(key, 0), f"field {number} says something else"


def _fields(raw: bytes) -> dict[int, bytes | int]:
    """The last of each field, as protobuf readers take it: one of another wire type is an unknown one."""
    found: dict[int, bytes | int] = {}
    at = 0
    while at < len(raw):
        key, at = varint.decode(raw, at)
        said, at = varint.decode(raw, at)
        number, wire = key >> 3, key & 7
        if wire == 2:
            if number not in _NUMBERS:
                found[number] = raw[at : at + said]
            at += said
        elif number in _NUMBERS:
            found[number] = said
    return found


def _key(raw: bytes) -> None:
    try:
        key = public_key.decode(raw)
    except BadRequest:
        return
    length, start = varint.decode(raw, 3)
    assert raw == b"\x08" + bytes([key.kind]) + b"\x12" + varint.encode(length) + raw[start:]
    assert not key.verifies(b"no signature", b"message")
    assert len(key.name) <= 44


def _put_together(draws: Draws) -> bytes:
    said: dict[str, Value] = {
        "Value": _VALUES[draws.below(len(_VALUES))],
        "Validity": _ENDS[draws.below(len(_ENDS))],
        "ValidityType": 0,
        "Sequence": int.from_bytes(draws.chunk(8), "big"),
        "TTL": int.from_bytes(draws.chunk(8), "big"),
    }
    if draws.chance(60):
        said[_KEYS[draws.below(len(_KEYS))]] = values.value(draws)
    if draws.chance(20):
        said.pop(_KEYS[draws.below(len(_KEYS))], None)
    if draws.chance(20):
        said["Validity"] = draws.chunk(40)
    data = dag_cbor.encode(said)
    parts = [_bytes(9, data), _bytes(8, _KEY.sign(_PREFIX + data))]
    if draws.chance(128):
        parts += _first_version(said, draws)
    if draws.chance(30):
        parts.append(draws.chunk(60))
    if draws.chance(30):
        parts.reverse()
    return b"".join(parts)


def _first_version(said: dict[str, Value], draws: Draws) -> list[bytes]:
    parts = [_bytes(2, b"nobody reads it")] if draws.chance(128) else []
    for number, key in ((1, "Value"), (3, "ValidityType"), (4, "Validity"), (5, "Sequence"), (6, "TTL")):
        value = said.get(key)
        if isinstance(value, bytes):
            parts.append(_bytes(number, value[: -draws.chance(10)] if draws.chance(10) else value))
        elif isinstance(value, int) and 0 <= value < (1 << 63) - 1:
            parts.append(varint.encode(number << 3) + varint.encode(value + draws.chance(10)))
    return parts


def _bytes(number: int, value: bytes) -> bytes:
    return varint.encode(number << 3 | 2) + varint.encode(len(value)) + value


_MADE = ipns.create(_PUBLIC, _KEY.sign, "/ipfs/bafkqaaa", sequence=3, expires_s=NOW_S + 1000, ttl_s=60)
SEEDS: list[bytes] = [
    b"\x00" + _PUBLIC,
    b"\x00\x08\x00\x12\x04\x30\x02\x05\x00",
    b"\x00\x08\x02\x12\x21\x02" + bytes(31) + b"\x01",
    b"\x01\n" + _MADE,
    b"\x01\n" + _MADE + b"\x12\x01x",
    b"\x01\n\x42\x01x\x4a\x01\xa0",
    *(b"\x01" + name.encode() + b"\n" + raw for name, raw in fixtures.records()),
    *(bytes([2, value, end, 1, 5, 1, 9]) for value in range(len(_VALUES)) for end in range(len(_ENDS))),
    *(
        bytes([2, 0, 0, 1, 5, 1, 9, 30, key, kind, 3, 1, 2, 3, 1, 100])
        for key in range(6)
        for kind in range(11)
    ),
    bytes([2, 0, 0, 8, *[255] * 8, 8, *[255] * 8, 0, 0, 0, 100, 100, 0, 0, 0, 0, 0, 0]),
    bytes([2, 0, 0, 1, 5, 1, 9, 0, 0, 0, 100, 100]),
]
