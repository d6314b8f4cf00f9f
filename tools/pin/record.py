"""A pin as commands see and print it: a PinStatus of the API, its Pin beside it and not inside.

What a service sends is looked at once, here; nothing behind this file meets a value of another type.
"""

import importlib
import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Final, TypedDict

from runtime.errors import Unreachable

_STATUSES: Final = frozenset({"queued", "pinning", "pinned", "failed"})
_SAID_CHARS_MAX: Final = 160  # of a list's line
ENDED: Final = frozenset({"pinned", "failed"})


class PinRecord(TypedDict):
    """One pin, in the words of the specification. `created` is RFC 3339, as precise as the service is."""

    requestid: str
    status: str
    cid: str
    name: str
    created: str
    origins: list[str]
    meta: dict[str, str]
    delegates: list[str]
    info: dict[str, Any]


def record_of(status: Any, where: str) -> PinRecord:
    """The record of a PinStatus object. Raises Unreachable: the service at `where` does not speak the API."""
    try:
        pin = status["pin"]
        record: PinRecord = {
            "requestid": status["requestid"],
            "status": status["status"],
            "cid": pin["cid"],
            "name": pin.get("name") or "",
            "created": status["created"],
            "origins": pin.get("origins") or [],
            "meta": pin.get("meta") or {},
            "delegates": status.get("delegates") or [],
            "info": status.get("info") or {},
        }
        if (
            record["status"] in _STATUSES
            and type(record["requestid"]) is str
            and type(record["cid"]) is str
            and type(record["name"]) is str
            and type(record["created"]) is str
            and type(record["meta"]) is dict
            and type(record["info"]) is dict
            and type(record["origins"]) is list
            and type(record["delegates"]) is list
        ):
            if record["origins"]:
                record["origins"] = _without_secrets(record["origins"])
            return record
    except (TypeError, KeyError, AttributeError):
        pass  # told below, as a value of another type is
    hint = "is the address that of a Pinning Service API?"
    shown = json.dumps(status)[:120]
    raise Unreachable(f"the service sent a pin that is none: {shown}", where=where, hint=hint)


def _without_secrets(origins: list[Any]) -> list[str]:
    """What a service that is not ours may send as it was given. By name: most pins have no origins."""
    shown = importlib.import_module("blockstore.origin_address").shown
    return list(shown(each for each in origins if type(each) is str))


def encoded(record: PinRecord) -> str:
    """What `json.dumps` makes of a record, in half the time: lists have a million of them."""
    return (
        f'{{"requestid": {_text(record["requestid"])}, "status": {_text(record["status"])}, '
        f'"cid": {_text(record["cid"])}, "name": {_text(record["name"])}, '
        f'"created": {_text(record["created"])}, "origins": {_list(record["origins"])}, '
        f'"meta": {_object(record["meta"])}, "delegates": {_list(record["delegates"])}, '
        f'"info": {_object(record["info"])}}}'
    )


def _list(texts: list[str]) -> str:
    if not texts:
        return "[]"
    try:
        return _encoded_texts(tuple(texts))
    except TypeError:  # a service sends what it likes
        return json.dumps(texts)


@lru_cache(maxsize=64)  # nearly all pins of a service have the same delegates
def _encoded_texts(texts: tuple[str, ...]) -> str:
    return json.dumps(texts)


def _object(values: dict[str, Any]) -> str:
    try:
        return f"{{{', '.join([f'{_text(key)}: {_text(value)}' for key, value in values.items()])}}}"
    except TypeError:
        return json.dumps(values)


def details(record: PinRecord) -> str:
    """What the service says of how a pin stands, in its own words but for the CID, which stands beside them;
    empty when nothing.
    """
    words = record["info"].get("status_details")
    return words.replace(record["cid"], "it") if isinstance(words, str) and record["cid"] else ""


def line(record: PinRecord) -> str:
    """A pin for people: request id, status, CID, name, and what is said of one that is not pinned."""
    said = details(record) if record["status"] != "pinned" else ""
    if len(said) > _SAID_CHARS_MAX:
        said = f"{said[: _SAID_CHARS_MAX - 1]}…"  # `status` shows all of it
    name = record["name"]
    plain = f"{record['requestid']}  {record['status']:<7}  {record['cid']}"
    return f"{plain}{'  ' if name else ''}{name}{f'  ({said})' if said else ''}"


def color(record: PinRecord) -> str | None:
    """The colour a pin's line has on a terminal."""
    return {"failed": "red", "pinned": None}.get(record["status"], "yellow")
