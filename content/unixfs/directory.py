"""Directories, flat and sharded, as one thing: look a name up, list the names."""

from collections.abc import Iterator

from content import cid as codecs
from content import dag_pb
from content.block import BlockReader
from content.cid import Cid
from content.unixfs import hamt
from content.unixfs.file import node
from content.unixfs.message import Kind


def kind_of(cid: Cid, block: bytes) -> Kind:
    """What a UnixFS block is; a raw block is a File. Raises BadRequest when it is no UnixFS node."""
    if cid.codec != codecs.DAG_PB:
        return Kind.FILE
    return node(cid, block).message.kind


def is_directory(kind: Kind) -> bool:
    """Flat or sharded."""
    return kind in (Kind.DIRECTORY, Kind.HAMT_SHARD)


def lookup(cid: Cid, block: bytes, name: str, read: BlockReader) -> tuple[Cid | None, tuple[Cid, ...]]:
    """(CID of the entry or None, shards walked on the way). Raises BadRequest, BlockMissing."""
    found = node(cid, block)
    if found.message.kind is Kind.HAMT_SHARD:
        return hamt.lookup(cid, block, name, read)
    for link in found.links:
        if link.name == name:
            return link.cid, ()
    return None, ()


def entries(cid: Cid, block: bytes, read: BlockReader) -> list[dag_pb.Link]:
    """All entries; a sharded directory's in the order of their names."""
    found = node(cid, block)
    if found.message.kind is Kind.HAMT_SHARD:
        return sorted(hamt.entries(cid, block, read), key=lambda link: link.name or "")
    return list(found.links)


def shards(cid: Cid, block: bytes, read: BlockReader) -> Iterator[Cid]:
    """The sub-shards of a sharded directory; nothing for a flat one."""
    if kind_of(cid, block) is Kind.HAMT_SHARD:
        yield from hamt.shards(cid, block, read)
