"""Fuzz target `cid`: names in bytes and in text: CIDs, multihashes, multibases, BLAKE3 and IPNS names.

The first byte chooses how the rest is taken. Invariants
 1. Only `BadRequest` is raised.
 2. What is accepted has one form: written again it is the same bytes, or the same text.
 3. What was put together by the specification is accepted and says what was put in.
 4. A multihash fits the bytes it was made of and no others.
"""

import hashlib

from content import ipns, multibase, multihash, names, varint
from content.cid import DAG_PB, LIBP2P_KEY, RAW, Cid, read
from runtime.errors import BadRequest
from tests.fuzz.draws import Draws

TARGET = "cid"
_CODES = (0x00, 0x11, 0x12, 0x13, 0x16, 0x1E, 0xB220, 0xB240, 0xB260, 0x56, 0x1000)
_CODECS = (RAW, DAG_PB, 0x71, LIBP2P_KEY, 0x0129, 0x0200, 0x51, 0x90, 1 << 40)
_V1 = Cid.v1(RAW, multihash.of(multihash.SHA2_256, b"seed"))


def one(data: bytes) -> None:
    """The invariants; raises on violation."""
    if not data:
        return
    kind, rest = data[0] % 4, data[1:]
    if kind == 0:
        _from_bytes(rest)
    elif kind == 1:
        _from_text(rest)
    elif kind == 2:
        _put_together(Draws(rest))
    else:
        _hashed(Draws(rest))


def _from_bytes(raw: bytes) -> None:
    try:
        cid, end = read(raw, 0)
    except BadRequest:
        _refused_whole(raw)
        return
    assert cid.raw == raw[:end]
    _means_itself(cid)
    if end == len(raw):
        assert Cid.from_bytes(raw) == cid
    else:
        _refused_whole(raw)


def _refused_whole(raw: bytes) -> None:
    try:
        Cid.from_bytes(raw)
    except BadRequest:
        return
    raise AssertionError("accepted as a whole, refused or shorter when read")


def _means_itself(cid: Cid) -> None:
    """Parts and texts of a CID give it back."""
    hashed = varint.encode(cid.hash_code) + varint.encode(len(cid.digest)) + cid.digest
    assert cid.multihash == hashed
    assert cid.raw == (hashed if cid.version == 0 else b"\x01" + varint.encode(cid.codec) + hashed)
    assert Cid.parse(cid.text()) == cid
    base = multibase.PREFIXES[len(cid.raw) % len(multibase.PREFIXES)]
    if base == "p" and len(cid.as_v1().raw) % 2:
        return  # words of two bytes
    text = cid.text(base)
    if len(text) <= multibase.MAX_TEXT:
        assert Cid.parse(text) == cid.as_v1()


def _from_text(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    try:
        cid = Cid.parse(text)
    except BadRequest:
        pass
    else:
        assert text == (cid.text() if cid.version == 0 else cid.text(text[0])), "two texts of one CID"
    try:
        plain = multibase.decode(text)
    except BadRequest:
        pass
    else:
        assert multibase.encode(text[0], plain) == text, "two texts of the same bytes"
    try:
        root = names.parse(text)
    except BadRequest:
        pass
    else:
        assert names.parse(names.hex(root)) == names.parse(names.cid(root)) == root
    try:
        name = ipns.parse_name(text)
    except BadRequest:
        return
    assert name.codec == LIBP2P_KEY
    assert ipns.parse_name(ipns.name_text(name)) == name


def _put_together(draws: Draws) -> None:
    code, codec = _CODES[draws.below(len(_CODES))], _CODECS[draws.below(len(_CODECS))]
    digest = draws.chunk(multihash.MAX_DIGEST_BYTES + 2)
    hashed = varint.encode(code) + varint.encode(len(digest)) + digest
    raw = b"\x01" + varint.encode(codec) + hashed
    tail = draws.chunk(4)
    try:
        cid, end = read(raw + tail, 0)
    except BadRequest:
        assert len(digest) > multihash.MAX_DIGEST_BYTES
        return
    assert (end, cid.version, cid.codec, cid.multihash) == (len(raw), 1, codec, hashed)
    assert (cid.hash_code, cid.digest, cid.is_identity) == (code, digest, code == 0)
    _means_itself(cid)


def _hashed(draws: Draws) -> None:
    code, cut = _CODES[draws.below(len(_CODES))], draws.below(80)
    data, other = draws.chunk(100), draws.rest()
    try:
        whole = multihash.of(code, data)
    except BadRequest:
        assert code == 0x1000
        return
    if code == multihash.SHA2_256:
        assert whole == b"\x12\x20" + hashlib.sha256(data).digest()
    _, digest = multihash.split(whole)
    shorter = multihash.wrap(code, digest[:cut])
    try:
        fits = multihash.verify(shorter, data)
    except BadRequest:
        assert min(cut, len(digest)) < 20, "a digest of 20 bytes proves something"
        return
    assert fits == (digest[:cut] == data if code == multihash.IDENTITY else min(cut, len(digest)) >= 20)
    assert other in (data, digest[:cut]) or not multihash.verify(shorter, other)


def _texts() -> list[str]:
    small = Cid.v1(RAW, multihash.of(multihash.IDENTITY, b"\0\0hi"))
    old = Cid.v0(_V1.multihash)
    key = Cid.v1(LIBP2P_KEY, multihash.of(multihash.IDENTITY, b"\x08\x01\x12\x20" + bytes(range(32))))
    found = [cid.text(base) for base in multibase.PREFIXES for cid in (_V1, small)]
    return [*found, old.text(), key.text("k"), names.hex(bytes(range(32))), names.cid(bytes(range(32)))]


SEEDS: list[bytes] = [
    b"\x00" + _V1.raw,
    b"\x00" + _V1.multihash + b"tail",
    b"\x00\x01\x55\x00\x00",
    b"\x00\x01\x80\x80\x00\x12\x20" + bytes(32),
    b"\x00\x01\x55" + b"\xff" * 9 + b"\x01",
    b"\x00\x02\x55\x12\x20" + bytes(32),
    *(b"\x01" + text.encode() for text in _texts()),
    b"\x02\x02\x00\x20" + bytes(32),
    b"\x02\x00\x08\x82" + bytes(130) + b"\x04abcd",
    *(bytes((3, code, cut, 5)) + b"helloother" for code in range(len(_CODES)) for cut in (0, 5, 19, 20, 64)),
]
