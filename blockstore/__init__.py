"""Content at rest: blobs by BLAKE3 hash, verified on the way in and checked on every way out.

Callers use `Store` and the values it hands out; the format is docs/formats/store.md.
"""

from blockstore.blob import Blob
from blockstore.health import Damage, ScrubReport, Verified
from blockstore.ingest import Ingest
from blockstore.landing import Put
from blockstore.partial import Partial
from blockstore.records import RootKind
from blockstore.roots import LOCAL_PIN, Root
from blockstore.settings import StoreSettings
from blockstore.stat import BlobStat, StoreUsage
from blockstore.store import Store
from blockstore.sweep import SweepReport
from durable import Durability

__all__ = [
    "LOCAL_PIN",
    "Blob",
    "BlobStat",
    "Damage",
    "Durability",
    "Ingest",
    "Partial",
    "Put",
    "Root",
    "RootKind",
    "ScrubReport",
    "Store",
    "StoreSettings",
    "StoreUsage",
    "SweepReport",
    "Verified",
]
