"""Availability proofs as documents: what a prover signs and shows, and how it is written and read. Pure.

A proof is a CARv1 with two roots, the DAG's and the statement's. Its sections are the statement, then what
the challenge asks for, in the order of the ways down and each block once: blocks of the DAG, and Bao slices
as raw blocks. docs/formats/proof.md has it byte by byte; `proving` makes it, `verifying` reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from content import dag_cbor, public_key
from content.block import Block
from content.cid import DAG_CBOR, RAW, Cid
from content.dag_value import Value
from pinning.challenge import Challenge
from runtime.errors import BadRequest, Unverified

FORMAT: Final = "fleek-pin-proof"
VERSION: Final = 1
_DOMAIN: Final = b"fleek-pin-proof:1\0"
_BLOB_BYTES: Final = 32
_SIZE_MAX: Final = (1 << 63) - 1
Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the prover keeps a leaf: its payload is bytes [start, stop) of a blob of `size_bytes`.

    `prefix_bytes`: bytes of the block before the payload. `slice`: names the Bao slice that shows it.
    """

    blob: bytes
    size_bytes: int
    start: int
    stop: int
    prefix_bytes: int
    slice: Cid


@dataclass(frozen=True, slots=True)
class Statement:
    """What a prover says and signs: at this time, to this challenge, he held what is shown.

    `places`: of each sample, None where nothing lies in a blob. `missing`: the first block he lacked; nothing
    is shown then. `signer`: protobuf of his public key.
    """

    challenge: Challenge
    made_ms: int
    signer: bytes
    places: tuple[Place | None, ...] = ()
    missing: Cid | None = None

    def signed(self, sign: Sign) -> Block:
        """The block of the statement with its signature."""
        body = self._value()
        signature = sign(_DOMAIN + dag_cbor.encode(body))
        return Block.sealed(DAG_CBOR, dag_cbor.encode({"signature": signature, "statement": body}))

    def _value(self) -> dict[str, Value]:
        value: dict[str, Value] = {
            "format": FORMAT,
            "version": VERSION,
            "root": self.challenge.root,
            "nonce": self.challenge.nonce,
            "samples": self.challenge.samples,
            "made_ms": self.made_ms,
            "signer": self.signer,
            "places": [_place_value(place) for place in self.places],
        }
        if self.missing is not None:
            value["missing"] = self.missing
        return value


def read_statement(data: bytes) -> Statement:
    """The statement of a block. Raises BadRequest, and Unverified when its signer did not sign it."""
    value = dag_cbor.decode(data)
    if not isinstance(value, dict) or set(value) != {"signature", "statement"}:
        raise _broken("it is not a signed statement")
    body, signature = value["statement"], value["signature"]
    if not isinstance(body, dict) or not isinstance(signature, bytes):
        raise _broken("it is not a signed statement")
    if body.get("format") != FORMAT:
        raise _broken(f"it does not say that it is a {FORMAT}")
    if body.get("version") != VERSION:
        raise BadRequest("a proof of a newer version than this program understands")
    found = _statement(body)
    if not public_key.decode(found.signer).verifies(signature, _DOMAIN + dag_cbor.encode(body)):
        raise Unverified("the statement is not what its signer signed", hint="it was changed on its way")
    return found


def made_ms_of(data: bytes) -> int:
    """When a statement was made, of a block that this node made: nothing is verified. Raises BadRequest."""
    value = dag_cbor.decode(data)
    body = value.get("statement") if isinstance(value, dict) else None
    made_ms = body.get("made_ms") if isinstance(body, dict) else None
    if type(made_ms) is not int:
        raise _broken("it does not say when it was made")
    return made_ms


_FIELDS: Final = frozenset(("format", "version", "root", "nonce", "samples", "made_ms", "signer", "places"))


def _statement(body: dict[str, Value]) -> Statement:
    missing = body.get("missing")
    if set(body) - {"missing"} != _FIELDS or ("missing" in body and not isinstance(missing, Cid)):
        raise _broken("its statement has other fields")
    root, nonce, samples, made_ms = body["root"], body["nonce"], body["samples"], body["made_ms"]
    signer, places = body["signer"], body["places"]
    if not isinstance(root, Cid) or not isinstance(nonce, bytes) or type(samples) is not int:
        raise _broken("its statement names no challenge")
    if type(made_ms) is not int or not isinstance(signer, bytes) or not isinstance(places, list):
        raise _broken("its statement is not of the right form")
    challenge = Challenge(root, nonce, samples)
    if len(places) != (0 if isinstance(missing, Cid) else samples):
        raise _broken("it has not one place for each sample")
    found = tuple(None if place is None else _place(place) for place in places)
    return Statement(challenge, made_ms, signer, found, missing if isinstance(missing, Cid) else None)


def _place_value(place: Place | None) -> Value:
    if place is None:
        return None
    return {
        "blob": place.blob,
        "size": place.size_bytes,
        "start": place.start,
        "stop": place.stop,
        "prefix": place.prefix_bytes,
        "slice": place.slice,
    }


def _place(value: Value) -> Place:
    if not isinstance(value, dict) or set(value) != {"blob", "size", "start", "stop", "prefix", "slice"}:
        raise _broken("a place is not of the right form")
    blob, slice_ = value["blob"], value["slice"]
    size, start, stop, prefix = (_number(value[name]) for name in ("size", "start", "stop", "prefix"))
    if not isinstance(blob, bytes) or len(blob) != _BLOB_BYTES:
        raise _broken("a place names no blob")
    if not isinstance(slice_, Cid) or slice_.codec != RAW:
        raise _broken("a place names no slice")
    if not start < stop <= size:
        raise _broken("a place does not lie in its blob")
    return Place(blob, size, start, stop, prefix, slice_)


def _number(value: Value) -> int:
    if type(value) is not int or not 0 <= value <= _SIZE_MAX:
        raise _broken("a place is not of the right form")
    return value


def _broken(what: str) -> BadRequest:
    return BadRequest(f"not a sound proof: {what}")
