"""Why a pin waits or failed, in one line that a person understands and can act on. Pure."""

from collections.abc import Sequence
from typing import Final

from content.cid import Cid
from net.guard import checked_url
from origins.provider_records import base_url
from pinning.pin import Pin
from runtime.errors import (
    BadRequest,
    Blocked,
    EdgeError,
    Forbidden,
    NotFound,
    QuotaExceeded,
    SourceTimeout,
    StoreFull,
    TooLarge,
    TooManyRequests,
    Unreachable,
    Unverified,
)

# A try that ended so would end so again
_FINAL: Final = (BadRequest, TooLarge, QuotaExceeded, Blocked, Forbidden)
OFFLINE: Final = (
    "this node is offline: pins complete only from blocks that are here already; upload a CAR,"
    " or start the node without --offline"
)
_DETAILS_CHARS_MAX: Final = 1000


def is_final(error: EdgeError) -> bool:
    """Whether another try is no use."""
    return isinstance(error, _FINAL) and not isinstance(error, TooManyRequests)


def gateways_of(origins: Sequence[str]) -> tuple[str, ...]:
    """Base URLs of gateways among a pin's origins: multiaddrs with http, and http(s) URLs of no file."""
    found: dict[str, None] = {}
    for each in origins:
        base = each.rstrip("/") if each.startswith(("https://", "http://")) else base_url(each)
        try:
            parts = checked_url(base or "")
        except EdgeError:
            continue  # user info is a secret: such a URL is neither asked nor shown
        if parts.path.strip("/") and not parts.path.startswith("/ipfs/"):
            continue  # a file somewhere, not a gateway
        found[f"{parts.scheme}://{parts.netloc}"] = None
    return tuple(found)


def explain(error: EdgeError, pin: Pin) -> str:
    """What went wrong with a try."""
    where = f" ({error.where})" if error.where and error.where not in error.message else ""
    if isinstance(error, NotFound):
        return f"no provider has {_what(error, pin)}: {error.message}{_advice(pin)}"
    if isinstance(error, (Unreachable, SourceTimeout, Unverified, TooManyRequests)):
        return f"{_what(error, pin)} could not be fetched: {error.message}{_advice(pin)}"
    if isinstance(error, StoreFull):
        return f"the store is full: {error.message}"
    return f"{error.message}{where}"


def waiting(reason: str, tries: int, tries_max: int, wait_s: float) -> str:
    """Details of a pin that will be tried again."""
    return _bounded(f"{reason}; try {tries} of {tries_max}, the next in {_duration(wait_s)}")


def given_up(reason: str, tries: int) -> str:
    """Details of a pin that failed."""
    return _bounded(reason if tries <= 1 else f"{reason}; given up after {tries} tries")


def _what(error: EdgeError, pin: Pin) -> str:
    """The block that lacks, and of what when it is not the root."""
    root = pin.wish.cid.text()
    try:
        block = Cid.parse(error.where).text() if error.where else root
    except BadRequest:
        block = root
    return root if block == root else f"the block {block} of {root}"


def _advice(pin: Pin) -> str:
    peers = sum(1 for each in pin.wish.origins if each.startswith("/") and base_url(each) is None)
    if not peers:
        return "; upload a CAR of it, or name a trustless gateway in the pin's origins"
    return (
        f"; {peers} of its origins offer data by bitswap only, as kubo does, which this node does not speak:"
        " upload a CAR instead (ipfs dag export)"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _bounded(text: str) -> str:
    return text if len(text) <= _DETAILS_CHARS_MAX else text[: _DETAILS_CHARS_MAX - 1] + "…"
