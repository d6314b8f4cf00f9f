"""The CAR of a whole DAG as it arrives: verified blocks, and no other than the DAG links to. Pure.

Each block must be the root, or linked from a block that came before it in this CAR; blocks that are here
already may come again and are passed on, because what is below them may be what is wanted. So what a source
can make us store is bounded by what the root names, and by what is told to be wanted. A link is remembered
until its block has come.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from content import cid as codecs
from content.block import Block
from content.car import CarReader
from content.cid import Cid
from content.links import links_through
from runtime.errors import BadRequest, TooLarge, Unreachable, Unverified

# Links whose blocks have not come, 100 bytes each: of the widest path there is, several times
_LINKS_MAX: Final = 1 << 18
# A block may come twice in a row although it was asked for once (`dups=y`) and is not durable yet
_RECENT: Final = 4096
_LEAVES: Final = frozenset((codecs.RAW, codecs.JSON, codecs.CBOR))


class DagCar:
    """Reads one CAR, fed at any split. `new_blocks`: blocks that came and were not here."""

    def __init__(
        self,
        root: Cid,
        is_here: Callable[[Cid], bool],
        *,
        padded: bool = False,
        also: Iterable[bytes] | None = None,
    ) -> None:
        """`padded`: see `CarReader`. `also`: what else is wanted (multihashes), of a CAR that may hold other
        DAGs and any order: what is not wanted is passed over there, and refused where it is None.
        """
        self._reader = CarReader(padded=padded)
        self._is_here = is_here
        self._is_mixed = also is not None
        self._linked: set[bytes] = {root.multihash, *(also or ())}
        self._recent: OrderedDict[bytes, None] = OrderedDict()
        self.new_blocks = 0

    def feed(self, data: bytes) -> Iterator[Block]:
        """The blocks that `data` completes. Raises Unverified, BadRequest, TooLarge; exhaust it."""
        for block in self._reader.feed(data):
            name = block.cid.multihash
            if name in self._linked:
                self._linked.discard(name)
            elif self._is_mixed or block.cid.is_identity or name in self._recent or self._is_here(block.cid):
                continue
            else:
                raise Unverified("a block that was not asked for", where=block.cid.text())
            self._recent[name] = None
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
            self._expect(block)
            self.new_blocks += not self._is_here(block.cid)
            yield block

    def end(self) -> None:
        """Say that the stream is over. Raises Unreachable when it was cut short."""
        try:
            self._reader.end()
        except BadRequest as error:  # no lie: a server that fails closes, and not each closing can be told
            raise Unreachable(error.message, where=error.where) from None

    def _expect(self, block: Block) -> None:
        for cid in _below(block):
            if cid.is_identity or cid.multihash in self._recent:
                continue
            if cid.codec in _LEAVES and self._is_here(cid):
                continue
            self._linked.add(cid.multihash)
        if len(self._linked) > _LINKS_MAX:
            raise TooLarge(f"a DAG with more than {_LINKS_MAX:,} links waiting comes in parts")


def _below(block: Block) -> tuple[Cid, ...]:
    """What a block links to, through CIDs that are their own blocks too."""
    try:
        return links_through(block.cid, block.data)
    except BadRequest:
        return ()  # verified, and not of its codec: the walk says so
