"""What a request to the Pinning Service API asks: its query and its body, read strictly. Pure.

Source: IPFS Pinning Service API 1.0.0. Every error names the field at fault. Parameters and members that the
specification does not know are ignored, as it leaves room for them; what it knows must be as it says.
Called by `pinning.api`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from content import cid as codecs
from content import multihash
from content.cid import Cid
from pinning import timestamps
from pinning.named_origin import check_origin
from pinning.pin import (
    CIDS_MAX,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    NAME_CHARS_MAX,
    ORIGINS_MAX,
    Filter,
    Match,
    Status,
    Wish,
)
from pinning.rows import META_BYTES_MAX, META_PAIRS_MAX
from runtime.errors import BadRequest

PINNED_UNTIL: Final = "pinned_until"  # the meta key that gives a pin an end, and the info key that tells it
# A pin with all its origins and meta at their longest, escaped
BODY_BYTES_MAX: Final = 131_072
_PARAMETERS_MAX: Final = 64  # eight are known
# Codecs whose links are known; a block of any other could be kept without what it links to
_CODECS: Final = (codecs.RAW, codecs.DAG_PB, codecs.DAG_CBOR, codecs.DAG_JSON, codecs.CBOR, codecs.JSON)
_KNOWN: Final = ("cid", "name", "match", "status", "before", "after", "limit", "meta")
_FILTERS: Final = frozenset(("cid", "name", "status", "before", "after", "meta"))
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Listing:
    """Which pins `GET /pins` asks for, and how many at most."""

    wanted: Filter
    limit: int


def listing(query: str) -> Listing:
    """What the query of `GET /pins` asks for. Raises BadRequest.

    Without any filter only pinned ones are meant, as the specification says. With one, pins of every status:
    clients page by `before` and expect to meet what is queued.
    """
    given = _parameters(query)
    if _FILTERS.isdisjoint(given):
        wanted = Filter(statuses=frozenset((Status.PINNED,)))
    else:
        name = given.get("name")
        wanted = Filter(
            cids=tuple(_distinct(map(_filter_cid, _listed(given, "cid", CIDS_MAX)), "cid")),
            name=None if name is None else _bounded(name, "name"),
            statuses=frozenset(_distinct(map(_status, _listed(given, "status", len(Status))), "status")),
            before_ns=timestamps.read(given["before"], "before", up=True) if "before" in given else None,
            after_ns=timestamps.read(given["after"], "after") if "after" in given else None,
            meta=_meta(_json(given["meta"], "meta"), "meta") if "meta" in given else {},
            match=_match(given),
        )
    _match(given)
    return Listing(wanted, _limit(given.get("limit")))


def wish(body: bytes, now_s: float) -> Wish:
    """The pin that a request body describes. Raises BadRequest.

    Refused are also CIDs whose content could not be verified or whose links could not be followed.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest("the body is not UTF-8", where=f"body, byte {error.start}") from None
    pin = _json(text, "body")
    if not isinstance(pin, dict):
        raise BadRequest("the body is not a JSON object", where="body", hint='as in {"cid":"bafy…"}')
    if "cid" not in pin:
        raise BadRequest("a pin names the CID to keep", where="cid")
    meta = _meta(pin["meta"], "meta") if "meta" in pin else {}
    return Wish(
        cid=_pinned_cid(_text(pin["cid"], "cid")),
        name=_bounded(_text(pin["name"], "name"), "name") if "name" in pin else None,
        origins=_origins(pin["origins"]) if "origins" in pin else (),
        meta=meta,
        expires_s=_expires_s(meta, now_s),
    )


# ---- parameters


def _parameters(query: str) -> dict[str, str]:
    """The known parameters of a query by name, decoded as forms are (`+` is a space)."""
    parts = query.split("&") if query else []
    if len(parts) > _PARAMETERS_MAX:
        raise BadRequest(f"the query has more than {_PARAMETERS_MAX} parameters", where="query")
    found: dict[str, str] = {}
    for part in parts:
        raw_name, _, raw = part.partition("=")
        name = _decoded(raw_name, "query")
        if name not in _KNOWN:
            continue
        if name in found:
            hint = f"several values are joined by commas: {name}=a,b" if name in ("cid", "status") else ""
            raise BadRequest("the parameter is given twice", where=name, hint=hint)
        found[name] = _decoded(raw, name)
    return found


def _decoded(raw: str, where: str) -> str:
    if _BAD_ESCAPE.search(raw):
        raise BadRequest("a % that is not followed by two hexadecimal digits", where=where, hint="% is %25")
    try:
        return unquote_to_bytes(raw.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("percent-encoded bytes that are not UTF-8", where=where) from None


def _listed(given: dict[str, str], name: str, count_max: int) -> list[str]:
    if name not in given:
        return []
    values = given[name].split(",")
    if len(values) > count_max:
        raise BadRequest(f"{len(values)} values; at most {count_max} are taken", where=name)
    return values


def _distinct(values: Iterable[_T], where: str) -> list[_T]:
    taken = list(values)
    if len(set(taken)) != len(taken):
        raise BadRequest("a value is given twice", where=where)
    return taken


def _filter_cid(text: str) -> Cid:
    try:
        return Cid.parse(text)
    except BadRequest as error:
        raise BadRequest(f"{text[:80]!r}: {error.message}", where="cid") from None


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        hint = ", ".join(Status)
        raise BadRequest(f"{text[:40]!r} is no status", where="status", hint=f"there are {hint}") from None


def _match(given: dict[str, str]) -> Match:
    try:
        return Match(given.get("match", Match.EXACT))
    except ValueError:
        hint = f"there are {', '.join(Match)}"
        raise BadRequest(f"{given['match'][:40]!r} is no way to match", where="match", hint=hint) from None


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if _LIMIT.fullmatch(text) is None or int(text) > LIMIT_MAX:
        raise BadRequest(f"{text[:20]!r} is not a whole number from 1 to {LIMIT_MAX}", where="limit")
    return int(text)


# ---- bodies


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_members)
    except RecursionError:
        raise BadRequest("the JSON is nested too deeply", where=where) from None
    except ValueError as error:
        reason = f"line {error.lineno}, {error.msg}" if isinstance(error, json.JSONDecodeError) else error
        raise BadRequest(f"not JSON: {reason}", where=where) from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        hint = "leave out what you do not want to set" if value is None else ""
        raise BadRequest("the value is not a string", where=where, hint=hint)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequest("half of a surrogate pair is no character", where=where) from None
    return value


def _bounded(name: str, where: str) -> str:
    if len(name) > NAME_CHARS_MAX:
        raise BadRequest(f"{len(name)} characters; at most {NAME_CHARS_MAX} are taken", where=where)
    return name


def _pinned_cid(text: str) -> Cid:
    cid = _filter_cid(text)
    if cid.codec not in _CODECS:
        hint = "raw, dag-pb, dag-cbor, dag-json, cbor and json can be pinned"
        raise BadRequest(
            f"the links of codec {cid.codec_name} cannot be followed here", where="cid", hint=hint
        )
    try:
        multihash.verify(cid.multihash, b"")  # raises unless it can be told
    except BadRequest as error:
        raise BadRequest(f"the content cannot be verified: {error.message}", where="cid") from None
    return cid


def _origins(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadRequest("origins are an array of strings", where="origins")
    if len(value) > ORIGINS_MAX:
        raise BadRequest(f"{len(value)} origins; at most {ORIGINS_MAX} are taken", where="origins")
    return tuple(_distinct(map(_origin, value), "origins"))


def _origin(value: object) -> str:
    text = _text(value, "origins")
    check_origin(text, "origins")
    return text


def _meta(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise BadRequest("meta is a JSON object of strings", where=where, hint='as in {"app":"wiki"}')
    if len(value) > META_PAIRS_MAX:
        raise BadRequest(f"{len(value)} keys; at most {META_PAIRS_MAX} are taken", where=where)
    meta = {_text(key, where): _text(item, f"{where}[{key[:40]!r}]") for key, item in value.items()}
    size_bytes = sum(len(key.encode()) + len(item.encode()) for key, item in meta.items())
    if size_bytes > META_BYTES_MAX:
        raise BadRequest(f"{size_bytes} bytes of keys and values; at most {META_BYTES_MAX}", where=where)
    return meta


def _expires_s(meta: dict[str, str], now_s: float) -> float | None:
    if PINNED_UNTIL not in meta:
        return None
    return timestamps.read_end(meta[PINNED_UNTIL], f"meta[{PINNED_UNTIL}]", now_s)
