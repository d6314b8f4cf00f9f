"""`GET …/x/size/<cid>`: how large a DAG is, as far as that is known without fetching it.

`how`: `measured` where the account has it pinned, or all of it is here and was counted now; `declared` where
only its root is here, or it is more than is counted for an answer, and the root says (the Tsize of its links,
which its author wrote). Of what is not here at all nothing is known.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from blockstore import Store
from content import dag_pb
from content.block import BlockMissing
from content.cid import DAG_PB, Cid
from net.answer import Answer
from pinning.measure import Measured, measured
from pinning.pin import Filter, Status
from pinning.ports import PinBook
from runtime.errors import NotFound, TooLarge

# Who asks has one thread with all who ask
_COUNT_S: Final = 1.0
_COUNT_BLOCKS: Final = 1 << 16


def size_of(store: Store, cid: Cid, enough: Callable[[Measured], bool] | None = None) -> dict[str, Any]:
    """The size of a DAG that is here. Raises NotFound, BadRequest, TooLarge, BlobDamaged.

    Blocking: reads every block with links, until `enough` says that it took enough.
    """
    found = measured(cid, store.dag, enough)
    if found.missing is None and not found.is_cut:
        sizes = {"size_bytes": found.dag_bytes, "raw_bytes": found.raw_bytes, "blocks": found.blocks}
        return {**sizes, "how": "measured"}
    if found.missing != cid and (declared := _declared(store, cid)) is not None:
        return {"size_bytes": declared, "how": "declared"}
    if found.is_cut:
        problem = f"more than {found.blocks:,} blocks are not counted for an answer"
        raise TooLarge(problem, where="cid", hint="its size is known once it is pinned")
    hint = "its size is known once its first block is here: `fleek-pin add` brings it"
    what = "it" if found.missing == cid else f"block {found.missing} of it"
    raise NotFound(f"{what} is not here", where=cid.text(), hint=hint)


def _declared(store: Store, cid: Cid) -> int | None:
    """What a dag-pb root says; a link without a size counts nothing."""
    if cid.codec != DAG_PB:
        return None
    try:
        block = store.dag.read(cid)
    except BlockMissing:
        return None
    return len(block) + sum(link.size_bytes or 0 for link in dag_pb.decode(block).links)


def size_answer(
    store: Store,
    book: PinBook,
    tick_s: Callable[[], float],
    check_may_read: Callable[[Cid], None],
    account: str,
    cid_text: str,
) -> Answer:
    """The answer to `account`: of its own pins from their rows, else of what it may read or has asked for.

    `check_may_read` raises what keeps it from reading this content here. Raises that, and as `size_of`.
    Blocking, about a second at most.
    """
    cid = Cid.parse(cid_text)
    found = _pinned(book, account, cid)
    if found is None:
        if not book.page(account, Filter(cids=(cid,)), 1).pins:
            check_may_read(cid)
        stop_s = tick_s() + _COUNT_S
        found = size_of(store, cid, lambda so_far: so_far.blocks >= _COUNT_BLOCKS or tick_s() > stop_s)
    body = json.dumps({"cid": cid.text(), **found}).encode() + b"\n"
    fields = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Answer(200, fields, body, len(body), kind="pinning", account=account)


def _pinned(book: PinBook, account: str, cid: Cid) -> dict[str, Any] | None:
    """What was counted when the account's pin of it became whole."""
    for pin in book.page(account, Filter(cids=(cid,), statuses=frozenset((Status.PINNED,))), 1).pins:
        if pin.dag_bytes is not None:
            return {"size_bytes": pin.dag_bytes, "raw_bytes": pin.raw_bytes, "how": "measured"}
    return None
