"""The media type of a file: by its name, else by how it begins. Pure.

Names first, as every web server does; the beginning after the rules that browsers use themselves (WHATWG
MIME sniffing, §6 and §7), so that a text without a name is shown and not saved.
"""

import json
import re
from mimetypes import MimeTypes
from typing import Final

SNIFF_BYTES: Final = 512
UNKNOWN: Final = "application/octet-stream"
_TEXT_LIKE: Final = frozenset(
    ("application/javascript", "application/xml", "application/manifest+json", "image/svg+xml")
)
# Types that this interpreter's table lacks or has otherwise than the web (IANA registry)
_OURS: Final = {
    ".avif": "image/avif",
    ".car": "application/vnd.ipld.car",
    ".gz": "application/gzip",
    ".js": "text/javascript",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_TABLE: Final = MimeTypes(filenames=())  # the interpreter's own table, not the machine's: the same everywhere
_MAGIC: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x00asm", "application/wasm"),
    (b"OggS\x00", "application/ogg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
)
_HTML: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<title", b"<!--")
_JSON_START: Final = re.compile(rb'\{\s*"[^"]*"\s*:|\[\s*[\[{"]')
_BINARY: Final = frozenset((*range(9), 11, *range(14, 27), *range(28, 32)))


def by_name(file_name: str) -> str | None:
    """The type that a file's name tells; None where it tells none."""
    _, dot, extension = file_name.rpartition(".")
    if dot:
        suffix = f".{extension.lower()}"
        known = _OURS.get(suffix) or _TABLE.types_map[True].get(suffix)
        if known is not None:
            return _with_charset(known)
    return None


def _with_charset(kind: str) -> str:
    return f"{kind}; charset=utf-8" if kind.startswith("text/") or kind in _TEXT_LIKE else kind


def by_beginning(beginning: bytes) -> str:
    """The type of a file whose first SNIFF_BYTES, or all of it, are `beginning`."""
    for magic, kind in _MAGIC:
        if beginning.startswith(magic):
            return kind
    if beginning[:4] == b"RIFF" and beginning[8:12] in (b"WEBP", b"WAVE"):
        return "image/webp" if beginning[8:12] == b"WEBP" else "audio/wav"
    if beginning[4:8] == b"ftyp":
        return "image/avif" if beginning[8:12] == b"avif" else "video/mp4"
    start = beginning.lstrip(b" \t\r\n\x0c").lower()
    if start.startswith(_HTML):
        return "text/html; charset=utf-8"
    if start.startswith(b"<?xml"):
        return "image/svg+xml; charset=utf-8" if b"<svg" in start else "text/xml; charset=utf-8"
    if start.startswith(b"<svg"):
        return "image/svg+xml; charset=utf-8"
    if _BINARY.intersection(beginning):
        return UNKNOWN
    return "application/json" if _is_json(start) else "text/plain; charset=utf-8"


def _is_json(start: bytes) -> bool:
    """Whether a text is an object or array of JSON, as far as its beginning tells."""
    if len(start) >= SNIFF_BYTES - 16:
        return _JSON_START.match(start) is not None
    try:
        return start[:1] in (b"{", b"[") and isinstance(json.loads(start), dict | list)
    except ValueError:
        return False
