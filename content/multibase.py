"""Multibase: text that says in its first character how the rest is encoded.

Source: the multibase table, every base in it: base45 after RFC 9285, proquint after arXiv:0901.4016, in which
an odd number of bytes has no form. Not here: identity (NUL) and the other reserved prefixes, which are no
encodings.

Decoding is strict: one text for one value. Padding only where the base has it, unused bits of
the last character zero, letters only of the case that the prefix names. `multiformats`, the
general library, takes 400 us a CID (measured) and serves as the oracle in the tests.
"""

from dataclasses import dataclass
from typing import Final, NoReturn

from content.bao._native import base32_text
from runtime.errors import BadRequest

MAX_TEXT: Final = 512  # a CID of a 64-byte digest in base 2 is longer; nobody addresses so

_BASE32: Final = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_HEX: Final = "0123456789abcdefghijklmnopqrstuv"
_BASE36: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE45: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_URL: Final = _BASE64[:62] + "-_"
# The table's own order; the first stands for zero
_EMOJI: Final = (
    "🚀🪐☄🛰🌌🌑🌒🌓🌔🌕🌖🌗🌘🌍🌏🌎🐉☀💻🖥💾💿😂❤😍🤣😊🙏💕😭😘👍😅👏😁🔥🥰💔💖💙😢🤔😆🙄💪😉☺👌🤗💜😔😎😇🌹🤦🎉💞✌✨🤷😱😌🌸🙌"
    "😋💗💚😏💛🙂💓🤩😄😀🖤😃💯🙈👇🎶😒🤭❣😜💋👀😪😑💥🙋😞😩😡🤪👊🥳😥🤤👉💃😳✋😚😝😴🌟😬🙃🍀🌷😻😓⭐✅🥺🌈😈🤘💦✔😣🏃💐☹🎊💘"
    "😠☝😕🌺🎂🌻😐🖕💝🙊😹🗣💫💀👑🎵🤞😛🔴😤🌼😫⚽🤙☕🏆🤫👈😮🙆🍻🍃🐶💁😲🌿🧡🎁⚡🌞🎈❌✊👋😰🤨😶🤝🚶💰🍓💢🤟🙁🚨💨🤬✈🎀🍺🤓"
    "😙💟🌱😖👶🥴▶➡❓💎💸⬇😨🌚🦋😷🕺⚠🙅😟😵👎🤲🤠🤧📌🔵💅🧐🐾🍒😗🤑🌊🤯🐷☎💧😯💆👆🎤🙇🍑❄🌴💣🐸💌📍🥀🤢👅💡💩👐📸👻🤐🤮🎼"
    "🥵🚩🍎🍊👼💍📣🥂"
)
# A word of a proquint: letters for so many bits, from this one on
_QUINT: Final = tuple(
    zip(("bdfghjklmnprstvz", "aiou") * 2 + ("bdfghjklmnprstvz",), (12, 10, 6, 4, 0), strict=True)
)
_QUINT_HEAD: Final = "ro-"  # behind the prefix
_QUINT_PREFIX: Final = "p"
_BASE45_PREFIX: Final = "R"
_EMOJI_PREFIX: Final = "🚀"
_RESERVED: Final = "\0" + "1Q/"


@dataclass(frozen=True, slots=True)
class _Base:
    """A base of `bits` a character, or with `bits` 0 one number over all characters.

    `padded_to`: the text is filled up with `=` to a multiple of this many characters. `table`: what each
    ASCII character stands for, as a digit of `int()` up to base 36, else as its value; 255 for none.
    """

    alphabet: str
    bits: int
    padded_to: int
    table: bytes


def _base(alphabet: str, bits: int = 0, padded_to: int = 1) -> _Base:
    table = bytearray(b"\xff" * 256)
    for value, character in enumerate(alphabet):
        table[ord(character)] = ord(_BASE36[value]) if len(alphabet) <= len(_BASE36) else value
    return _Base(alphabet, bits, padded_to, bytes(table))


_BASES: Final = {
    "0": _base("01", 1),
    "7": _base("01234567", 3),
    "9": _base("0123456789"),
    "f": _base("0123456789abcdef", 4),
    "F": _base("0123456789ABCDEF", 4),
    "v": _base(_BASE32_HEX, 5),
    "V": _base(_BASE32_HEX.upper(), 5),
    "t": _base(_BASE32_HEX, 5, 8),
    "T": _base(_BASE32_HEX.upper(), 5, 8),
    "b": _base(_BASE32, 5),
    "B": _base(_BASE32.upper(), 5),
    "c": _base(_BASE32, 5, 8),
    "C": _base(_BASE32.upper(), 5, 8),
    "h": _base("ybndrfg8ejkmcpqxot1uwisza345h769", 5),
    "k": _base(_BASE36),
    "K": _base(_BASE36.upper()),
    "z": _base("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
    "Z": _base("123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"),
    "m": _base(_BASE64, 6),
    "M": _base(_BASE64, 6, 4),
    "u": _base(_BASE64_URL, 6),
    "U": _base(_BASE64_URL, 6, 4),
}
_BASE45_VALUES: Final = _base(_BASE45).table
_EMOJI_VALUES: Final = {character: value for value, character in enumerate(_EMOJI)}
PREFIXES: Final = (*_BASES, _BASE45_PREFIX, _QUINT_PREFIX, _EMOJI_PREFIX)


def decode(text: str) -> bytes:
    """Bytes of a multibase text (at most MAX_TEXT characters). Raises BadRequest. About 1 us for base32."""
    if not text or len(text) > MAX_TEXT:
        raise BadRequest("not a multibase text: it is empty or too long", where=text[:64])
    prefix, body = text[0], text[1:]
    base = _BASES.get(prefix)
    if base is not None:
        return _decode_bits(body, base, text) if base.bits else _decode_number(body, base, text)
    if prefix == _BASE45_PREFIX:
        return _decode_base45(body, text)
    if prefix == _QUINT_PREFIX:
        return _decode_quints(body, text)
    if prefix == _EMOJI_PREFIX:
        try:
            return bytes([_EMOJI_VALUES[character] for character in body])
        except KeyError as missing:
            _stranger(missing.args[0], text)
    if prefix in _RESERVED:
        raise BadRequest(f"multibase prefix {prefix!r} is reserved and no encoding", where=text[:64])
    raise BadRequest(f"unknown multibase prefix {prefix!r}", where=text[:64])


def encode(prefix: str, data: bytes) -> str:
    """`data` in the base that `prefix` names, with that prefix. Raises BadRequest where it has no form."""
    if prefix == "f":
        return "f" + data.hex()
    base = _BASES.get(prefix)
    if base is None:
        if prefix == _BASE45_PREFIX:
            return prefix + _encode_base45(data)
        if prefix == _QUINT_PREFIX:
            return prefix + _encode_quints(data)
        if prefix == _EMOJI_PREFIX:
            return prefix + "".join([_EMOJI[byte] for byte in data])
        raise BadRequest(f"unknown multibase prefix {prefix!r}", hint="b is base32, z base58btc, k base36")
    alphabet, bits = base.alphabet, base.bits
    if bits:
        count = -(-8 * len(data) // bits)
        number = int.from_bytes(data, "big") << (bits * count - 8 * len(data))
        text = "".join([alphabet[number >> bits * at & (1 << bits) - 1] for at in range(count - 1, -1, -1)])
        return prefix + text + "=" * (-count % base.padded_to)
    number, digits = int.from_bytes(data, "big"), []
    while number:
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return prefix + alphabet[0] * zeros + "".join(reversed(digits))


def encode_base32(data: bytes) -> str:
    """Lower-case unpadded base32 with its prefix `b`, the usual form of a CIDv1."""
    return "b" + base32_text(data)


def _decode_bits(body: str, base: _Base, where: str) -> bytes:
    digits = body
    if base.padded_to > 1:
        if len(body) % base.padded_to:
            raise BadRequest("multibase padding is missing", where=where[:64])
        digits = body.rstrip("=")
    number = _as_number(digits, base, where)
    bit_count = base.bits * len(digits)
    spare = bit_count % 8
    if spare >= base.bits or number & ((1 << spare) - 1) or len(body) - len(digits) >= base.padded_to:
        raise BadRequest("multibase text has stray bits or characters at its end", where=where[:64])
    return (number >> spare).to_bytes(bit_count // 8, "big")


def _decode_number(body: str, base: _Base, where: str) -> bytes:
    number = _as_number(body, base, where)
    zeros = len(body) - len(body.lstrip(base.alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _as_number(digits: str, base: _Base, where: str) -> int:
    """The digits as one number. `int()` is in C; the table lets nothing through that only `int()` takes."""
    if not digits:
        return 0
    radix = len(base.alphabet)
    try:
        values = digits.encode("ascii").translate(base.table)
        if radix <= len(_BASE36):
            return int(values, radix)
    except ValueError:
        values = b"\xff"
    if 0xFF in values:
        _stranger(next(each for each in digits if each not in base.alphabet), where)
    number = 0
    for value in values:
        number = number * radix + value
    return number


def _decode_base45(body: str, where: str) -> bytes:
    """RFC 9285: two bytes are three characters, a last single byte two; least significant first."""
    out = bytearray()
    for at in range(0, len(body), 3):
        group = body[at : at + 3]
        values = group.encode("utf-8", "surrogatepass").translate(_BASE45_VALUES)
        if 0xFF in values:
            _stranger(next(each for each in group if each not in _BASE45), where)
        number = sum(value * 45**place for place, value in enumerate(values))
        width = len(group) - 1
        if width == 0 or number >> 8 * width:
            raise BadRequest("a group of base45 is cut short or too large", where=where[:64])
        out += number.to_bytes(width, "big")
    return bytes(out)


def _encode_base45(data: bytes) -> str:
    out = []
    for at in range(0, len(data), 2):
        pair = data[at : at + 2]
        number = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            number, value = divmod(number, 45)
            out.append(_BASE45[value])
    return "".join(out)


def _decode_quints(body: str, where: str) -> bytes:
    """Words of five letters between dashes, two bytes each."""
    if not body.startswith(_QUINT_HEAD):
        raise BadRequest("a proquint begins with pro-", where=where[:64])
    out = bytearray()
    words = body.removeprefix(_QUINT_HEAD)
    for word in words.split("-") if words else ():
        if len(word) != len(_QUINT):
            raise BadRequest("a word of a proquint has five letters", where=where[:64])
        number = 0
        for letter, (letters, shift) in zip(word, _QUINT, strict=True):
            if letter not in letters:
                _stranger(letter, where)
            number |= letters.index(letter) << shift
        out += number.to_bytes(2, "big")
    return bytes(out)


def _encode_quints(data: bytes) -> str:
    if len(data) % 2:
        raise BadRequest("an odd number of bytes has no proquint", hint="b is base32, z base58btc, k base36")
    numbers = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    return _QUINT_HEAD + "-".join(
        "".join([letters[number >> shift & len(letters) - 1] for letters, shift in _QUINT])
        for number in numbers
    )


def _stranger(character: str, where: str) -> NoReturn:
    raise BadRequest(f"character {character!r} is not of this multibase", where=where[:64])
