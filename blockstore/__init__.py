"""Content at rest: blobs by BLAKE3 hash, verified on the way in and checked on every way out.

Callers use `Store` and the values it hands out; the format is docs/formats/store.md.
"""

from blockstore.blob import Blob
from blockstore.ingest import Ingest, Put
from blockstore.records import RootKind
from blockstore.roots import LOCAL_PIN, Root
from blockstore.settings import StoreSettings
from blockstore.store import BlobStat, Store
from durable import Durability

__all__ = [
    "LOCAL_PIN",
    "Blob",
    "BlobStat",
    "Durability",
    "Ingest",
    "Put",
    "Root",
    "RootKind",
    "Store",
    "StoreSettings",
]
