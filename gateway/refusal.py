"""Refusals that must carry a field of their own: 405 with Allow, 416 with Content-Range.

All others are raised as `EdgeError`, and `net` makes the answer; about content, `told` does.
"""

import json

from net.answer import Answer
from net.http1 import Request
from runtime.errors import BadRequest, EdgeError, MethodNotAllowed


def not_allowed(request: Request, allow: str) -> Answer:
    """405 (RFC 9110 §15.5.6 requires Allow)."""
    error = MethodNotAllowed(f"{request.method[:16]} is not done here", where=request.path[:80], hint=allow)
    return _answer(error, 405, ("Allow", allow))


def unsatisfiable(size_bytes: int, account: str | None) -> Answer:
    """416 that tells the size (RFC 9110 §15.5.17)."""
    error = BadRequest(
        "no range lies inside the content", where="Range", hint=f"the content has {size_bytes} bytes"
    )
    answer = _answer(error, 416, ("Content-Range", f"bytes */{size_bytes}"))
    answer.account = account
    return answer


def _answer(error: EdgeError, status: int, field: tuple[str, str]) -> Answer:
    body = json.dumps(error.as_json()).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), field]
    return Answer(status=status, fields=fields, body=body, length=len(body), kind="error")


def told(error: EdgeError, request: Request) -> Answer:
    """An error about content: the usual JSON for who names that type in Accept, else plain text.

    People, and the tools of other gateways, read text.
    """
    status = error.outcome.http_status
    as_json = "application/json" in (request.fields.get("accept") or "").lower()
    lines = [
        error.message,
        f"  where: {error.where}" if error.where else "",
        f"  {error.hint}" if error.hint else "",
    ]
    text = json.dumps(error.as_json()) if as_json else "\n".join(line for line in lines if line)
    body = text.encode("utf-8", "replace") + b"\n"
    fields = [
        ("Content-Type", "application/json" if as_json else "text/plain; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Access-Control-Allow-Origin", "*"),
    ]
    if error.outcome.may_retry:
        fields.append(("Retry-After", "5"))
    if status == 401:
        fields.append(("WWW-Authenticate", 'Bearer realm="fleek-edge"'))
    return Answer(status=status, fields=fields, body=body, length=len(body), kind="error")
