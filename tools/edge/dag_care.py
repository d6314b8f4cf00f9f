"""What `stat` and `verify` find out about a DAG."""

from dataclasses import dataclass, field
from typing import Any, Final

from blockstore import Store
from blockstore.dag_removal import spellings
from content import cid as codecs
from content import multihash, names
from content.block import BlockMissing
from content.cid import DAG_PB, Cid
from content.links import links
from content.unixfs.file import is_file, node, size_of
from runtime.errors import BadRequest, BlobDamaged, NotFound
from tools.edge.blob_record import roots_record
from tools.edge.extent import measured

_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))
_NAMED_MAX: Final = 100  # damaged blocks that are named; all are counted


@dataclass(slots=True)
class DagVerified:
    """A DAG re-read: what is sound, what is damaged, what is not here."""

    blocks: int = 0
    size_bytes: int = 0
    damaged_blocks: int = 0
    missing: int = 0
    damaged: list[str] = field(default_factory=list)
    first_missing: Cid | None = None


def dag_record(store: Store, cid: Cid) -> dict[str, Any]:
    """What is known of the DAG at `cid`. Raises NotFound when not even its root is here."""
    dag = store.dag
    if not dag.has(cid):
        raise NotFound("no block is stored under this CID", where=cid.text())
    kind, file_bytes, mode, mtime_s = _kind(cid, dag.read(cid))
    extent = measured(dag, cid)
    blob = dag.file(cid)
    return {
        "cid": cid.text(),
        "codec": cid.codec_name,
        "type": kind,
        "size_bytes": file_bytes,
        "mode": mode,
        "mtime_s": mtime_s,
        "blake3": None if blob is None else names.hex(blob.root),
        "blocks": extent.blocks,
        "blocks_bytes": extent.size_bytes,
        "missing": extent.missing,
        "roots": roots_record(root for each in spellings(cid) for root in dag.roots_of(each)),
    }


def verified_dag(store: Store, root: Cid) -> DagVerified:
    """Re-read every block of a DAG and compare it with its CID. Raises BlockMissing (the root)."""
    dag, report = store.dag, DagVerified()
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
        try:
            data = dag.read(cid)
            if not multihash.verify(cid.multihash, data):
                raise BlobDamaged("the block does not match its CID", where=cid.text())
        except BlockMissing:
            if cid is root:
                raise
            report.missing += 1
            report.first_missing = report.first_missing or cid
            continue
        except BlobDamaged:
            report.damaged_blocks += 1
            if len(report.damaged) < _NAMED_MAX:
                report.damaged.append(cid.text())
            continue
        report.blocks += 1
        report.size_bytes += len(data)
        if cid.codec not in _LEAVES:
            waiting += reversed(links(cid, data))
    return report


def _kind(cid: Cid, block: bytes) -> tuple[str | None, int | None, str | None, float | None]:
    """Type, size of a file, mode in octal and time of change, as far as the block says."""
    if cid.codec == codecs.RAW:
        return "file", len(block), None, None
    if cid.codec != DAG_PB:
        return None, None, None, None
    try:
        message = node(cid, block).message
    except BadRequest:
        return None, None, None, None
    mode = None if message.mode is None else f"{message.mode:04o}"
    mtime = message.mtime
    mtime_s = None if mtime is None else mtime.seconds + (mtime.nanos or 0) / 1e9
    kind = "directory" if message.kind.name in ("DIRECTORY", "HAMT_SHARD") else message.kind.name.lower()
    if is_file(message):
        return "file", size_of(cid, block), mode, mtime_s
    return kind, None, mode, mtime_s
