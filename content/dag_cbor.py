"""dag-cbor: CBOR with one encoding for each value, and links as tag 42.

Source: the DAG-CBOR specification. Strict: shortest integers and lengths, 64-bit floats without NaN and
infinities, string keys in order and once, no other tag, nothing indefinite, nothing behind the value.
Read by native code of ours in one pass (docs/decisions/0015): libipld gives links back as plain bytes and
takes longer integers, and Python took 25 times as long.
"""

import math
import struct
from typing import Final

from content.bao._native import dag_cbor_decode
from content.cid import Cid
from content.dag_value import INT_MAX, INT_MIN, MAX_DEPTH, Value, cbor_order
from runtime.errors import BadRequest

_LINK_TAG: Final = 42
_UINT, _NEGINT, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_WIDTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def decode(data: bytes) -> Value:
    """The value of a block. Raises BadRequest that names the byte. About 2 ns a byte, 0.6 us a link."""
    try:
        value: Value = dag_cbor_decode(data, _link, MAX_DEPTH)
    except ValueError as error:
        what, at = error.args
        raise BadRequest(f"not a dag-cbor block: {what}", where=f"byte {at}") from None
    return value


def encode(value: Value) -> bytes:
    """The one encoding of `value`. Raises BadRequest for what the data model does not hold."""
    out = bytearray()
    _write(value, out, 0)
    return bytes(out)


def _link(raw: bytes) -> Cid:
    """The link of a binary CID. Raises ValueError: what native code takes back."""
    try:
        return Cid.from_bytes(raw)
    except BadRequest as error:
        raise ValueError(f"a link is no CID ({error.message})") from None


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
