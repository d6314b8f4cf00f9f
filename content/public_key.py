"""Public keys as libp2p writes them, and the signatures they check.

    message PublicKey { required KeyType Type = 1; required bytes Data = 2; }
    KeyType: 0 RSA (DER of SubjectPublicKeyInfo), 1 Ed25519 (32 bytes), 2 secp256k1 (a compressed point),
      3 ECDSA (DER)

Source: the libp2p peer id specification. A key of at most 42 bytes is its own name (identity multihash),
a longer one is named by sha2-256. The arithmetic is `cryptography`'s.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from content import multihash, varint
from runtime.errors import BadRequest

_INLINE_BYTES: Final = 42
# RSA below 2048 bits is refused by libp2p, above 8192 it is a way to burn our time
_RSA_BITS: Final = (2048, 8192)
KEY_BYTES_MAX: Final = 2048


class KeyKind(IntEnum):
    """What signs."""

    RSA = 0
    ED25519 = 1
    SECP256K1 = 2
    ECDSA = 3


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that can check signatures; `raw` is its protobuf."""

    raw: bytes
    kind: KeyKind
    _check: Callable[[bytes, bytes], None]

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` of `message` is this key's. About 0.15 ms."""
        try:
            self._check(signature, message)
        except InvalidSignature:
            return False
        return True

    @property
    def name(self) -> bytes:
        """The multihash that names the key."""
        code = multihash.IDENTITY if len(self.raw) <= _INLINE_BYTES else multihash.SHA2_256
        return multihash.of(code, self.raw)


def ed25519_key(public: bytes) -> bytes:
    """The protobuf of an Ed25519 key of 32 bytes."""
    return b"\x08\x01\x12" + varint.encode(len(public)) + public


def decode(raw: bytes) -> PublicKey:
    """Read a key. Raises BadRequest."""
    if len(raw) > KEY_BYTES_MAX or len(raw) < 4 or raw[0] != 0x08 or raw[2] != 0x12:
        raise _broken("it is not of the form that libp2p writes")
    length, start = varint.decode(raw, 3)
    data = raw[start:]
    if length != len(data):
        raise _broken("its data is cut short or too long")
    try:
        kind = KeyKind(raw[1])
        return PublicKey(raw, kind, _checker(kind, data))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _broken(str(error) or "it cannot be read") from None


def _checker(kind: KeyKind, data: bytes) -> Callable[[bytes, bytes], None]:
    if kind is KeyKind.ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(data).verify
    if kind is KeyKind.SECP256K1:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), data)
        return lambda signature, message: point.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    key = serialization.load_der_public_key(data)
    if kind is KeyKind.RSA and isinstance(key, rsa.RSAPublicKey):
        if not _RSA_BITS[0] <= key.key_size <= _RSA_BITS[1]:
            raise ValueError(f"an RSA key of {key.key_size} bits")
        return lambda signature, message: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    if kind is KeyKind.ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
        return lambda signature, message: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    raise ValueError("its data is of another kind of key than it says")


def _broken(what: str) -> BadRequest:
    return BadRequest(f"not a public key: {what}")
