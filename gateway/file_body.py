"""The bytes of a UnixFS file as a body: lent from its blob where it is whole, else walked leaf by leaf."""

from collections.abc import Iterator
from functools import partial

from content import cid as codecs
from content.block import BlockMissing
from content.cid import Cid
from content.unixfs.file import Leaf, leaves
from gateway.content_request import Reading
from gateway.mended import block_span, file_span
from gateway.representation import Items
from net.answer import Pause, Piece


def file_items(cid: Cid, reading: Reading, start: int, stop: int) -> Items:
    """Bytes [start, stop) of a file. What is not here is waited for, or breaks the body off."""
    blob = reading.file(cid)
    if blob is not None:
        return [file_span(cid, reading, blob, start, stop)] if stop > start else []
    return _walked(cid, reading, start, stop)


def check_first(cid: Cid, reading: Reading, start: int, stop: int) -> None:
    """Raise BlockMissing when the body of [start, stop) could not even begin."""
    if stop > start and reading.file(cid) is None:
        leaf = next(leaves(cid, reading.read, start, stop), None)
        if leaf is not None:
            reading.read(leaf.cid)


def _walked(cid: Cid, reading: Reading, start: int, stop: int) -> Iterator[bytes | Piece | Pause]:
    at, fetcher = start, reading.fetcher
    while at < stop:
        try:
            for leaf in leaves(cid, reading.read, at, stop):
                end = leaf.file_offset + leaf.block_stop - leaf.block_start
                if fetcher is not None:
                    fetcher.passed(cid, at, end, stop, reading.root)
                yield leaf_item(leaf, reading)
                at = end
            return
        except BlockMissing:
            if fetcher is None:
                raise
            yield Pause(partial(fetcher.span, cid, at, stop, reading.root))


def pause_for(missing: BlockMissing, reading: Reading) -> Pause:
    """Wait for a block that is being fetched; raises `missing` where nobody fetches."""
    fetcher = reading.fetcher
    if fetcher is None:
        raise missing
    return Pause(lambda: fetcher.block(missing.cid, reading.root))


def leaf_item(leaf: Leaf, reading: Reading) -> bytes | Piece:
    """A run of file bytes: lent from where the block lies, copied where it is only a name. BlockMissing."""
    if leaf.cid.codec not in (codecs.RAW, codecs.DAG_PB) or leaf.cid.is_identity:
        reading.deny.check(leaf.cid)
        return reading.read(leaf.cid)[leaf.block_start : leaf.block_stop]
    return block_span(leaf.cid, reading, leaf.block_start, leaf.block_stop)
