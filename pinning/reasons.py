"""Why a pin waits or failed, in one line that a person understands and can act on. Pure."""

from collections.abc import Sequence
from typing import Final

from content.cid import Cid
from net.guard import checked_url
from origins.provider_records import base_url
from pinning import timestamps
from pinning.pin import Pin
from pinning.rows import DETAILS_CHARS_MAX
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
# Of 20 origins at most, so that a person reads to the end
_TOLD_MAX: Final = 6
_ADDRESS_CHARS_MAX: Final = 72
_WHY_CHARS_MAX: Final = 100


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
        found[f"{parts.scheme}://{parts.netloc.lower()}"] = None
    return tuple(found)


def block_of(error: EdgeError, root: Cid) -> Cid:
    """The block that a try failed for; `root` where it does not say."""
    try:
        return Cid.parse(error.where) if error.where else root
    except BadRequest:
        return root


def explain(error: EdgeError, pin: Pin, said: Sequence[tuple[str, str]] = ()) -> str:
    """What went wrong with a try; `said`: what origins that the pin names said (address, why)."""
    where = f" ({error.where})" if error.where and error.where not in error.message else ""
    if isinstance(error, (NotFound, Unreachable, SourceTimeout, Unverified, TooManyRequests)):
        root, block = pin.wish.cid, block_of(error, pin.wish.cid)
        what = root.text() if block == root else f"the block {block} of {root}"
        if error.message == OFFLINE:
            return f"{what} is not here: {OFFLINE}"
        parts = [*_told(said), error.message]
        nobody = isinstance(error, NotFound) and not said
        head = f"no provider has {what}" if nobody else f"{what} could not be fetched"
        return f"{head}: {'; '.join(parts)}{_advice(pin)}"
    if isinstance(error, StoreFull):
        return f"the store is full: {error.message}"
    return f"{error.message}{where}"


def waiting(reason: str, tries: int, tries_max: int, next_try_s: float) -> str:
    """Details of a pin that will be tried again, at `next_try_s` since the epoch."""
    at = timestamps.written_s(next_try_s)[: len("2026-01-31T12:00:00")]
    return _bounded(reason, f"; try {tries} of {tries_max}, the next at {at}Z")


def given_up(reason: str, tries: int) -> str:
    """Details of a pin that failed."""
    return _bounded(reason, f"; given up after {tries} tries" if tries > 1 else "")


def _told(said: Sequence[tuple[str, str]]) -> list[str]:
    told = [
        f"{_short(address, _ADDRESS_CHARS_MAX)}: {_short(why, _WHY_CHARS_MAX)}"
        for address, why in said[:_TOLD_MAX]
    ]
    more = len(said) - len(told)
    return [*told, f"{more} more of its origins did not give it"] if more else told


def _short(text: str, most: int) -> str:
    """The text, or its beginning and end: of an address both tell the most."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def _advice(pin: Pin) -> str:
    addresses = pin.wish.origins
    peers = sum(1 for each in addresses if each.startswith("/") and base_url(each) is None)
    if not peers:
        place = "another origin that has it" if addresses else "a trustless gateway in the pin's origins"
        return f"; upload a CAR of it, or name {place}"
    offer = "offers" if peers == 1 else "offer"
    return (
        f"; {peers} of its origins {offer} data by bitswap only, as kubo does, which this node does not"
        " speak: upload a CAR instead (ipfs dag export)"
    )


def _bounded(reason: str, end: str) -> str:
    """A reason and how it goes on, as long as a pin's row takes; what is cut is in the middle."""
    room = DETAILS_CHARS_MAX - len(end)
    return (reason if len(reason) <= room else reason[: room - 1] + "…") + end
