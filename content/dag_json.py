"""dag-json: JSON with one encoding for each value; links are {"/": "cid"}, bytes {"/": {"bytes": "…"}}.

Source: the DAG-JSON specification. Read strictly: UTF-8, no repeated key, no NaN, no lone surrogate, the
reserved key "/" only in its two forms, nothing behind the value but white space. Written without white
space, keys in the order of their bytes, floats always with a point or an exponent.
"""

import base64
import binascii
import json
import math
import re
from typing import Any, Final, NoReturn

from content.cid import Cid
from content.dag_value import INT_MAX, INT_MIN, MAX_DEPTH, Value
from runtime.errors import BadRequest

_DEEP: Final = re.compile(rb"[\[{]")
_DIGITS_MAX: Final = 400  # of a number; a 64-bit float has at most 309 before the point


def decode(data: bytes) -> Value:
    """The value of a block. Raises BadRequest."""
    if len(_DEEP.findall(data)) > MAX_DEPTH:
        _check_depth(data)
    try:
        parsed = json.loads(
            data.decode(),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except UnicodeDecodeError as error:
        raise _broken("it is not UTF-8", f"byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _broken(error.msg.lower(), f"byte {error.pos}") from None
    _check_texts(parsed)
    value: Value = parsed
    return value


def encode(value: Value) -> bytes:
    """The one encoding of `value`. Raises BadRequest for what the data model does not hold."""
    out: list[str] = []
    _write(value, out, 0)
    return "".join(out).encode()


def _check_depth(data: bytes) -> None:
    depth, in_text, escaped = 0, False, False
    for at, byte in enumerate(data):
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise _broken(f"it is nested deeper than {MAX_DEPTH}", f"byte {at}")
        elif byte in b"]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _broken("a key is repeated")
    if "/" not in found:
        return found
    inner = found["/"]
    if len(found) == 1 and isinstance(inner, str):
        try:
            return Cid.parse(inner)
        except BadRequest as error:
            raise _broken(f"a link is no CID ({error.message})") from None
    if (
        len(found) == 1
        and isinstance(inner, dict)
        and set(inner) == {"bytes"}
        and isinstance(inner["bytes"], str)
    ):
        return _bytes(inner["bytes"])
    raise _broken('the key "/" is reserved for links and bytes')


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _broken("bytes are not base64 without padding") from None
    if _base64(raw) != text:
        raise _broken("bytes are not base64 without padding, or have stray bits")
    return raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii").rstrip("=")


def _constant(text: str) -> NoReturn:
    raise _broken(f"{text} is not in the data model")


def _integer(text: str) -> int:
    if len(text) > _DIGITS_MAX or not INT_MIN <= int(text) <= INT_MAX:
        raise _broken("an integer is outside 64 bits")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _broken("a number is outside 64-bit floats")
    return number


def _check_texts(value: Any) -> None:
    """JSON escapes can spell half a surrogate pair, which no UTF-8 text holds."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            if not current.isascii() and any(0xD800 <= ord(each) <= 0xDFFF for each in current):
                raise _broken("a text holds half a surrogate pair")
        elif isinstance(current, list):
            waiting += current
        elif isinstance(current, dict):
            waiting += current
            waiting += current.values()


def _write(value: Value, out: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise BadRequest(f"a value nested deeper than {MAX_DEPTH} cannot be written")
    if isinstance(value, Cid):
        out.append('{"/":"' + value.text() + '"}')
    elif isinstance(value, bytes):
        out.append('{"/":{"bytes":"' + _base64(value) + '"}}')
    elif isinstance(value, list):
        for index, item in enumerate(value):
            out.append("," if index else "[")
            _write(item, out, depth + 1)
        out.append("]" if value else "[]")
    elif isinstance(value, dict):
        if "/" in value:
            raise BadRequest('the key "/" cannot be written in dag-json: it is reserved')
        for index, key in enumerate(sorted(value, key=str.encode)):
            out.append(("," if index else "{") + _text(key) + ":")
            _write(value[key], out, depth + 1)
        out.append("}" if value else "{}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise BadRequest("NaN and infinities are not in the data model")
        out.append(repr(value))
    elif isinstance(value, str):
        out.append(_text(value))
    else:
        out.append(json.dumps(value))


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _broken(what: str, where: str = "") -> BadRequest:
    return BadRequest(f"not a dag-json block: {what}", where=where)
