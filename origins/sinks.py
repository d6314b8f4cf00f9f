"""What takes bytes from an origin and believes none of them before the end. Blocking: on a thread.

Beside `Rebuild`: a blob by its hash (as bytes, or as a proof that is checked while it comes), and a CAR.
"""

from typing import Protocol

from blockstore import Store
from blockstore.ingest import Ingest
from blockstore.landings import Landings
from content.bao.decode import Decoder
from content.block import Block
from content.cid import Cid
from content.commp import PieceHasher
from origins.dag_car import DagCar
from runtime.errors import NotFound, TooLarge, Unverified


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
    """The CAR of a DAG; each block is verified and stored as it comes.

    `commitment`: of the Filecoin piece that it must be. `most_bytes`: for how many new ones there is room;
    the CAR may have more, of which nothing is kept.
    """

    def __init__(
        self, store: Store, cid: Cid, commitment: bytes | None = None, most_bytes: int | None = None
    ) -> None:
        self._dag, self._cid, self._commitment = store.dag, cid, commitment
        self._most_bytes, self._new_bytes = most_bytes, 0
        self._car = DagCar(cid, store.dag.has, padded=commitment is not None)
        self._piece = PieceHasher()
        self._landings = Landings()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        """See `Sink`. Raises TooLarge before more is stored than there is room for."""
        self.size_bytes += len(data)
        if self._commitment is not None:
            self._piece.update(data)
        for block in self._car.feed(data):
            self._check_room(block)
            self._dag.put_soon(block, self._landings)
        self._landings.check()

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
        self._car.end()
        self._landings.wait()
        if self._commitment is not None and not self._piece.matches(self._commitment):
            raise Unverified("the bytes are not the piece that was asked for", where=self._cid.text())
        if not self._dag.has(self._cid):
            raise NotFound("the CAR does not hold the DAG", where=self._cid.text())
        return "car"

    def abort(self) -> None:
        """See `Sink`."""
