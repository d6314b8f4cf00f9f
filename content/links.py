"""The links of a block, whatever its codec: what a sweep, a CAR and a pin walk along."""

from content import cid as codecs
from content import dag_cbor, dag_json, dag_pb, dag_value
from content.cid import Cid


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
