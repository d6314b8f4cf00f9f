"""The links of a block, whatever its codec: what a sweep, a CAR and a pin walk along."""

from typing import Final

from content import cid as codecs
from content import dag_cbor, dag_json, dag_pb, dag_value
from content.cid import Cid
from runtime.errors import BadRequest

NO_LINKS: Final = {codecs.DAG_CBOR: b"\xa0", codecs.DAG_JSON: b"{}"}
"""A block without links, of codecs in which that is not the empty one."""

_LINKING: Final = (codecs.DAG_PB, codecs.DAG_CBOR, codecs.DAG_JSON)


def links(cid: Cid, data: bytes) -> tuple[Cid, ...]:
    """The links of a block in the order in which they are written; () for codecs without links.

    Raises BadRequest when the block is not of its codec.
    """
    if cid.codec == codecs.DAG_PB:
        return tuple(dag_pb.Opened(data).cids())
    if cid.codec == codecs.DAG_CBOR:
        return tuple(dag_value.links(dag_cbor.decode(data)))
    if cid.codec == codecs.DAG_JSON:
        return tuple(dag_value.links(dag_json.decode(data)))
    return ()


def links_through(cid: Cid, data: bytes) -> tuple[Cid, ...]:
    """As `links`, with those of inline blocks behind them: CIDs that hold a block which has links itself.

    Inline blocks are among them, for a walk to pass over: all that is below them is named too.
    """
    found = list(links(cid, data))
    for each in found:  # it grows: a digest of 128 bytes has a few links at most
        if each.is_identity:
            found += links(each, each.digest)
    return tuple(found)


def links_to_nothing(multihash: bytes, data: bytes) -> bool:
    """Whether a block has no links, whichever codec its bytes are read by."""
    return not any(_has_links(Cid.v1(codec, multihash), data) for codec in _LINKING)


def _has_links(cid: Cid, data: bytes) -> bool:
    try:
        return bool(links(cid, data))
    except BadRequest:
        return False
