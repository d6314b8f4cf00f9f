"""The memoised answer to a plain GET of a file by CID or path: the same turn as a blob by its hash."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from blockstore import Blob
from content.cid import DAG_PB, RAW, Cid
from content.path import resolve
from content.unixfs import directory
from content.unixfs.message import Kind
from gateway.content_app import ContentApp
from gateway.content_request import ContentRequest, Reading, Target, split_path
from gateway.file_answer import KIND, FileShown, file_representation
from gateway.formats import Asked, Format
from gateway.hosts import Site, SiteKind
from gateway.mended import file_span
from gateway.representation import Fields
from net.answer import Piece
from net.fields import Fields as RequestFields
from net.http1 import Request

_PATH: Final = Site(SiteKind.PATH, "http", "")
_NATIVE: Final = Asked(Format.NATIVE)


@dataclass(frozen=True, slots=True)
class ContentHit:
    """What a hit is made of."""

    head: bytes
    blob: Blob
    kind: str
    otherwise: Callable[[], Piece] | None = None

    @classmethod
    def of(
        cls, fields: Fields, blob: Blob, kind: str, otherwise: Callable[[], Piece] | None = None
    ) -> "ContentHit":
        """The hit that sends `blob` whole under `fields`; `otherwise` as `net.answer.Hit` has it."""
        lines = [*fields, ("Content-Length", str(blob.size_bytes))]
        head = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("latin-1") + b"\r\n"
        return cls(head, blob, kind, otherwise)


def content_hit(content: ContentApp, target: str) -> ContentHit | None:
    """The hit for `/ipfs/<cid>[/path]` that is a whole file here; None sends it the general way.

    Raises EdgeError, also BlockMissing and Blocked: the general way meets the same.
    """
    if "?" in target or target.endswith("/") or "#" in target:
        return None
    root_text, slash, more = target[6:].partition("/")
    segments = split_path(more)
    if "%" in root_text or "//" in more or "/." in slash + more:
        return None
    root = Cid.parse(root_text)
    content.deny.check_path("ipfs", root_text, segments)
    reading = Reading(content.dag, content.read_checked, content.deny, None)
    resolved = resolve(root, segments, reading.read)
    cid = resolved.terminal
    if resolved.remainder or cid.codec not in (RAW, DAG_PB):
        return None
    if cid.codec == DAG_PB and directory.kind_of(cid, reading.read(cid)) not in (Kind.FILE, Kind.RAW):
        return None
    blob = content.dag.file(cid)
    if blob is None or (blob.damaged_segments and content.fetcher is not None):
        return None
    content.deny.check(cid)
    content.deny.check_way(resolved.along, segments)
    request = Request("GET", target, target, "", (1, 1), RequestFields(()), True, None, False, False)
    asked = ContentRequest(request, _PATH, "ipfs", root_text, slash + more, segments, {}, _NATIVE)
    name = segments[-1] if segments else ""
    shown = file_representation(
        asked, Target(root, segments, resolved, None), reading, FileShown(cid, name, cid)
    )
    otherwise = None
    if content.fetcher is not None:
        sound = Reading(content.dag, content.read_sound, content.deny, content.fetcher, root)
        otherwise = partial(file_span, cid, sound, blob, 0, blob.size_bytes)
    return ContentHit.of([*shown.fields, ("Content-Type", shown.content_type)], blob, KIND, otherwise)
