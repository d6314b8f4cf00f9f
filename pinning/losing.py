"""Pins whose content is taken away by force: they say so, instead of `pinned` of what is gone."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from blockstore import RootKind, Store
from blockstore.dag_above import Above
from blockstore.dag_removal import spellings
from content.cid import DAG_PB, RAW, Cid
from durable import Txn
from pinning.pin import Status
from pinning.table import PinTable, whole

_LASTING: Final = frozenset(Status) - {Status.FAILED}
_AT_ONCE: Final = 256  # some 20 ms of the write lock
REMOVED: Final = "the operator of this node removed the content; pin it again to have it fetched"
REMOVED_PART: Final = "the operator of this node removed a part of it; pin it again to have that fetched"


def fail_pins_of_blob(store: Store, root: bytes) -> int:
    """As `fail_pins_of`, of every file or block that is the whole of a blob, and of each DAG that is pinned
    and has a block in it. Reads all blocks with links of what accounts have pinned, each once.
    """
    failed = sum(
        fail_pins_of(store, Cid.v1(codec, name))
        for name in store.dag.whole_names(root)
        for codec in (RAW, DAG_PB)
    )
    with store.backing.index.reading() as txn:
        lost = frozenset(store.backing.catalog.block_names(txn, root))
    above = Above(store.backing, store.dag, lost)
    owners = [
        each.root.owner
        for each in store.dag.roots()
        if lost and each.root.kind is RootKind.ACCOUNT and above.reaches(each.cid)
    ]
    return failed + _fail(store, owners, REMOVED_PART, frozenset((Status.PINNED,)))


def fail_pins_of(store: Store, cid: Cid) -> int:
    """Fail every pin of a DAG, whoever's it is, so that none keeps it; how many. Durable on return."""
    owners = [root.owner for each in spellings(cid) for root in store.dag.roots_of(each)
              if root.kind is RootKind.ACCOUNT]  # fmt: skip
    return _fail(store, owners, REMOVED, _LASTING)


def _fail(store: Store, owners: Sequence[str], details: str, statuses: Collection[Status]) -> int:
    """Fail those of the pins that these roots are of which have one of `statuses`."""
    table = PinTable(store)
    failed: list[int] = []
    for start in range(0, len(owners), _AT_ONCE):
        page = [owner.rpartition("/")[2] for owner in owners[start : start + _AT_ONCE]]
        made = [0]

        def change(txn: Txn, page: list[str] = page, made: list[int] = made) -> None:
            made[0] = 0
            for request_id in page:
                found = table.find(txn, request_id)
                if found is None or found[1].status not in statuses:
                    continue
                place, pin = found
                lost = replace(pin, status=Status.FAILED, details=details, next_try_s=0.0)
                with whole():
                    table.update(txn, place, pin, replace(lost, dag_bytes=None, raw_bytes=None))
                made[0] += 1
            table.count_change(txn)

        store.index.change(change, frees=True)
        failed += made
    return sum(failed)
