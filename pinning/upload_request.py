"""What a request says of an upload: the wish in its query, and the fields of tus 1.0.0. Pure and strict.

Sources: the tus resumable upload protocol 1.0.0 (core, creation, creation-with-upload, expiration,
termination); the limits of names and meta are those of the IPFS Pinning Service API 1.0.0.
"""

import base64
import binascii
import json
import re
from typing import Final
from urllib.parse import parse_qsl

from net.bearer import Caller
from net.http1 import Request
from pinning import timestamps
from pinning.arrival import Sender
from pinning.car_body import LENGTH_MAX
from pinning.pin import NAME_CHARS_MAX
from runtime.errors import BadRequest, NotImplementedHere, TooLarge

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,expiration,termination"
OFFSET_TYPE: Final = "application/offset+octet-stream"
_PARAMETERS_MAX: Final = 16
_META_MAX: Final = 100  # keys; the API names no bound, and nobody needs more
_META_CHARS_MAX: Final = 8192
_METADATA_CHARS_MAX: Final = 8192
_NUMBER: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_KNOWN: Final = frozenset(("name", "meta", "expires", "profile"))


def parameters(query: str) -> dict[str, str]:
    """The query of an upload. Raises BadRequest for what is unknown, said twice, or not UTF-8."""
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict",
            max_num_fields=_PARAMETERS_MAX,
        )  # fmt: skip
    except (ValueError, UnicodeDecodeError):
        raise BadRequest("the query cannot be read", where=query[:80]) from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in _KNOWN:
            hint = "known are " + ", ".join(sorted(_KNOWN))
            raise BadRequest(f"unknown parameter {name[:32]!r}", where="query", hint=hint)
        if name in found:
            raise BadRequest(f"{name} is given twice", where="query")
        found[name] = value
    return found


def sender(caller: Caller, given: dict[str, str], now_s: float, name: str | None = None) -> Sender:
    """Whose upload it is and how its pins are called; `name` stands in where the query has none.

    Raises BadRequest, also for an end that is not in the future.
    """
    chosen = given.get("name") or name
    if chosen is not None and len(chosen) > NAME_CHARS_MAX:
        raise BadRequest(f"a name has at most {NAME_CHARS_MAX} characters", where="name")
    expires = given.get("expires")
    return Sender(
        caller.account,
        caller.quota_bytes,
        chosen,
        _meta(given.get("meta")),
        None if expires is None else timestamps.read_end(expires, "expires", now_s),
    )


def _meta(text: str | None) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    if len(text) > _META_CHARS_MAX:
        raise BadRequest(f"meta has at most {_META_CHARS_MAX} characters", where="meta")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise BadRequest("meta is not a JSON object of strings", where="meta", hint='as in meta={"app":"x"}')
    if len(found) > _META_MAX:
        raise BadRequest(f"meta has at most {_META_MAX} keys", where="meta")
    return tuple(sorted(found.items()))


# tus


def check_version(request: Request) -> None:
    """Refuse another version of tus; a client that names none speaks this one."""
    given = request.fields.get("tus-resumable")
    if given is not None and given != VERSION:
        raise UnknownVersion(given)


class UnknownVersion(BadRequest):
    """The client speaks a version of tus that this server does not (412, with Tus-Version)."""

    def __init__(self, given: str) -> None:
        super().__init__(f"tus {given[:16]} is not spoken here", where="Tus-Resumable", hint=f"use {VERSION}")


def length_of(request: Request) -> int:
    """The promised length of an upload. Raises BadRequest, TooLarge, NotImplementedHere."""
    if "upload-defer-length" in request.fields:
        raise NotImplementedHere(
            "the length must be known", where="Upload-Defer-Length", hint="send Upload-Length"
        )
    length = _number(request, "upload-length")
    if length > LENGTH_MAX:
        raise TooLarge(f"an upload has at most {LENGTH_MAX} bytes", where="Upload-Length")
    if not length:
        raise BadRequest("an upload of no bytes holds nothing to pin", where="Upload-Length")
    return length


def offset_of(request: Request) -> int:
    """Where the bytes of a PATCH begin. Raises BadRequest."""
    return _number(request, "upload-offset")


def _number(request: Request, name: str) -> int:
    text = request.fields.get(name)
    if text is None or _NUMBER.fullmatch(text) is None:
        raise BadRequest("the field is missing or no number", where=name.title())
    return int(text)


def metadata(request: Request) -> dict[str, str]:
    """Upload-Metadata: keys and base64 values, separated by commas. Raises BadRequest."""
    field = request.fields.get("upload-metadata")
    if not field:
        return {}
    if len(field) > _METADATA_CHARS_MAX:
        raise BadRequest(f"more than {_METADATA_CHARS_MAX} characters", where="Upload-Metadata")
    found: dict[str, str] = {}
    for pair in field.split(","):
        key, _, value = pair.strip(" ").partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise BadRequest("a value is not base64 of UTF-8", where=f"Upload-Metadata {key[:32]}") from None
    return found
