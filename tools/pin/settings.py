"""The services that a user has named, and their tokens: `pin.toml`, read and written.

    use = "mine"
    [service.mine]
    endpoint = "https://edge.example/pinning/v1"
    token = "flk_…"

Invariants
 1. The file is never read while others than its owner may read or write it; `settings_file` writes it 0600,
    whole or not at all.
 2. A token is shown by nothing here: not in messages, not in the form a service has in a traceback.
"""

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from runtime.errors import EdgeError, Forbidden, NotFound, UsageError
from tools.frame.walk import translated

FROM_ENVIRONMENT: Final = "environment"  # name of the service at $FLEEK_PIN_ENDPOINT
_FILE_BYTES_MAX: Final = 1 << 20
_TOKEN_CHARS_MAX: Final = 4096  # JWTs of some services have a thousand
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Service:
    """A pinning service: the URL that `/pins` follows, and what says who asks."""

    name: str
    endpoint: str
    token: str | None = field(default=None, repr=False)


@dataclass(slots=True)
class Settings:
    """What `pin.toml` holds. `use`: the service that is asked when none is named."""

    path: Path
    services: dict[str, Service] = field(default_factory=dict)
    use: str | None = None

    def service(self, name: str) -> Service:
        """A service by name. Raises NotFound."""
        found = self.services.get(name)
        if found is None:
            known = ", ".join(sorted(self.services)) or "none"
            hint = f"known: {known}; `fleek-pin service add {name} URL` adds it"
            raise NotFound(f"no service is named {name!r}", where=str(self.path), hint=hint)
        return found

    def text(self) -> str:
        """The file that says this; it holds tokens."""
        # JSON's strings are TOML's too
        lines = [] if self.use is None else [f"use = {json.dumps(self.use)}"]
        for name, service in sorted(self.services.items()):
            lines += ["", f'[service."{name}"]', f"endpoint = {json.dumps(service.endpoint)}"]
            lines += [] if service.token is None else [f"token = {json.dumps(service.token)}"]
        return "\n".join(lines).lstrip() + "\n"


def settings_path(environ: Mapping[str, str]) -> Path:
    """`$FLEEK_PIN_CONFIG`, else `fleek/pin.toml` in the XDG configuration folder."""
    named = environ.get("FLEEK_PIN_CONFIG")
    if named:
        return Path(named)
    base = environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    return folder / "fleek" / "pin.toml"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """What is configured; nothing where there is no file. Raises UsageError, Forbidden."""
    path = settings_path(environ)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & _OTHERS:
                hint = f"chmod 600 {path}; if others may have read it, revoke the tokens in it"
                raise Forbidden("the file holds tokens and others may use it", where=str(path), hint=hint)
            raw = file.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return Settings(path)
    except OSError as fault:
        raise translated(fault, path) from None
    try:
        table = tomllib.loads(raw[:_FILE_BYTES_MAX].decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise UsageError(f"the file is not valid TOML: {fault}", where=str(path)) from None
    return _settings(path, table)


def checked_name(name: str, where: str = "NAME") -> str:
    """`name` when a service may be called so. Raises UsageError."""
    if _NAME.fullmatch(name) is None:
        hint = "letters, digits, dots, dashes and underscores; at most 64"
        raise UsageError(f"not a name for a service: {name[:100]!r}", where=where, hint=hint)
    return name


def checked_endpoint(text: str, where: str = "endpoint") -> str:
    """`text` as the URL that `/pins` follows. Raises UsageError: a password never stands in a URL."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as fault:
        raise UsageError(f"not a URL: {fault}", where=where) from None
    plain = text.isascii() and text.isprintable() and " " not in text
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        hint = "such as https://api.example.com/psa or http://127.0.0.1:8080/pinning/v1"
        raise UsageError("not an http:// or https:// address of a service", where=where, hint=hint)
    if "@" in parts.netloc:
        raise UsageError("a password does not belong in an address", where=where, hint="`fleek-pin login`")
    if parts.query or parts.fragment:
        raise UsageError("an endpoint has no query", where=where)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/pins')}"


def checked_token(text: str, where: str) -> str:
    """`text` as a token. Raises UsageError, which does not repeat it."""
    token = text.strip()
    if not token or len(token) > _TOKEN_CHARS_MAX or not token.isascii() or not token.isprintable():
        raise UsageError("that is no token", where=where, hint="one line of printable ASCII")
    return token


def _settings(path: Path, table: dict[str, Any]) -> Settings:
    unknown = sorted(set(table) - {"use", "service"})
    if unknown:
        raise UsageError(f"unknown key {unknown[0]!r}", where=str(path), hint="known: use, [service.NAME]")
    settings = Settings(path)
    services = table.get("service", {})
    if not isinstance(services, dict):
        raise UsageError("service must be tables: [service.NAME]", where=str(path))
    for name, values in services.items():
        where = f"{path}, [service.{checked_name(name, str(path))}]"
        if not isinstance(values, dict) or set(values) - {"endpoint", "token"}:
            raise UsageError("a service has endpoint and token", where=where)
        endpoint, token = values.get("endpoint"), values.get("token")
        if not isinstance(endpoint, str) or not (token is None or isinstance(token, str)):
            raise UsageError("endpoint and token must be text, endpoint must be there", where=where)
        checked = None if token is None else checked_token(token, where)
        settings.services[name] = Service(name, checked_endpoint(endpoint, where), checked)
    use = table.get("use")
    if use is not None and not isinstance(use, str):
        raise UsageError("use must be the name of a service", where=str(path))
    settings.use = use
    return settings


def service_names(environ: Mapping[str, str], beginning: str) -> list[str]:
    """Names of services, for a shell that completes one; none when they cannot be read."""
    try:
        return [name for name in sorted(read_settings(environ).services) if name.startswith(beginning)]
    except EdgeError:
        return []
