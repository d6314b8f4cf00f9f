"""dag-cbor: CBOR with one encoding for each value, and links as tag 42.

Source: the DAG-CBOR specification. Strict: shortest integers and lengths, 64-bit floats without NaN and
infinities, string keys in order and once, no other tag, nothing indefinite, nothing behind the value.
Our own reader, because libipld (Rust) gives links back as plain bytes, takes longer integers and 32-bit
floats, and fails by recursion; blocks of this codec are small.
"""

import math
import struct
from typing import Final

from content.cid import Cid
from content.dag_value import INT_MAX, INT_MIN, MAX_DEPTH, Value, cbor_order
from runtime.errors import BadRequest

_LINK_TAG: Final = 42
_UINT, _NEGINT, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def decode(data: bytes) -> Value:
    """The value of a block. Raises BadRequest that names the byte."""
    value, end = _Reader(data).value(0, 0)
    if end != len(data):
        raise _broken("bytes follow the value", end)
    return value


def encode(value: Value) -> bytes:
    """The one encoding of `value`. Raises BadRequest for what the data model does not hold."""
    out = bytearray()
    _write(value, out, 0)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def _head(self, at: int) -> tuple[int, int, int]:
        """(major type, argument, index behind)."""
        data = self._data
        if at >= len(data):
            raise _broken("it is cut short", at)
        major, info = data[at] >> 5, data[at] & 31
        if info < 24:
            return major, info, at + 1
        width = _WIDTHS.get(info)
        if width is None or major == _SIMPLE:
            raise _broken("an indefinite or reserved length", at)
        end = at + 1 + width
        if end > len(data):
            raise _broken("it is cut short", at)
        number = int.from_bytes(data[at + 1 : end], "big")
        if number < (24 if width == 1 else 1 << 4 * width):
            raise _broken("a number is not in its shortest form", at)
        return major, number, end

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        """The value at `at`, and the index behind it."""
        if depth > MAX_DEPTH:
            raise _broken(f"it is nested deeper than {MAX_DEPTH}", at)
        data = self._data
        if at < len(data) and data[at] >> 5 == _SIMPLE:
            return self._simple(at)
        major, number, end = self._head(at)
        if major == _UINT:
            return number, end
        if major == _NEGINT:
            return -1 - number, end
        if major in (_BYTES, _TEXT):
            if number > len(data) - end:
                raise _broken("a string is cut short", at)
            raw = data[end : end + number]
            return (raw if major == _BYTES else self._text(raw, at)), end + number
        if number > len(data) - end and major != _TAG:
            raise _broken("a list or map is longer than the block", at)
        if major == _LIST:
            return self._list(number, end, depth)
        if major == _MAP:
            return self._map(number, end, depth)
        return self._link(number, at, end)

    def _simple(self, at: int) -> tuple[Value, int]:
        info = self._data[at] & 31
        if info == 27:
            raw = self._data[at + 1 : at + 9]
            if len(raw) != 8:
                raise _broken("a float is cut short", at)
            (number,) = struct.unpack(">d", raw)
            if not math.isfinite(number):
                raise _broken("NaN and infinities are not in the data model", at)
            return float(number), at + 9
        known: dict[int, Value] = {20: False, 21: True, 22: None}
        if info not in known:
            raise _broken("a simple value or short float that the format does not have", at)
        return known[info], at + 1

    def _text(self, raw: bytes, at: int) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise _broken("a text is not UTF-8", at) from None

    def _list(self, count: int, at: int, depth: int) -> tuple[Value, int]:
        items: list[Value] = []
        for _ in range(count):
            item, at = self.value(at, depth + 1)
            items.append(item)
        return items, at

    def _map(self, count: int, at: int, depth: int) -> tuple[Value, int]:
        items: dict[str, Value] = {}
        last: tuple[int, bytes] | None = None
        for _ in range(count):
            key_at = at
            key, at = self.value(at, depth + 1)
            if not isinstance(key, str):
                raise _broken("a map key is not a text", key_at)
            place = cbor_order(key)
            if last is not None and place <= last:
                raise _broken("map keys are repeated or out of order", key_at)
            last = place
            items[key], at = self.value(at, depth + 1)
        return items, at

    def _link(self, tag: int, at: int, end: int) -> tuple[Value, int]:
        if tag != _LINK_TAG:
            raise _broken(f"tag {tag}: only {_LINK_TAG} (a link) may occur", at)
        major, length, start = self._head(end)
        stop = start + length
        raw = self._data[start:stop]
        if major != _BYTES or len(raw) != length or raw[:1] != b"\0":
            raise _broken("a link is not a byte string that begins with zero", at)
        try:
            return Cid.from_bytes(raw[1:]), stop
        except BadRequest as error:
            raise _broken(f"a link is no CID ({error.message})", at) from None


def _write(value: Value, out: bytearray, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadRequest(f"a value nested deeper than {MAX_DEPTH} cannot be written")
    if value is None or isinstance(value, bool):
        out.append({None: 0xF6, False: 0xF4, True: 0xF5}[value])
    elif isinstance(value, int):
        if not INT_MIN <= value <= INT_MAX:
            raise BadRequest("an integer is outside 64 bits", where=str(value)[:40])
        _write_head(_UINT if value >= 0 else _NEGINT, value if value >= 0 else -1 - value, out)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadRequest("NaN and infinities are not in the data model")
        out += b"\xfb" + struct.pack(">d", value)
    elif isinstance(value, str):
        raw = value.encode()
        _write_head(_TEXT, len(raw), out)
        out += raw
    elif isinstance(value, bytes):
        _write_head(_BYTES, len(value), out)
        out += value
    elif isinstance(value, Cid):
        _write_head(_TAG, _LINK_TAG, out)
        _write_head(_BYTES, len(value.raw) + 1, out)
        out += b"\0" + value.raw
    else:
        _write_many(value, out, depth)


def _write_many(value: list[Value] | dict[str, Value], out: bytearray, depth: int) -> None:
    if isinstance(value, list):
        _write_head(_LIST, len(value), out)
        for item in value:
            _write(item, out, depth + 1)
        return
    _write_head(_MAP, len(value), out)
    for key in sorted(value, key=cbor_order):
        _write(key, out, depth + 1)
        _write(value[key], out, depth + 1)


def _write_head(major: int, number: int, out: bytearray) -> None:
    if number < 24:
        out.append(major << 5 | number)
        return
    for info, width in _WIDTHS.items():
        if number < 1 << 8 * width:
            out.append(major << 5 | info)
            out += number.to_bytes(width, "big")
            return


def _broken(what: str, at: int) -> BadRequest:
    return BadRequest(f"not a dag-cbor block: {what}", where=f"byte {at}")
