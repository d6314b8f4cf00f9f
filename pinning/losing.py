"""Pins whose content is taken away by force: they say so, instead of `pinned` of what is gone."""

from dataclasses import replace
from typing import Final

from blockstore import RootKind, Store
from blockstore.dag_removal import spellings
from content.cid import DAG_PB, RAW, Cid
from durable import Txn
from pinning.pin import Status
from pinning.table import PinTable, whole

_AT_ONCE: Final = 256  # some 20 ms of the write lock
REMOVED: Final = "the operator of this node removed the content; pin it again to have it fetched"


def fail_pins_of_blob(store: Store, root: bytes) -> int:
    """As `fail_pins_of`, of every file or block that is the whole of a blob."""
    return sum(
        fail_pins_of(store, Cid.v1(codec, name))
        for name in store.dag.whole_names(root)
        for codec in (RAW, DAG_PB)
    )


def fail_pins_of(store: Store, cid: Cid) -> int:
    """Fail every pin of a DAG, whoever's it is, so that none keeps it; how many. Durable on return."""
    table = PinTable(store)
    owners = [root.owner for each in spellings(cid) for root in store.dag.roots_of(each)
              if root.kind is RootKind.ACCOUNT]  # fmt: skip
    failed: list[int] = []
    for start in range(0, len(owners), _AT_ONCE):
        page = [owner.rpartition("/")[2] for owner in owners[start : start + _AT_ONCE]]
        made = [0]

        def change(txn: Txn, page: list[str] = page, made: list[int] = made) -> None:
            made[0] = 0
            for request_id in page:
                found = table.find(txn, request_id)
                if found is None or found[1].status is Status.FAILED:
                    continue
                place, pin = found
                lost = replace(pin, status=Status.FAILED, details=REMOVED, next_try_s=0.0)
                with whole():
                    table.update(txn, place, pin, replace(lost, dag_bytes=None, raw_bytes=None))
                made[0] += 1
            table.count_change(txn)

        store.index.change(change, frees=True)
        failed += made
    return sum(failed)
