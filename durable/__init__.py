"""LMDB and fsync, once: environments, group commit, short reads, growth, integrity.

The only folder that imports `lmdb`. It knows nothing of blobs: `blockstore` brings the tables,
the keys and the meaning. Everything that leaves here is a value, a view with a stated life, or
a `runtime.errors` error.
"""

from durable.commit import Change, Job
from durable.environment import Durability, Environment, EnvironmentUse, Table
from durable.errors import FOREIGN, translated
from durable.extents import Extent, Extents
from durable.files import (
    AliveFile,
    is_alive,
    locked_folder,
    replace_file_durably,
    reserve_file,
    write_file_durably,
)
from durable.packs import SLOT_BYTES, SLOTS, Pack, Packs, slot_of
from durable.transaction import Cursor, Reading, Txn, ViewTxn
from durable.writer import GroupWriter

__all__ = [
    "FOREIGN",
    "SLOTS",
    "SLOT_BYTES",
    "AliveFile",
    "Change",
    "Cursor",
    "Durability",
    "Environment",
    "EnvironmentUse",
    "Extent",
    "Extents",
    "GroupWriter",
    "Job",
    "Pack",
    "Packs",
    "Reading",
    "Table",
    "Txn",
    "ViewTxn",
    "is_alive",
    "locked_folder",
    "replace_file_durably",
    "reserve_file",
    "slot_of",
    "translated",
    "write_file_durably",
]
