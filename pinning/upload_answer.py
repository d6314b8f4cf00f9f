"""Answers about uploads: JSON of the contract, and the fields that tus and browsers want with it. Pure."""

import json
from typing import Any, Final

from net.answer import Answer
from net.http1 import Request
from pinning import upload_request
from pinning.car_body import LENGTH_MAX
from runtime.errors import EdgeError

KIND: Final = "upload"
# Tokens are sent by scripts on purpose, never by a browser of its own: any page may ask (no cookies are read)
_CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "Location, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires, Tus-Resumable, Tus-Version,"
        " Tus-Extension, Tus-Max-Size",
    ),
)
_TUS: Final = (("Tus-Resumable", upload_request.VERSION),)


def json_answer(status: int, told: dict[str, Any], account: str | None) -> Answer:
    """An object."""
    body = json.dumps(told).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), *_CORS]
    return Answer(status, fields, body, len(body), KIND, account)


def tus_answer(status: int, fields: list[tuple[str, str]], account: str | None) -> Answer:
    """An answer without a body."""
    return Answer(status, [("Cache-Control", "no-store"), *_CORS, *_TUS, *fields], b"", 0, KIND, account)


def gone_on(answer: Answer, fields: list[tuple[str, str]]) -> Answer:
    """The answer with the fields of tus."""
    answer.fields += [*_TUS, *fields]
    return answer


def error_answer(error: EdgeError, *, is_tus: bool) -> Answer:
    """A refusal, as `net` would make it, with the fields that browsers need to show it."""
    status = error.outcome.http_status
    if isinstance(error, upload_request.UnknownVersion):
        status = 412
    answer = json_answer(status, dict(error.as_json()), None)
    answer.kind = "error"
    if error.outcome.may_retry:
        answer.fields.append(("Retry-After", "1"))
    if status == 401:
        answer.fields.append(("WWW-Authenticate", 'Bearer realm="fleek-edge"'))
    if status == 412:
        answer.fields.append(("Tus-Version", upload_request.VERSION))
    return gone_on(answer, []) if is_tus else answer


def options_answer(request: Request, methods: str) -> Answer:
    """What may be done here: for browsers, and for clients of tus."""
    asked = request.fields.get("access-control-request-headers")
    fields = [
        ("Allow", methods),
        ("Access-Control-Allow-Methods", methods),
        ("Access-Control-Allow-Headers", _ALLOWED if asked else "*"),
        ("Access-Control-Max-Age", "86400"),
        ("Tus-Version", upload_request.VERSION),
        ("Tus-Extension", upload_request.EXTENSIONS),
        ("Tus-Max-Size", str(LENGTH_MAX)),
    ]
    return tus_answer(204, fields, None)


_ALLOWED: Final = (
    "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Offset, Upload-Metadata,"
    " Upload-Defer-Length, X-Requested-With"
)
