"""Roots of DAGs, and how rows of `dagroots` become them. Pure."""

from dataclasses import dataclass
from typing import Final

from blockstore import records
from blockstore.records import RootKind
from blockstore.roots import Root
from content.cid import Cid

_SECOND_MS: Final = 1000
# Names were cut to the length of a key once, also within a character: such rows can be read and removed
_CUT: Final = "surrogateescape"


@dataclass(frozen=True, slots=True)
class DagRoot:
    """A DAG that is kept, and why."""

    cid: Cid
    root: Root


def dag_root(key: bytes, value: bytes) -> DagRoot:
    """Read a row of `dagroots`. Raises BlobDamaged."""
    length = key[0]
    root = records.root_row(key, value)
    kind = RootKind(key[1 + length])
    expires_s = root.expires_ms / _SECOND_MS if root.expires_ms else None
    owner = key[2 + length :].decode(errors=_CUT)
    return DagRoot(
        Cid.from_bytes(key[1 : 1 + length]),
        Root(kind, owner, root.name, expires_s, root.created_ms / _SECOND_MS, root.size_bytes),
    )


def cid_key(cid: Cid) -> bytes:
    """What the keys of all roots of a DAG begin with."""
    return bytes((len(cid.raw),)) + cid.raw


def root_key(cid: Cid, root: Root) -> bytes:
    """Key of a row of `dagroots`."""
    return cid_key(cid) + bytes((root.kind,)) + root.owner.encode(errors=_CUT)[: records.OWNER_BYTES_MAX]
