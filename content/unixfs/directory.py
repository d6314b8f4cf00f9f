"""Directories, flat and sharded, as one thing: look a name up, list the names."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from content import cid as codecs
from content import dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.unixfs import hamt
from content.unixfs.file import Node, node
from content.unixfs.hamt import Row
from content.unixfs.message import Kind
from runtime.errors import TooLarge

# Of a list in memory, made at once: 20 MB and 0.3 s. What may meet more walks `runs`
ENTRIES_MAX: Final = 1 << 16


def kind_of(cid: Cid, block: bytes) -> Kind:
    """What a UnixFS block is; a raw block is a File. Raises BadRequest when it is no UnixFS node."""
    if cid.codec != codecs.DAG_PB:
        return Kind.FILE
    return node(cid, block).message.kind


def is_directory(kind: Kind) -> bool:
    """Flat or sharded."""
    return kind in (Kind.DIRECTORY, Kind.HAMT_SHARD)


def lookup(cid: Cid, found: Node, name: str, read: BlockReader) -> tuple[Cid | None, tuple[Cid, ...]]:
    """(CID of the entry or None, shards walked on the way). Raises BadRequest, BlockMissing."""
    if found.message.kind is Kind.HAMT_SHARD:
        return hamt.lookup(cid, found, name, read)
    return found.links.find(name), ()


def runs(cid: Cid, found: Node, read: BlockReader) -> Iterator[list[Row] | Cid]:
    """All entries, a list a block; before a block is read its CID. Raises as `hamt.runs`."""
    if found.message.kind is Kind.HAMT_SHARD:
        yield from hamt.runs(cid, found, read)
    else:
        yield found.links.native.entries(0)[0]


def entries(cid: Cid, block: bytes, read: BlockReader, most: int = ENTRIES_MAX) -> list[dag_pb.Link]:
    """All entries, in the order of their names. Raises TooLarge above `most`, and as `runs`."""
    found = node(cid, block)
    listed: list[Row] = []
    shards = 0
    for run in runs(cid, found, read):
        if isinstance(run, Cid):
            shards += 1
        else:
            listed += run
        if len(listed) > most or shards > most:
            raise TooLarge(
                f"a directory of more than {most:,} entries or shards",
                where=cid.text(),
                hint="fetch it as a CAR, or its entries one by one",
            )
    return [dag_pb.Link(Cid.from_bytes(raw), name, size) for name, raw, size in by_name(listed)]


def by_name(listed: list[Row]) -> list[Row]:
    """The entries in the order of their names, as flat directories are written (and these for themselves)."""
    return sorted(listed, key=itemgetter(0))


def shards(cid: Cid, block: bytes, read: BlockReader) -> Iterator[Cid]:
    """The sub-shards of a sharded directory; nothing for a flat one."""
    found = node(cid, block)
    if found.message.kind is Kind.HAMT_SHARD:
        yield from (run for run in hamt.runs(cid, found, read) if isinstance(run, Cid))
