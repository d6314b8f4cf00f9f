"""Fuzz target `manifest`: signed pin manifests, fed at any split.

The first byte chooses where the rest is cut. Invariants
 1. Only BadRequest and Unverified are raised.
 2. However it is cut, the same pins come out before the same end.
 3. What is accepted, written again, is the same bytes up to the signature.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import multihash
from content.cid import RAW, Cid
from content.private_key import wrap
from pinning.manifest import Reader, Signed, lines
from pinning.pin import Wish
from runtime.errors import BadRequest, Unverified

TARGET = "manifest"
_KEY = wrap(Ed25519PrivateKey.from_private_bytes(bytes(32)))
_CID = Cid.v1(RAW, multihash.sha2_256(b"x"))


def read(data: bytes, cut: int) -> tuple[list[Wish], Signed | str]:
    """(pins, how it ended)."""
    reader, wishes = Reader(), list[Wish]()
    try:
        for piece in (data[:cut], data[cut:]):
            for wish in reader.feed(piece):
                wishes.append(wish)  # those before a refusal count
        return wishes, reader.end()
    except (BadRequest, Unverified) as error:
        assert error.message
        return wishes, f"{type(error).__name__} {error.message} {error.where}"


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    cut, data = data[0] * 3, data[1:]
    wishes, end = read(data, 0)
    assert read(data, cut) == (wishes, end), "cut, it means something else"
    if isinstance(end, Signed):
        written = b"".join(lines(wishes, end.signer, lambda message: b"", end.made_ms))
        assert written.rpartition(b'{"count"')[0] == data.rpartition(b'{"count"')[0]


def _manifest(*wishes: Wish) -> bytes:
    return b"\x05" + b"".join(lines(wishes, _KEY.public, _KEY.sign, 1_700_000_000_000))


SEEDS = [
    _manifest(),
    _manifest(Wish(_CID)),
    _manifest(Wish(_CID, "n", ("https://example.com",), {"/": "v", "k": ""}, 2e9), Wish(_CID, "")),
    b"\x00{}\n",
]
