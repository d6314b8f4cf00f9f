"""The page that lists a directory, in pieces as it is sent. Pure.

The words and links are those that kubo's users and the conformance suite know ("Index of", breadcrumbs, the
CID of each entry with `?filename=`); the look is our own. No script, no request to anybody else. About 5 us
an entry.
"""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from content.cid import Cid
from content.dag_pb import Link
from gateway.content_request import encoded

# Part of the page's ETag: raise it when the page changes for the same directory
LISTING_VERSION: Final = "1"
_HEAD: Final = Path(__file__).with_name("listing.html").read_text(encoding="utf-8")
_PIECE_ROWS: Final = 256  # about 100 KB of HTML a piece
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]+")  # neither HTML nor a URL writes these otherwise
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


@dataclass(frozen=True, slots=True)
class Listing:
    """What stands around the entries. `mount`: the path of the content root under its host, without
    a slash; `root_href`, `crumbs_at`: where breadcrumbs lead; `hashes_at`: what CID links begin with.
    """

    cid: Cid
    namespace: str
    root_text: str
    segments: tuple[str, ...]
    mount: str
    root_href: str
    crumbs_at: str
    hashes_at: str
    hashes_leave: bool


def listing_items(page: Listing, entries: Sequence[Link]) -> Iterator[bytes]:
    """The page, piece by piece."""
    path = page.mount + "".join(f"/{encoded(segment)}" for segment in page.segments)
    title = _shown("/".join((page.namespace, page.root_text, *page.segments)))
    total = sum(entry.size_bytes or 0 for entry in entries)
    yield (
        _HEAD.replace("{{title}}", title)
        .replace("{{crumbs}}", _crumbs(page))
        .replace("{{cid}}", page.cid.text())
        .replace("{{count}}", f"{len(entries):,}")
        .replace("{{size}}", _size(total))
        .replace("{{back}}", _back(path) if page.segments else "")
    ).encode()
    rows: list[str] = []
    for entry in entries:
        rows.append(_row(page, path, entry))
        if len(rows) == _PIECE_ROWS:
            yield "".join(rows).encode()
            rows = []
    yield ("".join(rows) + "</tbody></table></main></body></html>\n").encode()


def _row(page: Listing, path: str, entry: Link) -> str:
    name = entry.name or ""
    cid = entry.cid.text()
    if _PLAIN.fullmatch(name):
        href = shown = twice = name
    else:
        href, shown = encoded(name), _shown(name)
        twice = quote(quote(name.encode("utf-8", "surrogateescape"), safe="~-._"), safe="~-._")
    if page.hashes_leave:
        link = f'{page.hashes_at}{cid}" target="_blank" rel="noreferrer noopener'
    else:
        link = f"{page.hashes_at}{cid}?filename={twice}"
    size = "" if entry.size_bytes is None else _size(entry.size_bytes)
    return (
        f'<tr><td><a href="{path}/{href}">{shown}</a></td>'
        f'<td><a class="ipfs-hash" translate="no" href="{link}">{cid[:7]}…{cid[-5:]}</a></td>'
        f"<td>{size}</td></tr>\n"
    )


def _crumbs(page: Listing) -> str:
    text = f'/{page.namespace}/<a href="{page.root_href}">{_shown(page.root_text)}</a>'
    at = page.crumbs_at
    for segment in page.segments:
        at += f"/{encoded(segment)}"
        text += f'/<a href="{at}">{_shown(segment)}</a>'
    return text


def _back(path: str) -> str:
    return f'<tr><td><a href="{path}/..">..</a></td><td></td><td></td></tr>\n'


def _shown(text: str) -> str:
    return html.escape(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{size:.3g} {_UNITS[unit]}"
