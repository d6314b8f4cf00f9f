"""Import profiles: the choices that decide which CID the same bytes get.

Source: IPIP-499 (UnixFS CID profiles).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

KIB: Final = 1 << 10


class Estimate(Enum):
    """How a flat directory's size is told when it is decided whether to shard it."""

    LINKS = "links"  # bytes of names and CIDs
    BLOCK = "block-bytes"  # bytes of the whole block


@dataclass(frozen=True, slots=True)
class Profile:
    """One set of choices. A directory is sharded when its estimate is above `shard_above_bytes`."""

    name: str
    cid_version: int
    raw_leaves: bool
    chunk_bytes: int
    width: int
    fanout: int
    shard_above_bytes: int
    estimate: Estimate


UNIXFS_V1_2025: Final = Profile("unixfs-v1-2025", 1, True, 1024 * KIB, 1024, 256, 256 * KIB, Estimate.BLOCK)
UNIXFS_V0_2015: Final = Profile("unixfs-v0-2015", 0, False, 256 * KIB, 174, 256, 256 * KIB, Estimate.LINKS)
PROFILES: Final = {profile.name: profile for profile in (UNIXFS_V1_2025, UNIXFS_V0_2015)}
