"""Unsigned varints of multiformats: seven bits a byte, least significant first.

Source: the multiformats unsigned-varint specification: at most 9 bytes (63 bits), and only the shortest
form of a number. Called by every binary reader of this folder.
"""

from typing import Final

from runtime.errors import BadRequest

MAX_BYTES: Final = 9
_OF_ONE_BYTE: Final = tuple(bytes([number]) for number in range(0x80))  # what lengths and tags mostly are


def encode(number: int) -> bytes:
    """The shortest varint of `number`, 0 <= number < 2^63."""
    if 0 <= number < 0x80:
        return _OF_ONE_BYTE[number]
    if not 0 <= number < 1 << 63:
        raise ValueError(f"{number} has no varint of {MAX_BYTES} bytes")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode(data: bytes | bytearray | memoryview, at: int = 0) -> tuple[int, int]:
    """(number, index behind it). Raises BadRequest: cut short, longer than 9 bytes, not the shortest form."""
    number = shift = 0
    for index in range(at, min(at + MAX_BYTES, len(data))):
        byte = data[index]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise BadRequest("a varint is not in its shortest form", where=f"byte {index}")
            return number, index + 1
        shift += 7
    if len(data) - at >= MAX_BYTES:
        raise BadRequest(f"a varint is longer than {MAX_BYTES} bytes", where=f"byte {at}")
    raise BadRequest("a varint is cut short", where=f"byte {at}")
