"""A pin's walk over the blocks that are here: as far as they go, a short step at a time. Blocking."""

from collections.abc import Callable, Container
from typing import Final

from blockstore import Store
from blockstore.importing import flatten_all
from blockstore.presence import keep, present
from content.block import BlockMissing
from content.cid import Cid
from pinning.walk import Walk
from runtime.errors import BlobDamaged

# Between two looks at whether the pin is still wanted: 5 ms of blocks without links, 50 of others
STEP_BLOCKS: Final = 512
# Blocks that were asked to stay in one commit
_KEEP_AT_ONCE: Final = 1024
_FLATTEN_AT_ONCE: Final = 64


class HereWalk:
    """A walk, the blocks it relies on, and the files it passed."""

    def __init__(
        self,
        store: Store,
        root: Cid,
        blocks_max: int,
        cursor: bytes = b"",
        check: Callable[[Cid], None] | None = None,
    ) -> None:
        """`cursor`: see `Walk`; `check` raises what refuses a block, here or not. Raises BadRequest."""
        self._store, self._check = store, check
        self._stale: list[bytes] = []
        self.walk = Walk(root, blocks_max, cursor)
        self.lost = False
        """Whether a block that was passed went away; then only a walk from the start tells what is here."""

    def step(self) -> bool:
        """Go on over blocks that are here; whether more can be done at once.

        False: the walk is at its end, or at a block that is not here. Raises BadRequest, TooLarge, what
        `check` raises.
        """
        walk, store = self.walk, self._store
        for _ in range(STEP_BLOCKS):
            cid = walk.at
            if cid is None:
                break
            if self._check is not None:
                self._check(cid)
            found = present(store, cid)
            data = b""
            if found is not None and walk.has_links():
                try:
                    data = store.dag.read(cid)
                except (BlockMissing, BlobDamaged):
                    found = None
            if found is None:
                self._settle(at_end=False)
                return False
            if not found.is_fresh:
                self._stale.append(cid.multihash)
            if walk.passed(found.ordinal):
                continue
            if walk.has_links():
                walk.receive(data)
            else:
                walk.found(found.size_bytes)
        self._settle(at_end=walk.at is None)
        return walk.at is not None

    def missing(self, count: int, busy: Container[bytes]) -> list[tuple[Cid, Cid | None]]:
        """Blocks that are wanted next and not here, with their parents: see `Walk.wanted`."""
        return [each for each in self.walk.wanted(count, busy) if present(self._store, each[0]) is None]

    def _settle(self, *, at_end: bool) -> None:
        """Ask what was passed to stay, and make files whole: now and again, and at the end."""
        if at_end or len(self._stale) >= _KEEP_AT_ONCE:
            stale, self._stale = self._stale, []
            self.lost = not keep(self._store, stale) or self.lost
        files = self.walk.files
        if at_end or len(files) >= _FLATTEN_AT_ONCE:
            flatten_all(self._store.dag, files)
            files.clear()
