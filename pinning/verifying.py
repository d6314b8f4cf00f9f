"""The verifier's side: reads a proof and is convinced, or says why not. Pure; trusts the root's CID alone.

What convinces: every block shown hashes to a CID that a block before it links to, along the ways that the
nonce draws; a leaf's bytes are those that a Bao slice proves to lie in a blob. So whoever answered could read
all that was drawn. What it does not show is where he read it from: docs/formats/proof.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from content.bao import Decoder
from content.car import CarReader
from content.cid import RAW, Cid
from content.multihash import BLAKE3
from pinning.challenge import DEPTH_MAX, Challenge
from pinning.proof import Place, Statement, read_statement
from pinning.proving import slice_ranges
from runtime.errors import BadRequest, TooLarge, Unverified

# Blocks of 2 MiB for each of the most samples, and the nodes above them
PROOF_BYTES_MAX: Final = 192 << 20
_SIZE_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """A proof that holds. `missing`: the prover himself says that he lacks this block; nothing is proven.

    `bytes_`: of the blocks that were shown. `signer` is who signed; whether he is trusted is not judged here.
    """

    challenge: Challenge
    signer: bytes
    made_ms: int
    blocks: int
    bytes_: int
    missing: Cid | None


class Verifier:
    """Reads one proof, fed at any split. Memory: what is shown, PROOF_BYTES_MAX at most."""

    def __init__(self, challenge: Challenge) -> None:
        """`challenge`: what was asked; a proof that answers something else is refused."""
        self._challenge = challenge
        self._reader = CarReader()
        self._statement: Statement | None = None
        self._statement_cid: Cid | None = None
        self._shown: dict[bytes, bytes] = {}
        self._used: set[bytes] = set()
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises BadRequest, TooLarge, Unverified."""
        for block in self._reader.feed(data):
            self._bytes += len(block.data)
            if self._bytes > PROOF_BYTES_MAX:
                raise TooLarge(f"a proof of more than {PROOF_BYTES_MAX} bytes")
            if self._statement is None:
                self._take_statement(block.cid, block.data)
            elif block.cid.multihash in self._shown:
                raise BadRequest("not a sound proof: a block is shown twice", where=block.cid.text())
            else:
                self._shown[block.cid.multihash] = block.data

    def end(self) -> Verdict:
        """Say that it is over; what it proves. Raises BadRequest, Unverified naming what does not fit."""
        self._reader.end()
        statement = self._statement
        if statement is None:
            raise BadRequest("not a sound proof: it has no statement")
        if statement.missing is None:
            for sample, place in enumerate(statement.places):
                self._follow(sample, place)
        if unused := set(self._shown) - self._used:
            raise BadRequest(f"not a sound proof: {len(unused)} blocks in it were not asked for")
        blocks = len(self._shown)
        shown_bytes = sum(len(data) for data in self._shown.values())
        return Verdict(
            self._challenge, statement.signer, statement.made_ms, blocks, shown_bytes, statement.missing
        )

    def _take_statement(self, cid: Cid, data: bytes) -> None:
        if self._reader.roots != (self._challenge.root, cid):
            raise Unverified("the proof is not about this root", where=self._challenge.root.text())
        self._statement = read_statement(data)
        if self._statement.challenge != self._challenge:
            raise Unverified(
                "the proof answers another challenge",
                where=self._challenge.root.text(),
                hint="it is an old one",
            )

    def _follow(self, sample: int, place: Place | None) -> None:
        """Walk one way down, as the prover had to."""
        challenge, cid = self._challenge, self._challenge.root
        for step in range(DEPTH_MAX):
            if place is not None and _is_name_of(cid, place.blob) and cid.multihash not in self._shown:
                if (place.start, place.stop, place.prefix_bytes) != (0, place.size_bytes, 0):
                    raise Unverified("a whole blob is not said to be whole", where=f"sample {sample}")
                self._check_slice(sample, place, None)
                return
            data = cid.digest if cid.is_identity else self._block(cid, sample)
            below = challenge.next(sample, step, cid, data)
            if below is None:
                self._check_leaf(sample, place, data)
                return
            cid = below

    def _block(self, cid: Cid, sample: int) -> bytes:
        data = self._shown.get(cid.multihash)
        if data is None:
            raise Unverified(
                "a block that was asked for is not shown", where=f"sample {sample}, {cid.text()}"
            )
        self._used.add(cid.multihash)
        return data

    def _check_leaf(self, sample: int, place: Place | None, block: bytes) -> None:
        if place is None:
            return
        payload_bytes = place.stop - place.start
        if place.prefix_bytes + payload_bytes > len(block):
            raise Unverified("a place is larger than its block", where=f"sample {sample}")
        self._check_slice(sample, place, block[place.prefix_bytes : place.prefix_bytes + payload_bytes])

    def _check_slice(self, sample: int, place: Place, payload: bytes | None) -> None:
        """The slice proves its bytes to lie in the blob, and where they are the payload's they are equal."""
        data = self._block(place.slice, sample)
        at = place.start + self._challenge.at(sample, place.stop - place.start)
        decoder = Decoder.subgroup(place.blob, slice_ranges(at, place.size_bytes))
        if int.from_bytes(data[:_SIZE_BYTES], "little") != place.size_bytes:
            raise Unverified("a slice is of a blob of another size", where=f"sample {sample}")
        covered = False
        for proven in decoder.feed(data):
            start, stop = proven.offset_bytes, proven.offset_bytes + len(proven.data)
            covered = covered or start <= at < stop
            low, high = max(start, place.start), min(stop, place.stop)
            if payload is not None and low < high:
                shown = proven.data[low - start : high - start]
                if shown != payload[low - place.start : high - place.start]:
                    raise Unverified("the blob holds other bytes than the block", where=f"sample {sample}")
        decoder.finish()
        if not covered or decoder.size_bytes != place.size_bytes:
            raise Unverified("a slice does not show what was asked for", where=f"sample {sample}")


def _is_name_of(cid: Cid, blob: bytes) -> bool:
    return cid.codec == RAW and cid.hash_code == BLAKE3 and cid.digest == blob


def verify(challenge: Challenge, pieces: Iterable[bytes]) -> Verdict:
    """A whole proof. Raises BadRequest, TooLarge, Unverified."""
    verifier = Verifier(challenge)
    for piece in pieces:
        verifier.feed(piece)
    return verifier.end()
