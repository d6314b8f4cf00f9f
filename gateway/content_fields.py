"""Fields that answers about content share: its names, caching, other origins, file names. Pure.

Sources: the path gateway specification (X-Ipfs-Path, X-Ipfs-Roots, Cache-Control, Content-Disposition),
RFC 8246 (immutable), RFC 6266 and RFC 8187 (file names), the Fetch standard (CORS).
"""

from typing import Final
from urllib.parse import quote

from content import names
from gateway.content_request import ContentRequest, Target, encoded
from gateway.representation import Fields

# As long as other gateways say; content under a CID never changes
FOREVER: Final = "public, max-age=29030400, immutable"
# A page made here about content: its look may change with our next version
GENERATED: Final = "public, max-age=604800, stale-while-revalidate=2678400"
CORS: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    ("Access-Control-Allow-Headers", "Content-Type, Range, User-Agent, X-Requested-With"),
    (
        "Access-Control-Expose-Headers",
        "Content-Length, Content-Range, X-Chunked-Output, X-Fleek-Blake3, X-Ipfs-Path, X-Ipfs-Roots, "
        "X-Stream-Output",
    ),
)
# Server-Timing of an answer for which nothing was fetched
HERE: Final = "cache;desc=hit"
_PATH_MAX: Final = 2048  # of X-Ipfs-Path: longer than any request line here


def content_fields(asked: ContentRequest, target: Target, etag: str, *, generated: bool = False) -> Fields:
    """What every answer about content says: of caching, of its way here, and to other origins."""
    return [
        ("ETag", etag),
        ("Cache-Control", cache_control(target, generated=generated)),
        ("X-Ipfs-Path", _path(asked)),
        ("X-Ipfs-Roots", ",".join(cid.text() for cid in target.resolved.along)),
        ("Vary", "Accept"),
        ("Server-Timing", HERE),
        *CORS,
    ]


def located(asked: ContentRequest, parameters: str = "") -> Fields:
    """Content-Location of a form that only Accept asked for: the URL that says so itself, for caches.

    `parameters`: more of the query, as in `&car-dups=y`. Source: the path gateway specification.
    """
    if not asked.asked.by_accept:
        return []
    kept = f"{asked.request.query}&" if asked.request.query else ""
    return [("Content-Location", f"{asked.request.path}?{kept}format={asked.asked.form.value}{parameters}")]


def timed(fields: Fields, fetch_ms: float) -> Fields:
    """The same fields for an answer that waited for other nodes."""
    text = f"cache;desc=miss, fetch;dur={fetch_ms:.1f}"
    return [(name, text if name == "Server-Timing" else value) for name, value in fields]


def cache_control(target: Target, *, generated: bool = False) -> str:
    """How long an answer may be kept: content for ever, behind a name as long as the name says."""
    if target.ttl_s is None:
        return GENERATED if generated else FOREVER
    return f"public, max-age={max(0, int(target.ttl_s))}"


def blake3_fields(root: bytes) -> Fields:
    """The BLAKE3 name of a file, under which it has proofs."""
    return [("X-Fleek-Blake3", names.hex(root))]


def disposition(kind: str, file_name: str) -> tuple[str, str]:
    """Content-Disposition with an ASCII name for old clients and the true one (RFC 6266 §4.3)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%/' else "_" for c in file_name)
    text = f'{kind}; filename="{plain}"'
    if plain != file_name:
        true_name = quote(file_name.encode("utf-8", "surrogateescape"), safe="!#$&+.^_`|~-")
        text += f"; filename*=UTF-8''{true_name}"
    return "Content-Disposition", text


def named(asked: ContentRequest, kind: str, default: str) -> tuple[str, str]:
    """Content-Disposition under the name that `?filename=` gives, else `default`."""
    forced = "attachment" if asked.query.get("download") == "true" else kind
    return disposition(forced, _file_name(asked.query.get("filename") or default))


def _file_name(text: str) -> str:
    """A name without a way to leave the folder it is saved in."""
    return text.replace("\\", "/").rpartition("/")[2][:255] or "download"


def _path(asked: ContentRequest) -> str:
    path = f"/{asked.namespace}/{asked.root_text}"
    if asked.raw_path:
        path += "/" + "/".join(encoded(segment) for segment in asked.segments)
        path += "/" if asked.has_slash and asked.segments else ""
    return path[:_PATH_MAX]
