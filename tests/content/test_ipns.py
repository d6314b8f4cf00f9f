"""IPNS records: made, checked, refused."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from content import cid as codecs
from content import dag_cbor, ipns, public_key, varint
from content.cid import Cid
from content.dag_value import Value
from runtime.errors import BadRequest, EdgeError, Unverified
from tests.shared_data import shared_data

NOW_S = 1_800_000_000.0
VALUE = "/ipfs/bafkqaaa"


def signer(kind: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """(public key protobuf, sign function) of a fresh key."""
    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return public_key.ed25519_key(raw), key.sign
    if kind == "rsa":
        big = rsa.generate_private_key(65537, 2048)
        der = big.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return b"\x08\x00\x12" + varint.encode(len(der)) + der, lambda m: big.sign(
            m, padding.PKCS1v15(), hashes.SHA256()
        )
    curve = ec.generate_private_key(ec.SECP256K1())
    point = curve.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    return b"\x08\x02\x12" + varint.encode(len(point)) + point, lambda m: curve.sign(
        m, ec.ECDSA(hashes.SHA256())
    )


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "secp256k1"])
def test_what_is_made_is_accepted_and_every_changed_byte_refused(kind: str) -> None:
    key, sign = signer(kind)
    name = Cid.v1(codecs.LIBP2P_KEY, public_key.decode(key).name)
    raw = ipns.create(key, sign, VALUE, sequence=7, expires_s=NOW_S + 60, ttl_s=300)
    record = ipns.verified(name, raw, NOW_S)
    assert (record.value, record.sequence, record.ttl_s) == (VALUE, 7, 300.0)
    assert record.expires_s == pytest.approx(NOW_S + 60)
    assert ipns.parse_name(ipns.name_text(name)) == name
    with pytest.raises(Unverified, match="no longer valid"):
        ipns.verified(name, raw, NOW_S + 61)
    accepted = 0
    for at in range(0, len(raw), 3):
        changed = bytearray(raw)
        changed[at] ^= 1
        try:
            accepted += ipns.verified(name, bytes(changed), NOW_S) == record
        except EdgeError:
            continue
    v1_signature = 64 if kind == "ed25519" else 260
    assert accepted <= v1_signature, "only the V1 signature, which nobody reads any more, may change"


def signed(**changed: Value) -> tuple[Cid, bytes]:
    """(name, record of version 2 alone) whose signed data is sound but for `changed`."""
    key, sign = signer("ed25519")
    said: dict[str, Value] = {
        "Value": VALUE.encode(),
        "Validity": b"2100-01-01T00:00:00.000000001Z",
        "ValidityType": 0,
        "Sequence": 1,
        "TTL": 60,
    }
    data = dag_cbor.encode(said | changed)
    signature = sign(b"ipns-signature:" + data)
    fields = [b"\x42" + varint.encode(len(signature)) + signature, b"\x4a" + varint.encode(len(data)) + data]
    return Cid.v1(codecs.LIBP2P_KEY, public_key.decode(key).name), b"".join(fields)


def test_a_record_of_the_second_version_alone_is_accepted() -> None:
    name, raw = signed()
    assert ipns.verified(name, raw, NOW_S).expires_s == 4_102_444_800.0
    name, raw = signed(Sequence=(1 << 64) - 1, TTL=(1 << 64) - 1)
    assert ipns.verified(name, raw, NOW_S).sequence == (1 << 64) - 1


@pytest.mark.parametrize(
    "changed",
    [
        {"Sequence": -1}, {"Sequence": True}, {"Sequence": 1.0}, {"Sequence": None},
        {"TTL": -1}, {"TTL": False}, {"Value": "text"}, {"Value": b"\xff"},
        {"ValidityType": 1}, {"ValidityType": False}, {"ValidityType": 0.0},
        {"Validity": b"2100-01-01"}, {"Validity": b"2100-W01-1T00:00:00Z"}, {"Validity": b"21000101T000000Z"},
        {"Validity": b"2100-01-01 00:00:00Z"}, {"Validity": b"2100-01-01T00:00:00"}, {"Validity": b"\xff"},
        {"Validity": b"2100-13-01T00:00:00Z"}, {"Validity": b"2100-01-01T00:00:00.Z"}, {"Validity": 1},
    ],
)  # fmt: skip
def test_signed_data_of_another_form_is_refused(changed: dict[str, Value]) -> None:
    name, raw = signed(**changed)
    with pytest.raises(Unverified):
        ipns.verified(name, raw, NOW_S)


@pytest.mark.parametrize(
    ("sequence", "expires_s", "ttl_s"),
    [(-1, NOW_S, 1), (1 << 63, NOW_S, 1), (0, 1e12, 1), (0, -1, 1), (0, NOW_S, -1), (0, NOW_S, 1e11)],
)
def test_a_record_that_nobody_could_read_is_not_made(sequence: int, expires_s: float, ttl_s: float) -> None:
    key, sign = signer("ed25519")
    with pytest.raises(BadRequest):
        ipns.create(key, sign, VALUE, sequence=sequence, expires_s=expires_s, ttl_s=ttl_s)


def v1_fields(key: bytes, sign: Callable[[bytes], bytes], **changed: bytes | int) -> list[bytes]:
    """The fields of version 1 of a sound record, but for `changed`."""
    said: dict[str, bytes | int] = {
        "value": VALUE.encode(),
        "validity": b"2100-01-01T00:00:00.000000001Z",
        "validity_type": 0,
        "sequence": 1,
        "ttl": 60,
    }
    said |= changed
    signature = sign(VALUE.encode() + b"2100-01-01T00:00:00.000000001Z" + b"0")
    numbers = {"value": 1, "validity_type": 3, "validity": 4, "sequence": 5, "ttl": 6}
    fields = [b"\x12" + varint.encode(len(signature)) + signature]
    for name, told in said.items():
        number = numbers[name]
        if isinstance(told, bytes):
            fields.append(varint.encode(number << 3 | 2) + varint.encode(len(told)) + told)
        else:
            fields.append(varint.encode(number << 3) + varint.encode(told))
    return fields


def test_a_record_of_the_first_version_alone_is_refused() -> None:
    key, sign = signer("ed25519")
    name = Cid.v1(codecs.LIBP2P_KEY, public_key.decode(key).name)
    with pytest.raises(Unverified, match="no V2 signature"):
        ipns.verified(name, b"".join(v1_fields(key, sign)), NOW_S)


@pytest.mark.parametrize(
    "changed",
    [
        {"value": b"/ipfs/bafkqaab"}, {"value": b""}, {"validity": b"2100-01-01T00:00:01Z"}, {"sequence": 2},
        {"ttl": 61}, {"validity_type": 1},
    ],
)  # fmt: skip
def test_fields_of_the_first_version_that_say_something_else_are_refused(
    changed: dict[str, bytes | int],
) -> None:
    key, sign = signer("ed25519")
    name, second = signed()
    assert ipns.verified(name, second + b"".join(v1_fields(key, sign)), NOW_S).sequence == 1
    with pytest.raises(Unverified, match="something else than its signed data"):
        ipns.verified(name, second + b"".join(v1_fields(key, sign, **changed)), NOW_S)


def test_another_key_is_refused() -> None:
    key, sign = signer("ed25519")
    other, _ = signer("ed25519")
    raw = ipns.create(key, sign, VALUE, sequence=1, expires_s=NOW_S + 60, ttl_s=1)
    with pytest.raises(Unverified):
        ipns.verified(Cid.v1(codecs.LIBP2P_KEY, public_key.decode(other).name), raw, NOW_S)


@pytest.mark.parametrize(
    "raw", [b"", b"\x0a", bytes(11_000), b"\x42\x01", b"\xff" * 20, b"\x0d\x00\x00\x00\x00"]
)
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    key, _ = signer("ed25519")
    with pytest.raises(EdgeError):
        ipns.verified(Cid.v1(codecs.LIBP2P_KEY, public_key.decode(key).name), raw, NOW_S)


@pytest.mark.parametrize("text", ["", "example.com", "bafkqaaa", "Qm", "12D3", "k51", "k" * 300])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        ipns.parse_name(text)


def test_the_higher_sequence_counts_then_the_longer_life() -> None:
    one = ipns.Record(VALUE, 1, 0, 100.0, b"")
    assert ipns.newer(one, ipns.Record(VALUE, 2, 0, 50.0, b"")).sequence == 2
    assert ipns.newer(one, ipns.Record(VALUE, 1, 0, 200.0, b"")).expires_s == 200.0


def test_the_public_records_are_classified_as_they_are_named() -> None:
    refused = set()
    records = sorted(shared_data("gateway-fixtures").glob("*.ipns-record"))
    assert len(records) == 12
    for path in records:
        name = ipns.parse_name(path.name.removesuffix(".ipns-record").split("_")[0])
        try:
            ipns.verified(name, path.read_bytes(), NOW_S)
        except Unverified:
            refused.add(path.name.split("_", 1)[1].rpartition("_")[0])
    assert refused == {"v1", "v1-v2-broken-signature-v2", "v1-v2-broken-v1-value"}
