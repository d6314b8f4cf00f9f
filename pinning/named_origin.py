"""Where somebody says that content is: an address that may be fetched from, or a refusal that says why. Pure.

Multiaddrs are taken whatever their transport is: clients send all that they listen at (kubo does), most of
which this node does not speak. A URL is named by hand, and one that could never be fetched only fails later.
"""

import re
from typing import Final

from blockstore.origin import ADDRESS_BYTES_MAX
from blockstore.origin_address import named
from net.guard import checked_url
from runtime.errors import BadRequest, EdgeError

_FORM: Final = re.compile(r"(?:/[^/\x00-\x20\x7f]+){2,}/?|(?:https?|ar)://[^\x00-\x20\x7f]+")
_SHOWN_CHARS: Final = 80
# As any Arweave transaction is asked for
_GATEWAY: Final = "https://gateway.invalid/"


def check_origin(text: str, where: str) -> None:
    """Raise BadRequest unless `text` may be an origin of a pin; no password is shown. 20 us."""
    if len(text.encode()) > ADDRESS_BYTES_MAX:
        raise BadRequest(f"an origin is longer than {ADDRESS_BYTES_MAX} bytes", where=where)
    if _FORM.fullmatch(text) is None:
        hint = "as in /dns4/host.example/tcp/443/tls/http/p2p/…, https://host.example/file or ar://…"
        raise BadRequest(f"{_shown(text)} is neither a multiaddr nor a URL", where=where, hint=hint)
    if text.startswith("/"):
        return
    if "@" in text.partition("://")[2].partition("/")[0]:
        hint = "passwords are neither kept nor sent: name a URL that needs none, it may have a signed query"
        raise BadRequest(f"{_shown(text)}: a URL with user info is not fetched", where=where, hint=hint)
    try:
        named(text)
        checked_url(text if text.startswith("http") else _GATEWAY + text.partition("://")[2])
    except EdgeError as error:
        raise BadRequest(f"{_shown(text)}: {error.message}", where=where, hint=error.hint) from None


def _shown(text: str) -> str:
    """The address as the one who sent it knows it again, without a password."""
    before, at, _ = text.partition("@")
    if not at:
        return repr(text[:_SHOWN_CHARS])
    scheme, separator, _ = before.partition("://")
    return repr(f"{scheme[:8]}://…@…" if separator else "…@…")
