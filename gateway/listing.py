"""The page that lists a directory, in pieces as it is sent. Pure.

The words and links are those that kubo's users and the conformance suite know ("Index of", breadcrumbs, the
CID of each entry with `?filename=`); the look is our own. No script, no request to anybody else. About 2 us
an entry.
"""

import html
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

from content.cid import Cid, text_of
from content.unixfs.hamt import Row
from gateway import media_type
from gateway.content_request import encoded

# Part of the page's ETag: raise it when the page changes for the same directory
LISTING_VERSION: Final = "2"
_HEAD: Final = Path(__file__).with_name("listing.html").read_text(encoding="utf-8")
_PIECE_ROWS: Final = 256  # about 80 KB of HTML a piece
_NOTE: Final = (
    '<p class="note">This directory is too large for one page: it has more entries than are shown here. Each '
    'answers under its own path, and the <a href="{{self}}?format=car&amp;dag-scope=entity">directory as a '
    "CAR</a> names them all.</p>\n"
)
_FAMILIES: Final = {
    "text": "text",
    "image": "image",
    "audio": "audio",
    "video": "video",
    "font": "font",
    "application": "file",
}
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


def listing_items(
    page: Listing, entries: Sequence[Row], folders: Container[bytes], *, is_whole: bool
) -> Iterator[bytes]:
    """The page, piece by piece. `folders`: binary CIDs that are known to be directories; `is_whole`: whether
    these are all the entries there are.
    """
    path = page.mount + "".join(f"/{encoded(segment)}" for segment in page.segments)
    yield _head(page, path, entries, is_whole=is_whole).encode()
    for start in range(0, len(entries), _PIECE_ROWS):
        yield _rows(page, path, entries[start : start + _PIECE_ROWS], folders).encode()
    yield b"</tbody></table></main></body></html>\n"


def _head(page: Listing, path: str, entries: Sequence[Row], *, is_whole: bool) -> str:
    cid = page.cid.text()
    count = "1 entry" if len(entries) == 1 else f"{len(entries):,} entries"
    return (
        _HEAD.replace("{{title}}", _shown("/".join((page.namespace, page.root_text, *page.segments))))
        .replace("{{crumbs}}", _crumbs(page))
        .replace("{{self}}", f"{path}/")
        .replace("{{cid}}", "" if cid == page.root_text else f' · <span translate="no">{cid}</span>')
        .replace("{{count}}", count if is_whole else f"the first {count} that were found")
        .replace("{{size}}", _size(sum(size_bytes or 0 for _, _, size_bytes in entries)))
        .replace("{{note}}", "" if is_whole else _NOTE.replace("{{self}}", f"{path}/"))
        .replace("{{back}}", _back(path) if page.segments else "")
    )


def _rows(page: Listing, path: str, entries: Sequence[Row], folders: Container[bytes]) -> str:
    rows = []
    plain = _PLAIN.fullmatch
    for name, raw, size_bytes in entries:
        cid = text_of(raw)
        if plain(name):
            href = shown = twice = name
        else:
            href, shown = encoded(name), _shown(name)
            twice = quote(quote(name.encode("utf-8", "surrogateescape"), safe="~-._"), safe="~-._")
        how = '" target="_blank" rel="noreferrer noopener' if page.hashes_leave else f"?filename={twice}"
        if raw in folders:
            opening, kind = '<tr class="d"><td><a href="', "folder"
        else:
            opening, kind = '<tr><td><a href="', _kind(name.rpartition(".")[2])
        rows.append(
            f'{opening}{path}/{href}">{shown}</a></td><td>{kind}</td>'
            f'<td><a class="ipfs-hash" translate="no" href="{page.hashes_at}{cid}{how}">'
            f"{cid[:4]}…{cid[-6:]}</a></td>"
            f"<td>{'' if size_bytes is None else _size(size_bytes)}</td></tr>\n"
        )
    return "".join(rows)


@lru_cache(maxsize=1024)
def _kind(extension: str) -> str:
    """What a file of that extension is to people; "" where the extension does not say."""
    return _FAMILIES.get((media_type.by_name(f".{extension}") or "").partition("/")[0], "")


def _crumbs(page: Listing) -> str:
    text = f'/{page.namespace}/<a href="{page.root_href}">{_shown(page.root_text)}</a>'
    at = page.crumbs_at
    for segment in page.segments:
        at += f"/{encoded(segment)}"
        text += f'/<a href="{at}">{_shown(segment)}</a>'
    return text


def _back(path: str) -> str:
    return f'<tr class="d"><td><a href="{path}/..">..</a></td><td></td><td></td><td></td></tr>\n'


def _shown(text: str) -> str:
    return html.escape(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def _size(size_bytes: int) -> str:
    size, unit = float(size_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{size:.3g} {_UNITS[unit]}"
