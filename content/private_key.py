"""Private keys as libp2p and PEM write them, and what they sign.

    message PrivateKey { required KeyType Type = 1; required bytes Data = 2; }
    Data: Ed25519 the seed and the public key (64 bytes), secp256k1 the number (32 bytes), RSA PKCS#1 (DER)

PEM is PKCS#8 without a password, as `ipfs key export --format=pem-pkcs8-cleartext` writes it. Source: the
libp2p peer id specification; RFC 5958. Keys are made where chance is at hand: `node.keystore`.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from content import cid as codecs
from content import public_key, varint
from content.cid import Cid
from content.public_key import KeyKind
from runtime.errors import BadRequest

# An RSA key of 8192 bits has 6.4 KB in PEM
FILE_BYTES_MAX: Final = 16 << 10
_SEED_BYTES: Final = 32
_NUMBER_BYTES: Final = 32

AnyKey: TypeAlias = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that signs. Never shown: its representation names the public half only."""

    kind: KeyKind
    key: AnyKey

    def __repr__(self) -> str:
        return f"PrivateKey({self.kind.name}, {self.name})"

    @property
    def public(self) -> bytes:
        """The protobuf of the public key."""
        key = self.key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            data = key.public_key().public_bytes_raw()
        elif isinstance(key, rsa.RSAPrivateKey):
            data = key.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        else:
            data = key.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
            )
        return _protobuf(self.kind, data)

    @property
    def name(self) -> Cid:
        """The IPNS name that the key signs for."""
        return Cid.v1(codecs.LIBP2P_KEY, public_key.decode(self.public).name)

    def sign(self, message: bytes) -> bytes:
        """The signature of `message`. Ed25519 0.05 ms, RSA of 2048 bits 1 ms."""
        key = self.key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        if isinstance(key, rsa.RSAPrivateKey):
            return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return key.sign(message, ec.ECDSA(hashes.SHA256()))

    def pem(self) -> bytes:
        """PKCS#8 in PEM, in the clear."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def protobuf(self) -> bytes:
        """The form of `ipfs key export`."""
        key = self.key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            data = key.private_bytes_raw() + key.public_key().public_bytes_raw()
        elif isinstance(key, rsa.RSAPrivateKey):
            data = key.private_bytes(
                serialization.Encoding.DER,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        else:
            data = key.private_numbers().private_value.to_bytes(_NUMBER_BYTES, "big")
        return _protobuf(self.kind, data)


def wrap(key: AnyKey) -> PrivateKey:
    """The key with its kind. Raises BadRequest for one that IPNS does not know or that is too weak."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateKey(KeyKind.ED25519, key)
    if isinstance(key, rsa.RSAPrivateKey):
        wrapped = PrivateKey(KeyKind.RSA, key)
        public_key.decode(wrapped.public)  # its size is judged there
        return wrapped
    if isinstance(getattr(key, "curve", None), ec.SECP256K1):
        return PrivateKey(KeyKind.SECP256K1, key)
    raise _broken("it is neither Ed25519 nor RSA nor secp256k1")


def decode(raw: bytes) -> PrivateKey:
    """Read a key, PEM or protobuf. Raises BadRequest, which never quotes it."""
    if len(raw) > FILE_BYTES_MAX:
        raise _broken(f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        if raw.lstrip().startswith(b"-----BEGIN"):
            return wrap(serialization.load_pem_private_key(raw.strip(), None))  # type: ignore[arg-type]
        return _from_protobuf(raw)
    except TypeError:
        raise _broken("it is locked with a password") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _broken("it cannot be read") from None


def _from_protobuf(raw: bytes) -> PrivateKey:
    if len(raw) < 4 or raw[0] != 0x08 or raw[2] != 0x12:
        raise _broken("it is neither PEM nor of the form that libp2p writes")
    length, start = varint.decode(raw, 3)
    data = raw[start:]
    if length != len(data):
        raise _broken("its data is cut short or too long")
    kind = KeyKind(raw[1])
    if kind is KeyKind.ED25519:
        # 64 bytes, or 96 where an old writer said the public key twice
        key = ed25519.Ed25519PrivateKey.from_private_bytes(data[:_SEED_BYTES])
        public = key.public_key().public_bytes_raw()
        if len(data) % _SEED_BYTES or len(data) < 2 * _SEED_BYTES or public not in data[_SEED_BYTES:]:
            raise _broken("its two halves do not belong together")
        return PrivateKey(kind, key)
    if kind is KeyKind.SECP256K1:
        if len(data) != _NUMBER_BYTES:
            raise _broken(f"a secp256k1 key has {_NUMBER_BYTES} bytes")
        return PrivateKey(kind, ec.derive_private_key(int.from_bytes(data, "big"), ec.SECP256K1()))
    return wrap(serialization.load_der_private_key(data, None))  # type: ignore[arg-type]


def _protobuf(kind: KeyKind, data: bytes) -> bytes:
    return bytes((0x08, kind, 0x12)) + varint.encode(len(data)) + data


def _broken(what: str) -> BadRequest:
    return BadRequest(f"not a private key that can be used: {what}")
