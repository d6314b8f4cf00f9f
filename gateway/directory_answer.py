"""A UnixFS directory: its index page, the redirect to its slash, or a listing made here."""

import asyncio
from collections.abc import Iterator
from typing import Final

from content.block import BlockMissing
from content.cid import DAG_PB, Cid
from content.unixfs import directory
from content.unixfs.file import Node
from content.unixfs.hamt import Row
from gateway.conditional import Verdict, evaluate_read
from gateway.content_fields import content_fields
from gateway.content_request import ContentRequest, Reading, Target, encoded
from gateway.file_answer import FileShown, file_answer
from gateway.file_body import pause_for
from gateway.hosts import SiteKind
from gateway.listing import LISTING_VERSION, Listing, listing_items
from gateway.representation import bodiless
from net.answer import Answer, Pause
from runtime.errors import EdgeError

INDEX: Final = "index.html"
# Of one page: 5 MB of memory while it is sent, 40 ms to make; nobody reads more
ENTRIES_MAX: Final = 20_000
# Those entries lie in about 3000 shards; a tree of shards with little in them is no directory of people's
_SHARDS_MAX: Final = 8192
# Only an entry's own block says whether it is a directory: 10 us each
_LOOKS_MAX: Final = 512
_LOOK_BYTES_MAX: Final = 4 << 20
_TURN_SHARDS: Final = 64  # about 1 ms, then others are served


def directory_answer(asked: ContentRequest, target: Target, reading: Reading, found: Node) -> Answer:
    """The directory a path ends in; `found` is its root. Raises BlockMissing."""
    cid = target.resolved.terminal
    if not asked.has_slash:
        return _to_slash(asked, target)
    index, _ = directory.lookup(cid, found, INDEX, reading.read)
    if index is not None:
        reading.deny.check(index)
        reading.deny.check_way((target.root,), (*target.segments, INDEX))
        reading.deny.check_way((cid,), (INDEX,))
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
    body = _body(_listing(asked, cid), found, reading)
    return Answer(200, fields, body, kind="listing", account=asked.account)


def _body(page: Listing, found: Node, reading: Reading) -> Iterator[bytes | Pause]:
    """The page, after all that is to stand on it was read.

    No byte leaves before that: a directory that lacks a shard, or lies, is an error and no broken page.
    """
    entries: list[Row] = []
    shards, is_whole = 0, False
    for run in directory.runs(page.cid, found, reading.read):
        if not isinstance(run, Cid):
            entries += run
        elif shards == _SHARDS_MAX:
            break
        else:
            while not reading.dag.has(run):
                yield pause_for(BlockMissing(run), reading)
            shards += 1
            if shards % _TURN_SHARDS == 0:
                yield Pause(_others_turn)
        if len(entries) > ENTRIES_MAX:
            break
    else:
        is_whole = True
    entries = directory.by_name(entries[:ENTRIES_MAX])
    yield from listing_items(page, entries, _folders(entries, reading), is_whole=is_whole)


def _folders(entries: list[Row], reading: Reading) -> set[bytes]:
    """Which entries are directories, as far as a look at blocks that are here tells without much reading."""
    found = set()
    budget_bytes = _LOOK_BYTES_MAX
    for _, raw, _ in entries if len(entries) <= _LOOKS_MAX else ():
        cid = Cid.from_bytes(raw)
        at = reading.dag.slice(cid) if cid.codec == DAG_PB else None
        if at is None or at.size_bytes > budget_bytes:
            continue
        budget_bytes -= at.size_bytes
        try:
            if directory.is_directory(directory.kind_of(cid, at.read())):
                found.add(raw)
        except EdgeError:
            continue  # what is wrong with an entry is said where it is asked for
    return found


async def _others_turn() -> None:
    await asyncio.sleep(0)


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
