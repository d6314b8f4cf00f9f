"""The page at `/` of the public listener: what this is and how to ask for something."""

from pathlib import Path
from typing import Final

from gateway.refusal import not_allowed
from net.answer import Answer
from net.http1 import Request

_PAGE: Final = Path(__file__).with_name("landing.html").read_bytes()


def landing_answer(request: Request) -> Answer:
    """The page, for GET and HEAD; 405 for others."""
    if request.method not in ("GET", "HEAD"):
        return not_allowed(request, "GET, HEAD")
    return Answer(
        status=200,
        fields=[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "public, max-age=3600"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("X-Content-Type-Options", "nosniff"),
        ],
        body=_PAGE,
        length=len(_PAGE),
        kind="page",
        account=None,
    )
