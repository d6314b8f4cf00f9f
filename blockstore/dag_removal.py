"""Taking a whole DAG away by its CID: for good, or only its bytes.

Removing keeps what another kept DAG needs; evicting keeps every block with links, because a sweep that cannot
read one would have to keep everything, and they make it cheap to have the rest again. For `rm`, `evict`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from blockstore.backing import Backing
from blockstore.dag import Dag
from blockstore.dag_sweep import DagSweep
from blockstore.leaf_notes import note_leaves
from blockstore.records import BlobState, RootKind
from content import cid as codecs
from content.block import BlockMissing
from content.cid import DAG_PB, Cid
from content.links import links, links_to_nothing
from content.multihash import SHA2_256
from durable import Txn
from runtime.errors import Conflict, NotFound

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
_BLOBS_A_STEP: Final = 64  # about a millisecond of write lock


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of the blocks of a DAG; `kept` are needed by another one."""

    removed: int
    kept: int


@dataclass(frozen=True, slots=True)
class Evicted:
    """What became of the bytes of a DAG; `kept` blocks hold links or lie beside one that does."""

    blobs: int
    size_bytes: int
    kept: int


def spellings(cid: Cid) -> tuple[Cid, ...]:
    """The CIDs of the same block under which a root may be kept: as given, and as the other version."""
    if cid.codec != DAG_PB or cid.hash_code != SHA2_256:
        return (cid,)
    return (cid, Cid.v0(cid.multihash) if cid.version else cid.as_v1())


def remove(backing: Backing, dag: Dag, cid: Cid, *, force: bool = False) -> Removed:
    """Unpin a DAG and remove its blocks but those that another kept DAG reaches.

    Raises NotFound; Conflict while an account keeps it (unless `force`), or when it cannot be told what other
    DAGs reach. When this returns no process serves what is removed.
    """
    below = {each.multihash for each, _ in _present(dag, cid)}
    if not below:
        raise NotFound("no block is stored under this CID", where=cid.text())
    for each in spellings(cid):
        for root in dag.roots_of(each):
            if root.kind is RootKind.ACCOUNT and not force:
                hint = "unpin it there, or use force"
                raise Conflict(f"account {root.owner} keeps this DAG", where=cid.text(), hint=hint)
            dag.unpin(each, root)
    with backing.index.reading() as txn:
        blobs = dag.blobs_of(txn, below)
    sweep = DagSweep(backing, dag)
    for _ in sweep.steps_for(sorted(below)):
        pass
    if sweep.unreadable is not None:
        where = sweep.unreadable.text()
        hint = "it is unpinned; `fleek-edge verify` shows the damage, and gc takes it once that is healed"
        raise Conflict("a block of another DAG cannot be read, so what is shared is not known", where=where,
                       hint=hint)  # fmt: skip
    _release(backing, dag, sorted(blobs))
    return Removed(sweep.dropped, len(below) - sweep.dropped)


def evict(backing: Backing, dag: Dag, cid: Cid) -> Evicted:
    """Drop the bytes of a DAG's leaves; names, links, pins and records stay. Raises NotFound.

    Reads every block that may have links by its codec, leaves of dag-pb as well.
    """
    leaves: set[bytes] = set()
    inner: set[bytes] = set()
    noted: list[bytes] = []
    for each, data in _present(dag, cid):
        if data is None:
            leaves.add(each.multihash)
        elif links_to_nothing(each.multihash, data):
            leaves.add(each.multihash)
            noted.append(each.multihash)
        else:
            inner.add(each.multihash)
    if not leaves and not inner:
        raise NotFound("no block is stored under this CID", where=cid.text())
    note_leaves(backing, dag, noted)
    with backing.index.reading() as txn:
        blobs = sorted(dag.blobs_of(txn, leaves) - _lying(dag, txn, inner))
    freed: list[int] = []
    size_bytes = 0
    for start in range(0, len(blobs), _BLOBS_A_STEP):
        step: list[tuple[int, int]] = []

        def index(txn: Txn, page: list[bytes] = blobs[start : start + _BLOBS_A_STEP],
                  step: list[tuple[int, int]] = step) -> None:  # fmt: skip
            step.clear()
            for blob in page:
                row = backing.catalog.blob(txn, blob)
                if row is not None and row.state is BlobState.PRESENT:
                    backing.catalog.evict(txn, blob, row)
                    step.append((row.storage_id, row.size_bytes))

        backing.writer.run(index=index, frees=True)
        freed += [storage_id for storage_id, _ in step]
        size_bytes += sum(size for _, size in step)
    dag.freed(freed)
    return Evicted(len(freed), size_bytes, len(inner))


def _present(dag: Dag, root: Cid) -> Iterator[tuple[Cid, bytes | None]]:
    """The blocks of a DAG that are here, each once, with the bytes of those that by their codec may have
    links; the walk goes on beside one that is not.
    """
    seen: set[bytes] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        if cid.raw in seen:
            continue
        seen.add(cid.raw)
        if cid.is_identity:  # it takes no room, and may link to what does
            waiting += reversed(links(cid, cid.digest))
            continue
        if not dag.has(cid):
            continue
        if cid.codec in _LEAVES:
            yield cid, None
            continue
        try:
            data = dag.read_sound(cid)
        except BlockMissing:
            continue
        yield cid, data
        waiting += links(cid, data)


def _lying(dag: Dag, txn: Txn, multihashes: set[bytes]) -> set[bytes]:
    """The blobs in which these blocks themselves lie."""
    rows = (dag.rows.block(txn, each) for each in multihashes)
    return {row.blob for row in rows if row is not None}


def _release(backing: Backing, dag: Dag, blobs: list[bytes]) -> None:
    """Free the blobs that nothing keeps any more."""
    for start in range(0, len(blobs), _BLOBS_A_STEP):
        freed: list[int] = []

        def index(txn: Txn, page: list[bytes] = blobs[start : start + _BLOBS_A_STEP],
                  freed: list[int] = freed) -> None:  # fmt: skip
            freed[:] = dag.release(txn, page)

        backing.writer.run(index=index, frees=True)
        dag.freed(freed)
