"""The names of a blob: 32 bytes of BLAKE3, and the texts people write for them.

Accepted (contract, `/blake3/<hash>`): 64 hexadecimal digits of either case; multibase of the
digest, of its multihash or of a CIDv1 with the raw codec. Written: lower-case hex and the
base32 CIDv1. A CID of another codec or hash is not a blob's name and is refused with what it is.

Sources: multicodec table (raw 0x55, blake3 0x1e), CID specification v1.
"""

from typing import Final

from content import multibase
from runtime.errors import BadRequest

ROOT_BYTES: Final = 32
_MULTIHASH_PREFIX: Final = bytes([0x1E, ROOT_BYTES])
_CID_PREFIX: Final = bytes([0x01, 0x55]) + _MULTIHASH_PREFIX
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_HINT: Final = "use 64 hexadecimal digits, or a CIDv1 with codec raw and hash blake3 (bafkr4i…)"


def parse(text: str) -> bytes:
    """The 32-byte root that `text` names. Raises BadRequest. About 1 us for hex."""
    if len(text) == 2 * ROOT_BYTES and _HEX_DIGITS.issuperset(text):
        return bytes.fromhex(text)
    try:
        raw = multibase.decode(text)
    except BadRequest as error:
        raise BadRequest(f"not a BLAKE3 name: {error.message}", where=text[:80], hint=_HINT) from None
    for prefix in (_CID_PREFIX, _MULTIHASH_PREFIX, b""):
        if len(raw) == len(prefix) + ROOT_BYTES and raw.startswith(prefix):
            return raw[len(prefix) :]
    raise BadRequest(f"not a BLAKE3 name: {_describe(raw)}", where=text[:80], hint=_HINT)


def hex(root: bytes) -> str:
    """The root as 64 lower-case hexadecimal digits."""
    return root.hex()


def cid(root: bytes) -> str:
    """The root as CIDv1 (raw codec, blake3) in base32."""
    return multibase.encode_base32(_CID_PREFIX + root)


def _describe(raw: bytes) -> str:
    if raw[:1] == b"\x01" and len(raw) > 4:
        return "it is a CID of another codec or hash"
    return f"it decodes to {len(raw)} bytes where {ROOT_BYTES} are wanted"
