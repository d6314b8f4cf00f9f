"""`GET …/x/size/<cid>`: how large a DAG is, before it is pinned, as far as that is known without fetching it.

`how`: `measured` where all of it is here; `declared` where only its root is, and the root says (the Tsize of
its links, which its author wrote). Of what is not here at all nothing is known.
"""

import json
from typing import Any

from blockstore import Store
from content import dag_pb
from content.cid import DAG_PB, Cid
from net.answer import Answer
from pinning.measure import measured
from runtime.errors import NotFound


def size_of(store: Store, cid: Cid) -> dict[str, Any]:
    """The size of a DAG. Raises NotFound, BadRequest, BlobDamaged. Blocking: reads every block with links."""
    found = measured(cid, store.dag)
    if found.missing is None:
        sizes = {"size_bytes": found.dag_bytes, "raw_bytes": found.raw_bytes, "blocks": found.blocks}
        return {**sizes, "how": "measured"}
    if found.missing == cid or cid.codec != DAG_PB:
        hint = "it is known once the first block of it is here: `fleek-pin add` brings it"
        raise NotFound(f"block {found.missing} of the DAG is not here", where=cid.text(), hint=hint)
    block = store.dag.read(cid)
    links = dag_pb.decode(block).links
    return {"size_bytes": len(block) + sum(link.size_bytes or 0 for link in links), "how": "declared"}


def size_answer(store: Store, cid_text: str, account: str) -> Answer:
    """The answer to `account`. Raises as `size_of`."""
    cid = Cid.parse(cid_text)
    body = json.dumps({"cid": cid.text(), **size_of(store, cid)}).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Answer(200, fields, body, len(body), kind="pinning", account=account)
