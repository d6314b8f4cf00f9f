"""What a verifier asks of a prover: random ways down a DAG, all decided by a number the verifier chose. Pure.

The verifier knows nothing but the root's CID. So which blocks are asked for cannot be a list of his: it is a
rule both follow. Each sample walks down from the root; at a block with links the next link is drawn from the
nonce, in dag-pb with the odds of how much lies below each (its Tsize, which the CID binds); at a leaf, 16 KiB
of it are drawn. A prover who lacks a share f of the bytes passes n samples with a chance of (1 - f)^n.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from content import cid as codecs
from content import dag_pb
from content.cid import Cid
from content.links import links
from runtime.errors import BadRequest

NONCE_BYTES: Final = 32
SAMPLES_DEFAULT: Final = 16  # finds one tenth missing four times in five; each is a block of at most 2 MiB
SAMPLES_MAX: Final = 64
# Files, sharded directories and trees of them are a dozen deep; of a longer chain this much is sampled
DEPTH_MAX: Final = 64
_DOMAIN: Final = b"fleek-pin-challenge:1\0"
_GROUP: Final = DEPTH_MAX  # the step number of the drawing inside a leaf


@dataclass(frozen=True, slots=True)
class Challenge:
    """A root, a nonce nobody could foresee, and how many ways down are asked for."""

    root: Cid
    nonce: bytes
    samples: int = SAMPLES_DEFAULT

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_BYTES:
            raise BadRequest(f"a nonce has {NONCE_BYTES} bytes, not {len(self.nonce)}", where="nonce")
        if not 1 <= self.samples <= SAMPLES_MAX:
            raise BadRequest(f"from 1 to {SAMPLES_MAX} samples can be asked for", where="samples")

    def next(self, sample: int, step: int, cid: Cid, block: bytes) -> Cid | None:
        """Where a way goes on from a block; None where it ends. Raises BadRequest (not of its codec)."""
        if step >= DEPTH_MAX - 1:
            return None
        if cid.codec == codecs.DAG_PB:
            return self._next_of_node(sample, step, block)
        below = links(cid, block)
        return below[self._draw(sample, step, len(below))] if below else None

    def at(self, sample: int, size_bytes: int) -> int:
        """Which of the bytes of a leaf is asked for; its group is shown. `size_bytes` is one at least."""
        return self._draw(sample, _GROUP, size_bytes)

    def _next_of_node(self, sample: int, step: int, block: bytes) -> Cid | None:
        found = dag_pb.Opened(block).links()
        if not found:
            return None
        weights = [link.size_bytes or 0 for link in found]
        total = sum(weights)
        if not total:
            return found[self._draw(sample, step, len(found))].cid
        drawn = self._draw(sample, step, total)
        for link, weight in zip(found, weights, strict=True):
            if drawn < weight:
                return link.cid
            drawn -= weight
        raise AssertionError("a number below the total lies below one of the sums")

    def _draw(self, sample: int, step: int, below: int) -> int:
        """A number from 0 to `below` - 1. The bias of a modulus of 256 bits is nothing."""
        name = self.root.raw
        text = b"".join(
            (_DOMAIN, self.nonce, len(name).to_bytes(2, "big"), name, bytes((sample, step)))
        )  # fmt: skip
        return int.from_bytes(hashlib.sha256(text).digest(), "big") % below
