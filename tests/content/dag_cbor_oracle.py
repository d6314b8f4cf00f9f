"""A plain reader of dag-cbor, slow and straight from the specification: the oracle of the native one.

It says the same of every input, and blames the same byte (fuzz target `dag_cbor`).
"""

import math
import struct
from typing import Final

from content.cid import Cid
from content.dag_value import MAX_DEPTH, Value, cbor_order
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
        if width is None:
            raise _broken("an indefinite or reserved length", at)
        end = at + 1 + width
        if end > len(data):
            raise _broken("it is cut short", at)
        number = int.from_bytes(data[at + 1 : end], "big")
        if major != _SIMPLE and number < (24 if width == 1 else 1 << 4 * width):
            raise _broken("a number is not in its shortest form", at)
        return major, number, end

    def value(self, at: int, depth: int) -> tuple[Value, int]:
        """The value at `at`, and the index behind it."""
        if depth > MAX_DEPTH:
            raise _broken(f"it is nested deeper than {MAX_DEPTH}", at)
        data = self._data
        major, number, end = self._head(at)
        if major == _SIMPLE:
            return self._simple(at)
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
            (number,) = struct.unpack(">d", self._data[at + 1 : at + 9])
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
            if self._head(at)[0] != _TEXT:
                raise _broken("a map key is not a text", key_at)
            key, at = self.value(at, depth)
            assert isinstance(key, str)
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
        if len(raw) != length:
            raise _broken("a string is cut short", at)
        if major != _BYTES or raw[:1] != b"\0":
            raise _broken("a link is not a byte string that begins with zero", at)
        try:
            return Cid.from_bytes(raw[1:]), stop
        except BadRequest as error:
            raise _broken(f"a link is no CID ({error.message})", at) from None


def _broken(what: str, at: int) -> BadRequest:
    return BadRequest(f"not a dag-cbor block: {what}", where=f"byte {at}")
