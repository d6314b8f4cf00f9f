"""What is known of where content came from. Pure values; the rows are `blockstore.origin_rows`.

An origin outlives unpin, eviction and gc: it is how content that was lost is found again. It never holds a
secret: user info and queries that may be one are cut off before a row is written (`origin_address`).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PER_NAME_MAX: Final = 64  # origins kept for one CID; a worse one makes room for a better one
ADDRESS_BYTES_MAX: Final = 2048
SUB_PATH_BYTES_MAX: Final = 2048
PROFILE_BYTES_MAX: Final = 64
OPERATOR: Final = ""  # account of what the operator's own commands and settings brought


class OriginKind(StrEnum):
    """What sort of place it is, and so how content is got from it again."""

    HTTP = "http"  # a URL of the bytes, not of blocks: rebuilt with `profile`
    GATEWAY = "gateway"  # a trustless gateway, as https://host
    ARWEAVE = "arweave"  # ar://TRANSACTION[/path]
    FILECOIN = "filecoin"  # retrieval over HTTP: https://host/ipfs/… or https://host/piece/…
    PEER = "peer"  # another node, as a multiaddr or https://host
    UPLOAD = "upload"  # sent by a client of this node; the address says how
    LOCAL = "local"  # a file of this machine; the address is its path


@dataclass(frozen=True, slots=True)
class Origin:
    """One place that content came from or is said to be at. Times are epoch seconds, 0: never.

    `size_bytes`: of the bytes there (a file, a URL, a CAR); of a directory, of what was uploaded, and of what
    a gateway or another node gave, of the DAG; None: not known. `account`: who named it, and alone sees it
    beside the operator. `profile`, `sub_path`: of an HTTP or local origin, the import profile and the path
    below the imported root that reproduce the CID. `is_cut`: the address had something secret at its end or
    before its host, and is kept without it.
    """

    kind: OriginKind
    address: str
    account: str = OPERATOR
    added_s: float = 0.0
    size_bytes: int | None = None
    first_success_s: float = 0.0
    last_success_s: float = 0.0
    last_failure_s: float = 0.0
    profile: str = ""
    sub_path: str = ""
    is_cut: bool = False

    @property
    def has_worked(self) -> bool:
        """Whether content came from there, ever."""
        return self.last_success_s > 0
