"""CIDs: self-describing names of blocks, as values.

A CIDv1 is `varint 1 || varint codec || multihash`; a CIDv0 is the bare multihash of sha2-256, always
dag-pb. Source: the CID specification v1 and the multicodec table. Text comes in any multibase; CIDv0 in
bare base58btc. Equality is by bytes: v0 and v1 of one block are different names (use `as_v1` to compare).

`multiformats`, the general library, takes 400 us a parse (measured) and is the oracle of the tests.
"""

from functools import lru_cache
from typing import Final, final

from content import multibase, multihash, varint
from runtime.errors import BadRequest

RAW: Final = 0x55
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
LIBP2P_KEY: Final = 0x72
CBOR: Final = 0x51
JSON: Final = 0x0200
DAG_JSON: Final = 0x0129
CODEC_NAMES: Final = {
    RAW: "raw",
    DAG_PB: "dag-pb",
    DAG_CBOR: "dag-cbor",
    DAG_JSON: "dag-json",
    CBOR: "cbor",
    JSON: "json",
    LIBP2P_KEY: "libp2p-key",
}
# A digest of at most 128 bytes behind four varints; a longer text names nothing
MAX_BYTES: Final = 160
_V0_PREFIX: Final = b"\x12\x20"
_V0_BYTES: Final = 34
_V1_BYTES: Final = 36  # of a one-byte codec and sha2-256
_V0_TEXT: Final = 46
_MEMO: Final = 65_536  # about 300 bytes each: 20 MiB a process at most


@final
class Cid:
    """A CID. Immutable; made by `parse`, `from_bytes`, `v0` or `v1`."""

    __slots__ = ("_text", "codec", "multihash", "raw", "version")

    raw: bytes
    version: int
    codec: int
    multihash: bytes

    def __init__(self, version: int, codec: int, multihash_: bytes, raw: bytes) -> None:
        """Parts that were checked; use the named constructors."""
        self.version = version
        self.codec = codec
        self.multihash = multihash_
        self.raw = raw
        self._text = ""

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """The CID that `text` writes, in any multibase. Raises BadRequest. Memoised."""
        return _parse(text)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Cid":
        """The CID that is exactly `raw`. Raises BadRequest."""
        if len(raw) == _V1_BYTES and raw[0] == 1 and raw[1] < 0x80 and raw[2:4] == _V0_PREFIX:
            return cls(1, raw[1], raw[2:], raw)  # nearly all there are
        if len(raw) == _V0_BYTES and raw.startswith(_V0_PREFIX):
            return cls(0, DAG_PB, raw, raw)  # and nearly all the others
        cid, end = read(raw, 0)
        if end != len(raw):
            raise BadRequest("bytes follow the CID", where=raw.hex()[:80])
        return cid

    @classmethod
    def v1(cls, codec: int, multihash_: bytes) -> "Cid":
        """A CIDv1 of a codec and a whole multihash."""
        return cls(1, codec, multihash_, b"\x01" + varint.encode(codec) + multihash_)

    @classmethod
    def v0(cls, multihash_: bytes) -> "Cid":
        """A CIDv0. Raises BadRequest unless the multihash is sha2-256 of 32 bytes."""
        if len(multihash_) != _V0_BYTES or not multihash_.startswith(_V0_PREFIX):
            raise BadRequest("a CIDv0 is a sha2-256 multihash of 34 bytes", where=multihash_.hex()[:80])
        return cls(0, DAG_PB, multihash_, multihash_)

    def as_v1(self) -> "Cid":
        """The same block's name as a CIDv1."""
        return self if self.version else Cid.v1(DAG_PB, self.multihash)

    @property
    def hash_code(self) -> int:
        """Multicodec of the hash function."""
        return multihash.split(self.multihash)[0]

    @property
    def digest(self) -> bytes:
        """The digest; of an identity CID the content itself."""
        return multihash.split(self.multihash)[1]

    @property
    def is_identity(self) -> bool:
        """Whether the name holds the content."""
        return self.multihash[0] == multihash.IDENTITY

    @property
    def codec_name(self) -> str:
        """`dag-pb`, `raw`, …; the number in hex when it has no name here."""
        return CODEC_NAMES.get(self.codec, hex(self.codec))

    def text(self, base: str | None = None) -> str:
        """As people write it: v0 in base58btc, v1 in base32; or as v1 in the multibase letter `base`."""
        if base is not None:
            return multibase.encode(base, self.as_v1().raw)
        if not self._text:
            self._text = text_of(self.raw)
        return self._text

    __str__ = text

    def __repr__(self) -> str:
        return f"Cid({self.text()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cid) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __lt__(self, other: "Cid") -> bool:
        return self.raw < other.raw


def text_of(raw: bytes) -> str:
    """The text of a binary CID that is known to be one: `Cid.text` without the value in between."""
    return multibase.encode_base32(raw) if raw[0] == 1 else multibase.encode("z", raw)[1:]


def read(data: bytes | memoryview, at: int) -> tuple[Cid, int]:
    """(CID, index behind it) of the CID at `at`. Raises BadRequest."""
    raw = bytes(data[at : at + _V1_BYTES])
    if len(raw) == _V1_BYTES and raw[0] == 1 and raw[1] < 0x80 and raw[2:4] == _V0_PREFIX:
        return Cid(1, raw[1], raw[2:], raw), at + _V1_BYTES  # nearly all there are
    if data[at : at + 2] == _V0_PREFIX:
        raw = bytes(data[at : at + _V0_BYTES])
        return Cid.v0(raw), at + _V0_BYTES
    version, codec_at = varint.decode(data, at)
    if version != 1:
        raise BadRequest(f"CID version {version} is not known here", where=f"byte {at}", hint="0 and 1 are")
    codec, hash_at = varint.decode(data, codec_at)
    _, _, end = multihash.read(data, hash_at)
    return Cid(1, codec, bytes(data[hash_at:end]), bytes(data[at:end])), end


@lru_cache(maxsize=_MEMO)
def _parse(text: str) -> Cid:
    if len(text) == _V0_TEXT and text.startswith("Qm"):
        return Cid.v0(multibase.decode("z" + text))
    try:
        raw = multibase.decode(text)
        cid = Cid.from_bytes(raw)
    except BadRequest as error:
        raise BadRequest(f"not a CID: {error.message}", where=text[:80]) from None
    if cid.version == 0:
        raise BadRequest("not a CID: a CIDv0 is written without a multibase prefix", where=text[:80])
    return cid
