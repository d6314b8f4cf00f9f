"""What a pin is: a wish of an account, what has become of it, and how pins are asked for. Pure values.

Words are those of the IPFS Pinning Service API 1.0.0: request id, status, created, origins, meta, info.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from content.cid import Cid

NAME_CHARS_MAX: Final = 255  # of the specification
ORIGINS_MAX: Final = 20  # of the specification
CIDS_MAX: Final = 10  # in a filter; of the specification
LIMIT_MAX: Final = 1000  # pins a page; of the specification
LIMIT_DEFAULT: Final = 10
LOCAL_ACCOUNT: Final = "local"  # whom commands on the data folder itself act for


class Status(StrEnum):
    """Where a pin stands, in the words of the specification."""

    QUEUED = "queued"
    PINNING = "pinning"
    PINNED = "pinned"
    FAILED = "failed"


class Match(StrEnum):
    """How a name filter compares; `i` folds case."""

    EXACT = "exact"
    IEXACT = "iexact"
    PARTIAL = "partial"
    IPARTIAL = "ipartial"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks to be kept.

    `origins`: where the content is said to be (multiaddrs or URLs), at most ORIGINS_MAX. `expires_s`: epoch
    seconds after which the pin goes by itself; None is never.
    """

    cid: Cid
    name: str | None = None
    origins: tuple[str, ...] = ()
    meta: dict[str, str] = field(default_factory=dict)
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the walk has come: blocks and bytes that are here, and blocks known to be wanted still."""

    blocks: int = 0
    bytes_: int = 0
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin of an account.

    `created_ns`: nanoseconds since the epoch, strictly increasing over all pins of a store: it orders them.
    `details`: one line a person understands, why it waits or failed. `dag_bytes`: bytes of all its different
    blocks; `raw_bytes`: of the content they hold (of a UnixFS tree, its files); both known once pinned.
    `attempts`: tries that ended without all of it. `next_try_s`: when a queued one is due, epoch seconds.
    """

    request_id: str
    account: str
    created_ns: int
    status: Status
    wish: Wish
    details: str = ""
    dag_bytes: int | None = None
    raw_bytes: int | None = None
    progress: Progress = Progress()
    attempts: int = 0
    next_try_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which pins of an account are meant; conditions hold together. Empty `statuses`: any status.

    `before_ns`, `after_ns`: created strictly before, strictly after.
    """

    cids: tuple[Cid, ...] = ()
    name: str | None = None
    match: Match = Match.EXACT
    statuses: frozenset[Status] = frozenset()
    before_ns: int | None = None
    after_ns: int | None = None
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Pins, newest first, and how many match in all.

    The count is exact but for partial and ipartial names and meta; for those it may be too low, never lower
    than the pins here, and above that while there are more.
    """

    count: int
    pins: tuple[Pin, ...]


@dataclass(frozen=True, slots=True)
class PinUsage:
    """What an account has: pins by status, and bytes its quota counts (each different root once)."""

    pins: dict[Status, int]
    bytes_: int
