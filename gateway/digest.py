"""`Content-Digest` and `Repr-Digest` (RFC 9530): said on answers, checked on uploads.

Answers carry `Repr-Digest: blake3=:…:`, which costs nothing, as the hash is the name. SHA-256 is
never computed to serve (it would cost more than the rest of a request); uploads are checked
against any of the algorithms below that the client sends. Unknown algorithms are ignored (§2).
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final, Protocol

from runtime.errors import BadRequest, Unverified

_MEMBER: Final = re.compile(r"\s*([a-z*][a-z0-9_.*-]{0,32})=:([A-Za-z0-9+/]{0,128}={0,2}):\s*(?:,|$)")
_CHECKED: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MAX_FIELD: Final = 1024


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def repr_digest(root: bytes) -> str:
    """The field value for a representation whose BLAKE3 hash is `root`."""
    return f"blake3=:{base64.b64encode(root).decode('ascii')}:"


class UploadDigests:
    """The digests a client promised for the body it is sending; feed the body, then check."""

    def __init__(self, *fields: str | None) -> None:
        """Parse the values of Content-Digest and Repr-Digest. Raises BadRequest when malformed."""
        self._promised: dict[str, bytes] = {}
        for field in fields:
            if field is not None:
                self._read(field)
        self._hashes: dict[str, _Hash] = {
            name: _CHECKED[name]() for name in self._promised if name in _CHECKED
        }

    def _read(self, field: str) -> None:
        position = 0
        while position < len(field):
            match = _MEMBER.match(field, position)
            if match is None or len(field) > _MAX_FIELD:
                raise BadRequest(
                    "malformed digest field",
                    where=field[position : position + 64],
                    hint="RFC 9530: sha-256=:BASE64:",
                )
            name, text = match.groups()
            try:
                digest = base64.b64decode(text, validate=True)
            except binascii.Error:
                raise BadRequest("malformed base64 in a digest field", where=name) from None
            if self._promised.setdefault(name, digest) != digest:
                raise BadRequest("two different digests were promised for one body", where=name)
            position = match.end()

    @property
    def blake3(self) -> bytes | None:
        """The BLAKE3 root that the client promised, if it did."""
        return self._promised.get("blake3")

    def update(self, data: bytes) -> None:
        """Take the next piece of the body."""
        for running in self._hashes.values():
            running.update(data)

    def check(self) -> None:
        """Raise Unverified when the body was not what its digest field said."""
        for name, running in self._hashes.items():
            if not hmac.compare_digest(running.digest(), self._promised[name]):
                raise Unverified("the body does not match its digest field", where=name)
