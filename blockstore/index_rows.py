"""The index for those who keep rows of their own in it: their tables, a snapshot, a change.

Who keeps a DAG for a reason of his own (pinning) needs his row and the root in one commit; this is the door
to it. Values there are sealed as all others are (`records.seal`), and docs/formats/store.md describes them.
"""

from collections.abc import Callable
from typing import Final

from blockstore.backing import Backing
from durable import Change, Job, Reading, Table, Txn
from runtime.errors import EdgeError

# A change of one pin takes 1 to 3 ms, one of a thousand 50: a list goes on beside those
_GIVE_WAY_S: Final = 0.005


class IndexRows:
    """The index of an open store. All methods may be called from any thread."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    def table(self, name: str) -> Table:
        """The handle of a table of `records.TABLES`."""
        return self._backing.index.tables[name]

    def reading(self) -> Reading:
        """A short snapshot: `with index.reading() as txn`; never across a wait."""
        return self._backing.index.reading()

    def give_way(self) -> None:
        """Let a change that runs just now be done first: for lists, between two snapshots. At most 5 ms."""
        self._backing.writer.give_way(_GIVE_WAY_S)

    def now_s(self) -> float:
        """Seconds since the epoch, by the store's clock."""
        return self._backing.clock.now_s()

    def account_bytes(self, txn: Txn, account: str) -> int:
        """Bytes that an account's roots of blobs hold, each blob counted once."""
        return self._backing.catalog.tally(txn, account).bytes_

    def change(self, change: Change, *, frees: bool = False) -> None:
        """Run `change` in a transaction shared with others and wait until it is durable.

        It may run twice, so it is a function of the transaction; an EdgeError is raised before its first
        write or not at all, and comes out here. `frees`: it may use the room kept for deletions.
        """
        self._backing.writer.run(index=change, frees=frees)

    def change_soon(
        self,
        change: Change,
        done: Callable[[EdgeError | None], None],
        *,
        frees: bool = False,
        urgent: bool = True,
    ) -> None:
        """`change` for an event loop: returns at once; `done` hears on the writer thread how it ended.

        Not `urgent`: it waits up to `store.linger_s` for company. Raises Interrupted once the store closes.
        """
        self._backing.writer.submit(Job(index=change, urgent=urgent, frees=frees, done=done), wait=False)
