"""Origins as lines of JSON: what export writes and import reads, one origin a line. Pure.

    {"multihash":"f1220…","kind":"http","address":"https://…","account":"","added_s":1700000000.0,
     "size_bytes":null,"first_success_s":0.0,"last_success_s":0.0,"last_failure_s":0.0,
     "profile":"","sub_path":"","is_cut":false}

Read in any order of members; what is not given has the value shown, what is unknown is passed over.
"""

import json
from typing import Any, Final

from blockstore.origin import OPERATOR, Origin, OriginKind
from blockstore.origin_rows import is_name
from content.cid import Cid
from runtime.errors import BadRequest

# Each byte of address and path may take six (\u00e4); with room for the rest
LINE_BYTES_MAX: Final = 65_536
_TIMES: Final = ("added_s", "first_success_s", "last_success_s", "last_failure_s")
_TIME_MAX_S: Final = 2.0**53
_SIZE_MAX: Final = 2**63


def as_json(name: bytes, origin: Origin) -> dict[str, Any]:
    """The members of a line."""
    return {
        "multihash": "f" + name.hex(),
        "kind": origin.kind.value,
        "address": origin.address,
        "account": origin.account,
        "added_s": origin.added_s,
        "size_bytes": origin.size_bytes,
        "first_success_s": origin.first_success_s,
        "last_success_s": origin.last_success_s,
        "last_failure_s": origin.last_failure_s,
        "profile": origin.profile,
        "sub_path": origin.sub_path,
        "is_cut": origin.is_cut,
    }


def line(name: bytes, origin: Origin) -> bytes:
    """One line, with its end."""
    return json.dumps(as_json(name, origin), separators=(",", ":")).encode() + b"\n"


def parsed(raw: bytes, account: str | None = None) -> tuple[bytes, Origin]:
    """(name, origin) of a line; with `account` it becomes that account's, whatever it says.

    `multihash` may also be given as `cid`. Files of this machine are the operator's alone to name. Raises
    BadRequest.
    """
    if len(raw) > LINE_BYTES_MAX:
        raise BadRequest(f"a line of more than {LINE_BYTES_MAX} bytes")
    try:
        members = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("not a line of JSON", where=raw[:80].decode("utf-8", "replace")) from None
    if not isinstance(members, dict):
        raise BadRequest("a line holds one object", where=raw[:80].decode("utf-8", "replace"))
    name = _name(members)
    try:
        kind = OriginKind(_text(members, "kind"))
    except ValueError:
        raise BadRequest("there is no such kind of origin", where=_text(members, "kind")[:80]) from None
    owner = _text(members, "account", OPERATOR) if account is None else account
    if kind is OriginKind.LOCAL and owner != OPERATOR:
        raise BadRequest("a file of this machine is no origin that an account may name")
    added_s, first_s, last_s, failure_s = (_time(members, each) for each in _TIMES)
    return name, Origin(
        kind,
        _text(members, "address"),
        owner,
        added_s,
        _size(members),
        first_s,
        last_s,
        failure_s,
        _text(members, "profile", ""),
        _text(members, "sub_path", ""),
        members.get("is_cut") is True,
    )


def _name(members: dict[str, Any]) -> bytes:
    if "cid" in members and "multihash" not in members:
        name = Cid.parse(_text(members, "cid")).multihash
    else:
        text = _text(members, "multihash")
        try:
            name = bytes.fromhex(text[1:])
        except ValueError:
            name = b""
        name = name if text.startswith("f") else b""
    if not is_name(name):
        raise BadRequest("not a multihash in base 16 (f1220…), nor a CID that needs an origin")
    return name


def _text(members: dict[str, Any], key: str, default: str | None = None) -> str:
    found = members.get(key, default)
    if not isinstance(found, str):
        raise BadRequest(f"{key} is a text", where=key)
    return found


def _time(members: dict[str, Any], key: str) -> float:
    found = members.get(key, 0.0)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= _TIME_MAX_S:
        raise BadRequest(f"{key} is a number of seconds since 1970", where=key)
    return float(found)


def _size(members: dict[str, Any]) -> int | None:
    found = members.get("size_bytes")
    if found is not None and (isinstance(found, bool) or not isinstance(found, int)):
        raise BadRequest("size_bytes is a whole number", where="size_bytes")
    if found is not None and not 0 <= found <= _SIZE_MAX:
        raise BadRequest("size_bytes is a whole number", where="size_bytes")
    return found
