"""Settings as people write them, and as the program holds them.

Text and TOML values in, typed values out: `30d`, `64MiB`, `127.0.0.1:8080`, `yes`. Nothing here
knows where a value came from; `node.layers` adds that to every complaint.

Invariants
 1. A function either returns a value within the asked type and bounds or raises ValueError with a
    sentence that can follow the setting's name ("must be …").
 2. No file, environment or clock is looked at.
"""

import enum
import math
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

_DURATION_UNITS_S: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE_UNITS_BYTES: Final = {
    "b": 1,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12, "pb": 10**15,
}  # fmt: skip
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_NUMBER_UNIT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?")
_ORIGIN: Final = re.compile(
    r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?/?", re.ASCII
)
_INTEGER_MAX: Final = 2**63 - 1  # what TOML and LMDB's counters hold


def is_origin(text: str) -> bool:
    """Whether `text` is http(s)://host[:port] and no more."""
    found = _ORIGIN.fullmatch(text)
    return found is not None and (found[1] is None or 0 < int(found[1]) < 65_536)


def duration_s(text: str) -> float:
    """Seconds written as `90`, `10s`, `500ms`, `1h30m`, `30d` or `2w`; ValueError otherwise."""
    if _PLAIN.fullmatch(text.strip()):
        return float(text.replace("_", ""))
    total, end = 0.0, 0
    while end < len(text):
        part = _NUMBER_UNIT.match(text, end)
        if part is None or part[2].lower() not in _DURATION_UNITS_S:
            raise ValueError(f"must be a duration such as 10s, 5m, 12h or 30d, not {_shown(text)}")
        total += float(part[1]) * _DURATION_UNITS_S[part[2].lower()]
        end = part.end()
    if end == 0:
        raise ValueError("must be a duration such as 10s, 5m, 12h or 30d, not nothing")
    return total


def size_bytes(text: str) -> int:
    """Bytes written as `4096`, `64MiB` (1024s) or `64MB` (1000s); ValueError otherwise."""
    if _PLAIN.fullmatch(text.strip()) and "." not in text:
        return int(text)
    part = _NUMBER_UNIT.fullmatch(text.rstrip())
    if part is None or part[2].lower() not in _SIZE_UNITS_BYTES:
        hint = " (MiB counts in 1024s, MB in 1000s)" if part and part[2].lower() in "kmgtp" else ""
        raise ValueError(f"must be a size such as 4096, 64MiB or 10GB{hint}, not {_shown(text)}")
    # Integers all the way: a float would round sizes above 8 PiB and fractions of a byte alike.
    whole, _, fraction = str(part[1]).partition(".")
    scaled = int(whole + fraction) * _SIZE_UNITS_BYTES[part[2].lower()]
    scale: int = 10 ** len(fraction)
    count, rest = divmod(scaled, scale)
    if rest:
        raise ValueError(f"must be a whole number of bytes, not {_shown(text)}")
    return count


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens: TCP `host` and `port` (0 = any free one), or a Unix socket `path`."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """The address written as `host:port`, `[::1]:port` or `unix:/path`; ValueError otherwise."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        # sun_path holds 108 bytes with its closing zero (unix(7)); longer ones fail only at bind.
        if not path.startswith("/") or len(path.encode()) > 107:
            raise ValueError(f"must name an absolute socket path of at most 107 bytes, not {_shown(text)}")
        return Address(path=path)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"must put an IPv6 address in brackets: [{host}]:{port}")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"must be host:port, [ipv6]:port or unix:/path, not {_shown(text)}")
    return Address(host=host, port=int(port))


def convert(value: object, kind: Any, key: str, bounds: Mapping[str, Any]) -> Any:
    """`value` (TOML value, environment text or flag) as the annotated type `kind` of setting `key`.

    `bounds` is the field's metadata: `min` and `max` (both inclusive) count. Numbers whose key ends in
    `_s` or `_bytes` may carry a unit and are never negative. Raises ValueError.
    """
    if get_origin(kind) in (Union, types.UnionType):
        return _convert_optional(value, kind, key, bounds)
    if get_origin(kind) is Literal:
        return _choice(value, {str(choice): choice for choice in get_args(kind)})
    if get_origin(kind) is tuple:
        return tuple(convert(item, get_args(kind)[0], key, bounds) for item in _items(value))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice(value, {str(member.value): member for member in kind})
    if kind is bool:
        return _boolean(value)
    if kind in (int, float):
        return _within(_number(value, kind, key), key, bounds)
    if kind in (str, Path):
        if not isinstance(value, (str, Path)) or not str(value):
            raise ValueError(f"must be a text that is not empty, not {_shown(value)}")
        return kind(value)
    raise TypeError(f"setting {key} has the unsupported type {kind!r}")


def _convert_optional(value: object, kind: Any, key: str, bounds: Mapping[str, Any]) -> Any:
    inner = [choice for choice in get_args(kind) if choice is not type(None)]
    if value is None or (isinstance(value, str) and value.lower() in ("", "none")):
        return None
    return convert(value, inner[0], key, bounds)


def _items(value: object) -> list[object]:
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    if isinstance(value, (list, tuple)):
        return list(value)
    raise ValueError(f"must be a list, not {_shown(value)}")


def _choice(value: object, choices: Mapping[str, Any]) -> Any:
    text = str(value.value) if isinstance(value, enum.Enum) else str(value)
    if text not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {_shown(value)}")
    return choices[text]


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ValueError(f"must be true or false, not {_shown(value)}")


def _number(value: object, kind: type, key: str) -> float:
    if isinstance(value, str):
        value = _number_in_text(value, key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number, not {_shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"must be finite, not {_shown(value)}")
    if kind is float:
        return float(value)
    if value != int(value):
        raise ValueError(f"must be a whole number, not {_shown(value)}")
    return int(value)


def _number_in_text(text: str, key: str) -> float:
    if key.endswith("_s"):
        return duration_s(text)
    if key.endswith("_bytes"):
        return size_bytes(text)
    if not _PLAIN.fullmatch(text.strip()):
        raise ValueError(f"must be a number, not {_shown(text)}")
    return float(text) if "." in text else int(text)


def _within(number: float, key: str, bounds: Mapping[str, Any]) -> float:
    least = bounds.get("min", 0 if key.endswith(("_s", "_bytes")) else -_INTEGER_MAX)
    most = bounds.get("max", _INTEGER_MAX)
    if not least <= number <= most:
        span = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"must be {span}, not {number}")
    return number


def _shown(value: object) -> str:
    """`value` quoted for a message, shortened: a message is a line, whatever was pasted into a file."""
    text = repr(str(value)) if isinstance(value, (str, Path)) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
