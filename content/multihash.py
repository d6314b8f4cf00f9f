"""Multihashes: a digest that says which function made it.

`varint code || varint length || digest`. Source: the multihash specification and the multicodec table.
What can be computed here is what content in use is named by; anything else can be carried and never
verified, so it is refused where bytes would have to match it.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from content import varint
from content.bao import _native
from runtime.errors import BadRequest

IDENTITY: Final = 0x00
SHA1: Final = 0x11
SHA2_256: Final = 0x12
SHA2_512: Final = 0x13
SHA3_512: Final = 0x14
SHA3_384: Final = 0x15
SHA3_256: Final = 0x16
SHA3_224: Final = 0x17
BLAKE3: Final = 0x1E
SHA2_384: Final = 0x20
DBL_SHA2_256: Final = 0x56
_BLAKE2B_8: Final = 0xB201  # blake2b of n bytes is 0xb200 + n, blake2s 0xb240 + n
_BLAKE2S_8: Final = 0xB241
BLAKE2B_256: Final = 0xB220
# No function in use gives more; a longer one in a name is an attack or an identity hash of a whole file
MAX_DIGEST_BYTES: Final = 128


def _blake3(data: bytes) -> bytes:
    # our own tree: the native `segment` and `upper` give the root of any length
    return _native.outboard(data)[0]


_FUNCTIONS: Final[dict[int, Callable[[bytes], bytes]]] = {
    SHA2_256: lambda data: hashlib.sha256(data).digest(),
    SHA2_512: lambda data: hashlib.sha512(data).digest(),
    SHA2_384: lambda data: hashlib.sha384(data).digest(),
    SHA1: lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    SHA3_512: lambda data: hashlib.sha3_512(data).digest(),
    SHA3_384: lambda data: hashlib.sha3_384(data).digest(),
    SHA3_256: lambda data: hashlib.sha3_256(data).digest(),
    SHA3_224: lambda data: hashlib.sha3_224(data).digest(),
    DBL_SHA2_256: lambda data: hashlib.sha256(hashlib.sha256(data).digest()).digest(),
    BLAKE3: _blake3,
}
# keyed by length: blake2b-8 … blake2b-512, blake2s-8 … blake2s-256; only whole bytes exist
_FUNCTIONS.update(
    {
        _BLAKE2B_8 + size - 1: (lambda data, size=size: hashlib.blake2b(data, digest_size=size).digest())  # type: ignore[misc]
        for size in range(1, 65)
    }
)
_FUNCTIONS.update(
    {
        _BLAKE2S_8 + size - 1: (lambda data, size=size: hashlib.blake2s(data, digest_size=size).digest())  # type: ignore[misc]
        for size in range(1, 33)
    }
)
# A digest shorter than this proves nothing (go-verifcid refuses them as well)
_MIN_DIGEST_BYTES: Final = 20


def wrap(code: int, digest: bytes) -> bytes:
    """The multihash of a digest that is at hand."""
    return varint.encode(code) + varint.encode(len(digest)) + digest


def of(code: int, data: bytes) -> bytes:
    """The multihash of `data` by function `code`. Raises BadRequest for one that is not known here."""
    if code == IDENTITY:
        return wrap(code, bytes(data))
    return wrap(code, _function(code)(data))


def sha2_256(*parts: bytes | bytearray | memoryview) -> bytes:
    """The sha2-256 multihash of bytes that lie in pieces; nothing is joined."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(part)
    return b"\x12\x20" + hasher.digest()


def split(multihash: bytes) -> tuple[int, bytes]:
    """(code, digest) of exactly one multihash. Raises BadRequest."""
    code, digest, end = read(multihash, 0)
    if end != len(multihash):
        raise BadRequest("bytes follow the multihash", where=f"byte {end}")
    return code, digest


def read(data: bytes | memoryview, at: int) -> tuple[int, bytes, int]:
    """(code, digest, index behind) of the multihash at `at`. Raises BadRequest."""
    code, at = varint.decode(data, at)
    length, at = varint.decode(data, at)
    if length > MAX_DIGEST_BYTES:
        raise BadRequest(f"a digest of {length} bytes is longer than {MAX_DIGEST_BYTES}", where=f"byte {at}")
    if length > len(data) - at:
        raise BadRequest("a multihash is cut short", where=f"byte {at}")
    return code, bytes(data[at : at + length]), at + length


def verify(multihash: bytes, data: bytes) -> bool:
    """Whether `data` hashes to `multihash`. Raises BadRequest when that cannot be told.

    A digest may be cut to its first 20 bytes or more, as the specification allows; shorter ones and
    unknown functions are refused, because they would let anything pass.
    """
    if multihash[:2] == b"\x12\x20":
        return hashlib.sha256(data).digest() == multihash[2:]
    code, digest = split(multihash)
    if code == IDENTITY:
        return digest == data
    if len(digest) < _MIN_DIGEST_BYTES:
        raise BadRequest(f"a digest of {len(digest)} bytes proves nothing", where=f"hash {code:#x}")
    return _function(code)(data)[: len(digest)] == digest


def _function(code: int) -> Callable[[bytes], bytes]:
    function = _FUNCTIONS.get(code)
    if function is None:
        raise BadRequest(
            f"hash function {code:#x} is not known here", hint="sha2-256, sha2-512, blake3 and blake2b are"
        )
    return function
