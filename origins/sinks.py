"""What takes bytes from an origin and believes none of them before the end. Blocking: on a thread.

Beside `Rebuild`: a blob by its hash (as bytes, or as a proof that is checked while it comes), and a CAR.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, Protocol

from blockstore import Store
from blockstore.ingest import Ingest
from blockstore.landings import Landings
from content.bao.decode import Decoder
from content.block import Block, BlockMissing
from content.cid import Cid
from content.commp import PieceHasher
from content.dag_walk import walk
from content.links import NO_LINKS
from origins.dag_car import DagCar
from runtime.errors import BadRequest, NotFound, TooLarge, Unverified

# Of what lacks, looked for before a CAR is read: some 30 s, and of names half of what a CAR may leave open
_WALKED_MAX: Final = 1 << 20
_LACKING_MAX: Final = 1 << 17


class Sink(Protocol):
    """Takes the bytes of one origin."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the content, or of the CAR it is in, so far."""
        ...

    def write(self, data: bytes) -> None:
        """The next bytes. Raises Unverified, BadRequest, StoreFull."""
        ...

    def finish(self) -> str:
        """All of them have come; durable on return. How they fit, for the record. Raises as `write`."""
        ...

    def abort(self) -> None:
        """Give it up; what was verified by itself may stay."""
        ...


class BlobSink:
    """The bytes of a blob."""

    def __init__(self, store: Store, root: bytes) -> None:
        self._ingest: Ingest = store.ingest(expected=root)

    @property
    def size_bytes(self) -> int:
        """See `Sink`."""
        return self._ingest.size_bytes

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        self._ingest.write(data)

    def finish(self) -> str:
        """See `Sink`."""
        self._ingest.finish(root=None)
        return ""

    def abort(self) -> None:
        """See `Sink`."""
        self._ingest.abort()


class ProofSink(BlobSink):
    """The combined encoding of a blob: a liar is found at its first false group."""

    def __init__(self, store: Store, root: bytes) -> None:
        super().__init__(store, root)
        self._decoder = Decoder.combined(root)

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        for proven in self._decoder.feed(data):
            super().write(bytes(proven.data))

    def finish(self) -> str:
        """See `Sink`."""
        self._decoder.finish()
        return super().finish()


class CarSink:
    """A CAR with a DAG in it; each block that belongs to it is verified and stored as it comes.

    Blocks that nothing links to are passed over, unless they are known to lack: where the root is here, and
    with it some of what is below, they may come in any order.

    `commitment`: of the Filecoin piece that it must be. `most_bytes`: for how many new ones there is room;
    the CAR may have more, of which nothing is kept.
    """

    def __init__(
        self, store: Store, cid: Cid, commitment: bytes | None = None, most_bytes: int | None = None
    ) -> None:
        self._dag, self._cid, self._commitment = store.dag, cid, commitment
        self._most_bytes, self._new_bytes = most_bytes, 0
        self._car: DagCar | None = None
        self._piece = PieceHasher()
        self._landings = Landings()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """See `Sink`. Raises TooLarge before more is stored than there is room for."""
        self.size_bytes += len(data)
        if self._commitment is not None:
            self._piece.update(data)
        if self._car is None:
            lacking = list(islice(self._lacking(), _LACKING_MAX))
            self._car = DagCar(self._cid, self._dag.has, padded=self._commitment is not None, also=lacking)
        for block in self._car.feed(data):
            self._check_room(block)
            self._dag.put_soon(block, self._landings)
        self._landings.check()

    @property
    def has_begun(self) -> bool:
        """Whether something of the DAG came that was not here."""
        return self._car is not None and self._car.new_blocks > 0

    def _lacking(self) -> Iterator[bytes]:
        """What lacks below the root, as far as that is here; of it at once, 30 us a block."""
        with suppress(BadRequest):  # a block that is not of its codec
            for cid in islice(walk(self._cid, self._read_or_nothing), _WALKED_MAX):
                if not self._dag.has(cid):
                    yield cid.multihash

    def _read_or_nothing(self, cid: Cid) -> bytes:
        try:
            return self._dag.read_sound(cid)
        except BlockMissing:
            return NO_LINKS.get(cid.codec, b"")

    def _check_room(self, block: Block) -> None:
        if self._most_bytes is None or self._dag.has(block.cid):
            return
        self._new_bytes += len(block.data)
        if self._new_bytes > self._most_bytes:
            raise TooLarge(
                f"its blocks are more than the {self._most_bytes:,} bytes there is room for",
                where=self._cid.text(),
            )

    def finish(self) -> str:
        """See `Sink`; NotFound when it held nothing of the DAG."""
        if self._car is None:
            raise NotFound("there are no bytes", where=self._cid.text())
        self._car.end()
        self._landings.wait()
        if self._commitment is not None and not self._piece.matches(self._commitment):
            raise Unverified("the bytes are not the piece that was asked for", where=self._cid.text())
        if not self._dag.has(self._cid):
            raise NotFound("the CAR does not hold the DAG", where=self._cid.text())
        return "car"

    def abort(self) -> None:
        """See `Sink`."""
