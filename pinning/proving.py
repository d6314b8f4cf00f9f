"""The prover's side: follows a challenge through what is here, and shows what it met.

Two passes over the ways down: the first reads and checks everything and makes the slices (about 18 KiB each),
so that the statement can be signed; the second sends the blocks, reading each again. Memory: the slices, and
one block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from content import car
from content.bao import Source, subgroup_pieces
from content.bao.geometry import GROUP_BYTES
from content.block import Block, BlockMissing
from content.cid import RAW, Cid
from pinning.challenge import DEPTH_MAX, Challenge
from pinning.proof import Place, Sign, Statement


class Held(Source, Protocol):
    """A blob that is here."""

    @property
    def root(self) -> bytes:
        """Its name."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a block lies: its bytes are `prefix_bytes`, then [start, stop) of a blob, and what is left."""

    blob: Held
    start: int
    stop: int
    prefix_bytes: int


class Holder(Protocol):
    """What is here; `pinning.holding` is one, over the store."""

    def read(self, cid: Cid) -> bytes:
        """The bytes of a block, checked. Raises BlockMissing, BlobDamaged."""
        ...

    def kept(self, cid: Cid) -> Kept | None:
        """Where a block lies; None when it is not here."""
        ...

    def whole(self, cid: Cid) -> Held | None:
        """The blob that a raw CID with a BLAKE3 hash is the name of, where it is too large for a block."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that can be sent: `statement` is the signed block alone, which is what is kept of it."""

    statement: Block
    missing: Cid | None
    pieces: Iterator[bytes]


def prove(challenge: Challenge, holder: Holder, signer: bytes, sign: Sign, made_ms: int) -> Proof:
    """Answer a challenge. Where a block lacks, the statement says so and nothing is shown.

    Raises BlobDamaged, BadRequest (a block not of its codec). Cost: the blocks on the ways, read twice.
    """
    shown: list[Cid | Block] = []  # blocks by name, slices whole
    places: list[Place | None] = []
    seen: set[bytes] = set()
    missing: Cid | None = None
    try:
        places += [_follow(challenge, sample, holder, shown, seen) for sample in range(challenge.samples)]
    except BlockMissing as lacks:
        missing, shown, places = lacks.cid, [], []
    statement = Statement(challenge, made_ms, signer, tuple(places), missing).signed(sign)
    return Proof(statement, missing, _pieces(challenge.root, statement, shown, holder))


def _follow(
    challenge: Challenge, sample: int, holder: Holder, shown: list[Cid | Block], seen: set[bytes]
) -> Place | None:
    """One way down; what it shows goes to `shown`, unless it was shown before."""
    cid = challenge.root
    for step in range(DEPTH_MAX):
        blob = holder.whole(cid)
        if blob is not None:
            return _place(challenge, sample, Kept(blob, 0, blob.size_bytes, 0), shown, seen)
        if cid.is_identity:
            data = cid.digest
        else:
            data = holder.read(cid)
            if cid.multihash not in seen:
                seen.add(cid.multihash)
                shown.append(cid)
        below = challenge.next(sample, step, cid, data)
        if below is None:
            break
        cid = below
    kept = None if cid.is_identity else holder.kept(cid)
    if kept is None or kept.start == kept.stop:
        return None
    return _place(challenge, sample, kept, shown, seen)


def _place(
    challenge: Challenge, sample: int, kept: Kept, shown: list[Cid | Block], seen: set[bytes]
) -> Place:
    ranges = slice_ranges(kept.start + challenge.at(sample, kept.stop - kept.start), kept.blob.size_bytes)
    data = b"".join(subgroup_pieces(kept.blob, ranges))
    piece = Block.sealed(RAW, data)
    if piece.cid.multihash not in seen:
        seen.add(piece.cid.multihash)
        shown.append(piece)
    blob = kept.blob
    return Place(blob.root, blob.size_bytes, kept.start, kept.stop, kept.prefix_bytes, piece.cid)


def slice_ranges(at: int, size_bytes: int) -> list[tuple[int, int]]:
    """What a slice shows: the group that byte `at` lies in, and the last byte, which proves the size."""
    start = at // GROUP_BYTES * GROUP_BYTES
    return [(start, min(start + GROUP_BYTES, size_bytes)), (size_bytes - 1, size_bytes)]


def _pieces(root: Cid, statement: Block, shown: list[Cid | Block], holder: Holder) -> Iterator[bytes]:
    yield car.header((root, statement.cid))
    yield car.frame(statement.cid, len(statement.data)) + statement.data
    for each in shown:
        cid, data = (each.cid, each.data) if isinstance(each, Block) else (each, holder.read(each))
        yield car.frame(cid, len(data))
        yield data
