"""Signed manifests: a set of pins as a document that can be kept, sent and checked. Pure.

Lines of DAG-JSON, each the one encoding of its value, so that a million pins pass in constant memory: a
header, a line a pin, and a last line that signs everything before it (docs/formats/manifest.md). Reading is
strict: what is not written exactly as it must be is refused with its line.

What is no manifest is a BadRequest. What began as one and has a line that no signer writes, one too many or
too few, or no end, was changed on its way: Unverified.

Entries come out of `Reader` before the signature has been seen: who acts on them has read the whole manifest
once before (`check`), or acts only after `end`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeGuard

from blockstore.origin_address import shown
from content import dag_json, public_key
from content.cid import Cid
from content.dag_value import Value
from pinning.pin import Wish
from pinning.rows import checked_wish
from runtime.errors import BadRequest, EdgeError, Unverified

FORMAT: Final = "fleek-pin-manifest"
VERSION: Final = 1
MEDIA_TYPE: Final = "application/vnd.fleek.pin-manifest"
# Signed before the digest, so that no signature of this key for something else passes for one of a manifest
_DOMAIN: Final = b"fleek-pin-manifest:1\0"
# The longest name, 20 addresses and all the meta a pin may have, escaped
LINE_BYTES_MAX: Final = 512 << 10
_SECOND_MS: Final = 1000
_ASK_AGAIN: Final = "it was cut short or changed on its way: have it sent again"
_TIME_MS_MAX: Final = (1 << 53) - 1  # what every JSON parser keeps exactly

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Signed:
    """What a whole manifest was found to be. `signer`: protobuf of the public key; `peer_id` names it."""

    signer: bytes
    made_ms: int
    count: int
    digest: bytes

    @property
    def peer_id(self) -> bytes:
        """The multihash of the signer."""
        return public_key.decode(self.signer).name


class Writer:
    """Writes one manifest: `header`, then `entry` for each pin, then `end`."""

    def __init__(self, signer: bytes, sign: Sign, made_ms: int) -> None:
        """`signer`: protobuf of the public key that `sign` signs for."""
        self._signer = signer
        self._sign = sign
        self._made_ms = made_ms
        self._hash = hashlib.sha256()
        self._count = 0

    def header(self) -> bytes:
        """The first line."""
        return self._line(
            {"format": FORMAT, "made_ms": self._made_ms, "signer": self._signer, "version": VERSION}
        )

    def entry(self, wish: Wish) -> bytes:
        """The line of a pin, its origins without secrets. Raises BadRequest for a wish that cannot be."""
        checked_wish(wish)
        value: dict[str, Value] = {"cid": wish.cid}
        if wish.name is not None:
            value["name"] = wish.name
        if origins := shown(wish.origins):
            value["origins"] = list(origins)
        if wish.meta:
            # pairs, because a key of meta may be "/", which DAG-JSON keeps for itself
            value["meta"] = [[key, wish.meta[key]] for key in sorted(wish.meta)]
        if wish.expires_s is not None:
            value["expires_ms"] = round(wish.expires_s * _SECOND_MS)
        self._count += 1
        return self._line(value)

    def end(self) -> bytes:
        """The last line, which signs all before it."""
        signature = self._sign(_DOMAIN + self._hash.digest())
        return dag_json.encode({"count": self._count, "signature": signature}) + b"\n"

    def _line(self, value: dict[str, Value]) -> bytes:
        line = dag_json.encode(value) + b"\n"
        self._hash.update(line)
        return line


def lines(wishes: Iterable[Wish], signer: bytes, sign: Sign, made_ms: int) -> Iterator[bytes]:
    """A whole manifest, line by line."""
    writer = Writer(signer, sign, made_ms)
    yield writer.header()
    for wish in wishes:
        yield writer.entry(wish)
    yield writer.end()


class Reader:
    """Reads one manifest, fed at any split. After an error it is of no more use."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._hash = hashlib.sha256()
        self._number = 0
        self._count = 0
        self._signer: public_key.PublicKey | None = None
        self._made_ms = 0
        self._signed: Signed | None = None

    def feed(self, data: bytes) -> Iterator[Wish]:
        """The pins whose lines `data` completes. Raises BadRequest, Unverified; exhaust it."""
        self._held += data
        start = 0
        while (end := self._held.find(b"\n", start)) >= 0:
            line = bytes(self._held[start : end + 1])
            start = end + 1
            self._number += 1
            try:
                wish = self._take(line)
            except (BadRequest, Unverified) as error:
                error.where = f"line {self._number} {error.where}".rstrip()
                raise
            if wish is not None:
                yield wish
        del self._held[:start]
        if len(self._held) > LINE_BYTES_MAX:
            raise self._refusal(f"a line of more than {LINE_BYTES_MAX} bytes", f"line {self._number + 1}")

    def end(self) -> Signed:
        """Say that it is over: what was read, all of it signed.

        Raises Unverified when it was cut short, BadRequest when it was none.
        """
        if self._signed is None:
            raise self._refusal("it ends before its signature does")
        if self._held:
            raise _changed("something follows the signature")
        return self._signed

    def _refusal(self, what: str, where: str = "") -> BadRequest | Unverified:
        """Of what is no manifest, or of one that was changed."""
        refusal = _broken(what) if self._signer is None else _changed(what)
        refusal.where = where
        return refusal

    def _take(self, line: bytes) -> Wish | None:
        if self._signed is not None:
            raise _changed("something follows the signature")
        if len(line) > LINE_BYTES_MAX:
            raise self._refusal(f"a line of more than {LINE_BYTES_MAX} bytes")
        try:
            value = dag_json.decode(line[:-1])
        except BadRequest as error:
            raise self._refusal(error.message) from None
        if not isinstance(value, dict) or dag_json.encode(value) + b"\n" != line:
            raise self._refusal("a line is not the one encoding of an object")
        if self._signer is None:
            self._header(value)
        elif "signature" in value:
            self._end(value)
            return None
        else:
            self._count += 1
            self._hash.update(line)
            return _wish(value)
        self._hash.update(line)
        return None

    def _header(self, value: dict[str, Value]) -> None:
        if value.get("format") != FORMAT:
            raise _broken(f"its first line does not say that it is a {FORMAT}")
        if value.get("version") != VERSION:
            raise BadRequest("a manifest of a newer version than this program understands")
        signer, made_ms = value.get("signer"), value.get("made_ms")
        if set(value) != {"format", "made_ms", "signer", "version"} or not isinstance(signer, bytes):
            raise _broken("its first line is not that of a manifest")
        if not _is_time_ms(made_ms):
            raise _broken("its first line has no time")
        self._made_ms = made_ms
        self._signer = public_key.decode(signer)

    def _end(self, value: dict[str, Value]) -> None:
        count, signature = value.get("count"), value.get("signature")
        if set(value) != {"count", "signature"} or not isinstance(signature, bytes):
            raise _changed("its last line is not that of a manifest")
        if type(count) is not int or count != self._count:
            raise _changed(f"it says that it has {count!r:.20} pins and has {self._count}")
        assert self._signer is not None, "the header came first"
        digest = self._hash.digest()
        if not self._signer.verifies(signature, _DOMAIN + digest):
            raise _changed("its signature is of something else")
        self._signed = Signed(self._signer.raw, self._made_ms, self._count, digest)


def check(pieces: Iterable[bytes]) -> Signed:
    """Read a whole manifest for its signature and form. Raises BadRequest, Unverified."""
    reader = Reader()
    for piece in pieces:
        for _ in reader.feed(piece):
            pass
    return reader.end()


_KNOWN: Final = frozenset(("cid", "name", "origins", "meta", "expires_ms"))


def _wish(value: dict[str, Value]) -> Wish:
    cid, name, origins = value.get("cid"), value.get("name"), value.get("origins", [])
    if not isinstance(cid, Cid) or set(value) - _KNOWN:
        raise _changed("a line is not that of a pin")
    if not (name is None or isinstance(name, str)) or ("name" in value and name is None):
        raise _changed("a name is no text")
    if not isinstance(origins, list) or ("origins" in value and not origins):
        raise _changed("origins are no list of texts")
    expires_ms = value.get("expires_ms")
    if "expires_ms" in value and not _is_time_ms(expires_ms):
        raise _changed("a time is no number of milliseconds since the epoch")
    expires_s = expires_ms / _SECOND_MS if _is_time_ms(expires_ms) else None
    addresses = tuple(each for each in origins if isinstance(each, str))
    if len(addresses) != len(origins):
        raise _changed("origins are no list of texts")
    try:
        return checked_wish(Wish(cid, name, addresses, _meta(value), expires_s))
    except EdgeError as error:
        raise BadRequest(error.message, where=error.where) from None


def _meta(value: dict[str, Value]) -> dict[str, str]:
    if "meta" not in value:
        return {}
    found: dict[str, str] = {}
    pairs = value["meta"]
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case [str(key), str(text)]:
                found[key] = text
    if not found or not isinstance(pairs, list) or len(found) != len(pairs) or list(found) != sorted(found):
        raise _changed("meta is no list of pairs of texts in order")
    return found


def _is_time_ms(value: Value) -> TypeGuard[int]:
    return type(value) is int and 0 < value <= _TIME_MS_MAX


def _changed(what: str) -> Unverified:
    return Unverified(f"the manifest is not what its signer signed: {what}", hint=_ASK_AGAIN)


def _broken(what: str) -> BadRequest:
    return BadRequest(f"not a sound manifest: {what}")
