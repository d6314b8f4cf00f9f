"""What a request for content asks: host, namespace, path and query, understood. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from blockstore import Blob
from blockstore.block_slice import Slice
from content.block import BlockReader
from content.cid import Cid
from content.path import Resolved
from gateway.formats import Asked
from gateway.hosts import Site
from gateway.ports import DagStore, Deny, Fetcher
from net.http1 import Request
from runtime.errors import BadRequest

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True, slots=True)
class ContentRequest:
    """A request for content under a root.

    `root_text` as the client wrote it; `raw_path`: what follows the root, percent-encoded, with its
    slashes; `segments`: the same decoded.
    """

    request: Request
    site: Site
    namespace: str
    root_text: str
    raw_path: str
    segments: tuple[str, ...]
    query: dict[str, str]
    asked: Asked
    account: str | None = None

    @property
    def ipfs_path(self) -> str:
        """The content path, as X-Ipfs-Path tells it."""
        return f"/{self.namespace}/{self.root_text}{self.raw_path}"

    @property
    def has_slash(self) -> bool:
        """Whether the path ends in a slash (an origin's own root always does)."""
        return self.raw_path.endswith("/") or (self.site.is_isolated and not self.raw_path)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a content request leads: an immutable root, the way from it, and how long that holds."""

    root: Cid
    segments: tuple[str, ...]
    resolved: Resolved
    ttl_s: float | None  # None: for ever


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer may use. `root`: of the request; what is missing below it may come from its origins."""

    dag: DagStore
    read: BlockReader
    deny: Deny
    fetcher: Fetcher | None
    root: Cid | None = None

    def file(self, cid: Cid) -> Blob | None:
        """The blob that is the whole file; None also where a part of it has to be fetched again."""
        return self.dag.file(cid) if self.fetcher is None else self.dag.whole_file(cid)

    def slice(self, cid: Cid) -> Slice | None:
        """Where a block lies; None also where it has to be fetched again."""
        return self.dag.slice(cid) if self.fetcher is None else self.dag.sound_slice(cid)


def split_path(raw: str) -> tuple[str, ...]:
    """The decoded segments of a percent-encoded path. Raises BadRequest.

    `.` and `..` are resolved as RFC 3986 §5.2.4 does, percent-encoded ones too (§6.2.2.2: a dot is the same
    either way, and browsers take it so); names that are no UTF-8 are kept as they are.
    """
    segments: list[str] = []
    for part in raw.split("/"):
        decoded = unquote_to_bytes(part).decode("utf-8", "surrogateescape")
        if decoded in ("", "."):
            continue
        if decoded == "..":
            if segments:
                segments.pop()
            continue
        if "\0" in decoded:
            raise BadRequest("a path holds a NUL byte", where=raw[:80])
        segments.append(decoded)
    return tuple(segments)


def encoded(segment: str) -> str:
    """A segment as it stands in a URL."""
    if _PLAIN.fullmatch(segment):
        return segment  # nearly all there are, and `quote` takes 10 us
    return quote(segment.encode("utf-8", "surrogateescape"), safe="!$&'()*+,;=:@~-._")


def parse_query(text: str) -> dict[str, str]:
    """The first value of each parameter; `+` stays what it is. Raises BadRequest when there are too many."""
    found: dict[str, str] = {}
    parts = text.split("&") if text else []
    if len(parts) > 64:
        raise BadRequest("a query of more than 64 parameters", where=text[:80])
    for part in parts:
        name, _, value = part.partition("=")
        decoded = unquote_to_bytes(value).decode("utf-8", "replace")
        found.setdefault(unquote_to_bytes(name).decode("utf-8", "replace"), decoded)
    return found
