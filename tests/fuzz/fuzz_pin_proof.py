"""Fuzz target `pin_proof`: availability proofs, fed at any split.

The first byte chooses where the rest is cut. Invariants
 1. Only BadRequest, TooLarge and Unverified are raised, each with a message.
 2. However the proof is cut, the verdict is the same.
 3. What convinces shows the root's block; what names a missing block shows nothing.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content.block import BlockMissing
from content.cid import Cid
from content.private_key import wrap
from pinning.challenge import Challenge
from pinning.proof import Statement
from pinning.proving import prove
from pinning.verifying import Verdict, Verifier
from runtime.errors import BadRequest, TooLarge, Unverified
from tests.gateway.dags import Dags

TARGET = "pin_proof"
_KEY = wrap(Ed25519PrivateKey.from_private_bytes(bytes(32)))
_DAGS = Dags()
_ROOT = _DAGS.directory({"a": _DAGS.file(b"a" * 2500), "b": _DAGS.file(b"bb")})
_CHALLENGE = Challenge(_ROOT, bytes(range(32)), 2)


class _Everything:
    def read(self, cid: Cid) -> bytes:
        if cid not in _DAGS.blocks:
            raise BlockMissing(cid)
        return _DAGS.blocks[cid]

    def kept(self, cid: Cid) -> None:
        return None

    whole = kept


_HONEST = b"".join(prove(_CHALLENGE, _Everything(), _KEY.public, _KEY.sign, 1_700_000_000_000).pieces)


def read(data: bytes, cut: int) -> Verdict | str:
    """The verdict, or the refusal as text."""
    verifier = Verifier(_CHALLENGE)
    try:
        verifier.feed(data[:cut])
        verifier.feed(data[cut:])
        return verifier.end()
    except (BadRequest, TooLarge, Unverified) as error:
        assert error.message
        return f"{type(error).__name__} {error.message} {error.where}"


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    cut, data = data[0] * 7, data[1:]
    verdict = read(data, 0)
    assert read(data, cut) == verdict, "cut, it means something else"
    if isinstance(verdict, str):
        return
    assert verdict.challenge == _CHALLENGE
    if verdict.missing is None:
        assert verdict.blocks, "convinced by nothing"
        assert _DAGS.blocks[_ROOT] in data
        assert hashlib.sha256(_DAGS.blocks[_ROOT]).digest() == _ROOT.digest
    else:
        assert verdict.blocks == 0


def _missing() -> bytes:
    class Nothing(_Everything):
        def read(self, cid: Cid) -> bytes:
            raise BlockMissing(cid)

    return b"".join(prove(_CHALLENGE, Nothing(), _KEY.public, _KEY.sign, 1_700_000_000_000).pieces)


SEEDS = [
    b"\x00" + _HONEST,
    b"\x09" + _missing(),
    b"\x00" + _HONEST[:200],
    b"\x00" + Statement(_CHALLENGE, 1, _KEY.public, (None, None)).signed(_KEY.sign).data,
]
