"""`_redirects`: rules of a website for paths that it does not have. Pure.

Source: the web redirects file specification: one rule a line, `from to [status]`, placeholders `:name` and
a splat `*` at the end, first match wins, statuses 200, 301, 302, 303, 307, 308, 404, 410 and 451, 64 KiB.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.content_request import encoded, split_path
from runtime.errors import BadRequest, EdgeError, Kind

FILE_NAME: Final = "_redirects"
MAX_BYTES: Final = 64 << 10
_STATUSES: Final = frozenset((200, 301, 302, 303, 307, 308, 404, 410, 451))
# What may stand in a URL (RFC 3986 §2); anything else in a `to` is percent-encoded
_URL: Final = "!#$%&'()*+,/:;=?@[]~"
_PLACEHOLDER: Final = re.compile(r":([A-Za-z][A-Za-z0-9_]*)")


class RedirectsBroken(EdgeError):
    """A website's `_redirects` cannot be read (500, as the specification has it)."""

    kind = Kind.INTERNAL

    def __init__(self, why: str) -> None:
        super().__init__(f"could not parse _redirects: {why}", where=FILE_NAME)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it applies, where it leads, with which status."""

    pattern: tuple[str, ...]
    to: str
    status: int


@dataclass(frozen=True, slots=True)
class Match:
    """What a rule says of one path. `to` is a path or a URL."""

    to: str
    status: int

    @property
    def is_redirect(self) -> bool:
        """Whether the client is sent there; else the content of `to` is shown with `status`."""
        return 300 <= self.status < 400


def parse(raw: bytes) -> tuple[Rule, ...]:
    """The rules of a file. Raises RedirectsBroken naming the line."""
    if len(raw) > MAX_BYTES:
        raise RedirectsBroken(f"redirects file size cannot exceed {MAX_BYTES} bytes")
    rules = []
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        text = line.split("#", 1)[0].strip() if line.lstrip().startswith("#") else line.strip()
        if not text:
            continue
        rules.append(_rule(text.split(), number))
    return tuple(rules)


def match(rules: tuple[Rule, ...], path: Sequence[str]) -> Match | None:
    """What the first rule that matches `path`, as decoded segments, says; None where none does."""
    for rule in rules:
        found = _placeholders(rule.pattern, path)
        if found is not None:
            return Match(_filled(rule.to, found), rule.status)
    return None


def _filled(to: str, values: dict[str, str]) -> str:
    """`to` with the values of its placeholders, as it may stand in a Location."""
    return quote(_PLACEHOLDER.sub(lambda name: values.get(name[1], name[0]), to), safe=_URL)


def _rule(words: list[str], number: int) -> Rule:
    if not 2 <= len(words) <= 3:
        raise RedirectsBroken(f"line {number} is not `from to [status]`")
    source, to = words[0], words[1]
    status = 301
    if len(words) == 3:
        if not words[2].isascii() or not words[2].isdigit():
            raise RedirectsBroken(f"line {number}: {words[2][:16]!r} is not a status code")
        status = int(words[2])
    if status not in _STATUSES:
        raise RedirectsBroken(f"line {number}: unsupported redirect status {status}")
    if not source.startswith("/"):
        raise RedirectsBroken(f"line {number}: {source[:80]!r} does not begin with a slash")
    if not to.startswith(("/", "https://", "http://", "ipfs://", "ipns://")):
        raise RedirectsBroken(f"line {number}: {to[:80]!r} is neither a path nor a URL")
    if status // 100 != 3 and not to.startswith("/"):
        raise RedirectsBroken(f"line {number}: status {status} needs a path to show")
    if "*" in source[:-1]:
        raise RedirectsBroken(f"line {number}: * may stand at the end only")
    try:
        return Rule(split_path(source), to, status)
    except BadRequest as error:
        raise RedirectsBroken(f"line {number}: {error.message}") from None


def _placeholders(pattern: tuple[str, ...], parts: Sequence[str]) -> dict[str, str] | None:
    """The values of a pattern's placeholders for a path, percent-encoded; None where it does not match."""
    found: dict[str, str] = {}
    for index, piece in enumerate(pattern):
        if piece == "*":
            found["splat"] = "/".join(map(encoded, parts[index:]))
            return found
        if index >= len(parts):
            return None
        if piece.startswith(":"):
            found[piece[1:]] = encoded(parts[index])
        elif piece != parts[index]:
            return None
    return found if len(parts) == len(pattern) else None
