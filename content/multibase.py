"""Multibase: text that says in its first character how the rest is encoded.

Source: the multibase table (draft-multiformats-multibase), the bases in use for CIDs.
Decoding is strict: one text for one value. Padding only where the base has it, unused bits of
the last character zero, letters only of the case that the prefix names. `multiformats`, the
general library, takes 400 us a CID (measured) and serves as the oracle in the tests.
"""

import base64
from typing import Final

from runtime.errors import BadRequest

MAX_TEXT: Final = 512  # a CID of a 64-byte digest in base 2 is longer; nobody addresses so

_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_HEX: Final = "0123456789abcdefghijklmnopqrstuv"
_BASE32_Z: Final = "ybndrfg8ejkmcpqxot1uwisza345h769"
_BASE58_BTC: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_FLICKR: Final = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_URL: Final = _BASE64[:62] + "-_"

# prefix -> (alphabet, bits a character, padded to a multiple of this many characters)
_BITWISE: Final[dict[str, tuple[str, int, int]]] = {
    "0": ("01", 1, 1),
    "7": ("01234567", 3, 1),
    "f": ("0123456789abcdef", 4, 1),
    "F": ("0123456789ABCDEF", 4, 1),
    "v": (_BASE32_HEX, 5, 1),
    "V": (_BASE32_HEX.upper(), 5, 1),
    "t": (_BASE32_HEX, 5, 8),
    "T": (_BASE32_HEX.upper(), 5, 8),
    "b": (_BASE32, 5, 1),
    "B": (_BASE32.upper(), 5, 1),
    "c": (_BASE32, 5, 8),
    "C": (_BASE32.upper(), 5, 8),
    "h": (_BASE32_Z, 5, 1),
    "m": (_BASE64, 6, 1),
    "M": (_BASE64, 6, 4),
    "u": (_BASE64_URL, 6, 1),
    "U": (_BASE64_URL, 6, 4),
}
_NUMERIC: Final[dict[str, str]] = {
    "9": "0123456789",
    "k": _BASE36,
    "K": _BASE36.upper(),
    "z": _BASE58_BTC,
    "Z": _BASE58_FLICKR,
}
_VALUES: Final = {
    alphabet: {character: value for value, character in enumerate(alphabet)}
    for alphabet in (*(row[0] for row in _BITWISE.values()), *_NUMERIC.values())
}


def decode(text: str) -> bytes:
    """Bytes of a multibase text (at most MAX_TEXT characters). Raises BadRequest."""
    if not text or len(text) > MAX_TEXT:
        raise BadRequest("not a multibase text: it is empty or too long", where=text[:64])
    prefix, body = text[0], text[1:]
    if prefix in _BITWISE:
        return _decode_bitwise(body, *_BITWISE[prefix], where=text)
    if prefix in _NUMERIC:
        return _decode_numeric(body, _NUMERIC[prefix], where=text)
    raise BadRequest(f"unknown multibase prefix {prefix!r}", where=text[:64])


def encode(prefix: str, data: bytes) -> str:
    """`data` in the base that `prefix` names, with that prefix. Raises BadRequest for an unknown base."""
    if prefix in _BITWISE:
        alphabet, bits, padded_to = _BITWISE[prefix]
        count = -(-8 * len(data) // bits)
        number = int.from_bytes(data, "big") << (bits * count - 8 * len(data))
        text = "".join([alphabet[number >> bits * at & (1 << bits) - 1] for at in range(count - 1, -1, -1)])
        return prefix + text + "=" * (-count % padded_to)
    if prefix in _NUMERIC:
        alphabet = _NUMERIC[prefix]
        number, digits = int.from_bytes(data, "big"), []
        while number:
            number, digit = divmod(number, len(alphabet))
            digits.append(alphabet[digit])
        zeros = len(data) - len(data.lstrip(b"\0"))
        return prefix + alphabet[0] * zeros + "".join(reversed(digits))
    raise BadRequest(f"unknown multibase prefix {prefix!r}", hint="b is base32, z base58btc, k base36")


def encode_base32(data: bytes) -> str:
    """Lower-case unpadded base32 with its prefix `b`, the usual form of a CIDv1."""
    return "b" + base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _decode_bitwise(body: str, alphabet: str, bits: int, padded_to: int, where: str) -> bytes:
    digits = body
    if padded_to > 1:
        if len(body) % padded_to:
            raise BadRequest("multibase padding is missing", where=where[:64])
        digits = body.rstrip("=")
    number = _as_number(digits, alphabet, where)
    bit_count = bits * len(digits)
    spare = bit_count % 8
    if spare >= bits or number & ((1 << spare) - 1) or len(body) - len(digits) >= max(padded_to, 1):
        raise BadRequest("multibase text has stray bits or characters at its end", where=where[:64])
    return (number >> spare).to_bytes(bit_count // 8, "big")


def _decode_numeric(body: str, alphabet: str, where: str) -> bytes:
    number = _as_number(body, alphabet, where)
    zeros = len(body) - len(body.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _as_number(digits: str, alphabet: str, where: str) -> int:
    values = _VALUES[alphabet]
    base = len(alphabet)
    number = 0
    for character in digits:
        value = values.get(character)
        if value is None:
            raise BadRequest(f"character {character!r} is not of this multibase", where=where[:64])
        number = number * base + value
    return number
