"""Bearer tokens for other servers: from a file or the environment, never an argument, which `ps` shows."""

import os
from pathlib import Path
from typing import Final

from runtime.errors import UsageError
from tools.frame.walk import translated

_TOKEN_BYTES_MAX: Final = 4096


def token_of(token_file: Path | None) -> str | None:
    """The token in `token_file`, else in the environment; None when there is none."""
    return token_from(token_file) if token_file is not None else os.environ.get("FLEEK_EDGE_TOKEN") or None


def token_from(token_file: Path) -> str:
    """The token in a file. Raises UsageError, NotFound."""
    try:
        with token_file.open("rb") as file:
            text = file.read(_TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError as fault:
        raise translated(fault, token_file) from None
    if not text.isascii() or not text.isprintable() or not text:
        raise UsageError("the file holds no token", where=str(token_file), hint="one line, flk_<id>_<secret>")
    return text
