"""A UnixFS directory: its index page, the redirect to its slash, or a listing made here."""

from typing import Final

from content.cid import Cid
from content.unixfs import directory
from gateway.conditional import Verdict, evaluate_read
from gateway.content_fields import content_fields
from gateway.content_request import ContentRequest, Reading, Target, encoded
from gateway.file_answer import FileShown, file_answer
from gateway.hosts import SiteKind
from gateway.listing import LISTING_VERSION, Listing, listing_items
from gateway.representation import bodiless
from net.answer import Answer

INDEX: Final = "index.html"


def directory_answer(asked: ContentRequest, target: Target, reading: Reading) -> Answer:
    """The directory a path ends in. Raises BlockMissing."""
    cid = target.resolved.terminal
    block = reading.read(cid)
    if not asked.has_slash:
        return _to_slash(asked, target)
    index, _ = directory.lookup(cid, block, INDEX, reading.read)
    if index is not None:
        reading.deny.check(index)
        return file_answer(asked, target, reading, FileShown(index, INDEX, cid))
    etag = f'"DirIndex-{LISTING_VERSION}_CID-{cid.text()}"'
    fields = content_fields(asked, target, etag, generated=True)
    verdict = evaluate_read(etag, asked.request)
    if verdict is not Verdict.PERFORM:
        return bodiless(verdict, fields, asked.account)
    fields += [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    # a sharded directory lacks no shard, or it is not listed: a part is not the whole
    entries = directory.entries(cid, block, reading.read)
    body = listing_items(_listing(asked, cid), entries)
    return Answer(200, fields, body, kind="listing", account=asked.account)


def _to_slash(asked: ContentRequest, target: Target) -> Answer:
    """301 to the same path with a slash, so that relative links in an index page mean what they say."""
    prefix = "" if asked.site.is_isolated else f"/{asked.namespace}/{asked.root_text}"
    path = prefix + "".join(f"/{encoded(segment)}" for segment in asked.segments) + "/"
    query = f"?{asked.request.query}" if asked.request.query else ""
    fields = content_fields(asked, target, f'"{target.resolved.terminal.text()}"')
    kept = [(name, text) for name, text in fields if name not in ("ETag",)]
    return Answer(301, [*kept, ("Location", path + query)], b"", kind="other", account=asked.account)


def _listing(asked: ContentRequest, cid: Cid) -> Listing:
    site = asked.site
    mount = "" if site.is_isolated else f"/{asked.namespace}/{encoded(asked.root_text)}"
    root_text = asked.root_text
    if site.kind is SiteKind.DNSLINK:
        crumbs_at, root_href = f"//{site.base}", f"//{site.base}/"
        hashes_at = "https://cid.ipfs.tech/#"
    elif site.kind is SiteKind.SUBDOMAIN:
        crumbs_at = root_href = f"//{site.base}/{asked.namespace}/{encoded(root_text)}"
        hashes_at = f"//{site.base}/ipfs/"
    else:
        crumbs_at = root_href = mount
        hashes_at = "/ipfs/"
    return Listing(
        cid=cid,
        namespace=asked.namespace,
        root_text=root_text,
        segments=asked.segments,
        mount=mount,
        root_href=root_href,
        crumbs_at=crumbs_at,
        hashes_at=hashes_at,
        hashes_leave=site.kind is SiteKind.DNSLINK,
    )
