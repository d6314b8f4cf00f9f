"""The keys that IPNS names are published with: one PEM file each in `keys/` of the data folder.

Invariants
 1. Files are readable by their owner only, and appear whole or not at all.
 2. A key leaves by `export` alone; nothing else prints or logs one.

Called by `fleek-edge key | name` and by the keeper, which republishes.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from content import private_key
from content.private_key import PrivateKey
from content.public_key import KeyKind
from durable import replace_file_durably, translated, write_file_durably
from runtime.errors import BadRequest, BlobDamaged, Conflict, NotFound, UsageError

DEFAULT: Final = "self"
KEYS_MAX: Final = 1024  # the keeper looks at all of them
RSA_BITS: Final = 2048  # what libp2p makes and takes
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
_SUFFIX: Final = ".pem"
_LIFETIME: Final = ".lifetime"
_LIFETIME_BYTES_MAX: Final = 32


class Keystore:
    """The keys of one data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "keys"

    def names(self) -> list[str]:
        """Names of all keys, in order."""
        try:
            found = [path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}")]
        except OSError as fault:
            raise translated(fault, os.fspath(self._folder)) from None
        return sorted(name for name in found if _NAME.fullmatch(name))

    def get(self, name: str) -> PrivateKey:
        """A key. Raises NotFound, BlobDamaged (its file cannot be read as one)."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                raw = file.read(private_key.FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            hint = "`fleek-edge key ls` shows all, `fleek-edge key gen` makes one"
            raise NotFound("there is no key of this name", where=name, hint=hint) from None
        except OSError as fault:
            raise translated(fault, os.fspath(path)) from None
        try:
            return private_key.decode(raw)
        except BadRequest as error:
            raise BlobDamaged(error.message, where=str(path)) from None

    def put(self, name: str, key: PrivateKey) -> None:
        """Keep a key. Raises Conflict when there is one of this name, UsageError for a name that is none."""
        path = self._path(name)
        if len(self.names()) >= KEYS_MAX:
            raise Conflict(f"there are {KEYS_MAX} keys already", where=str(self._folder))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise translated(fault, os.fspath(self._folder)) from None
        if not write_file_durably(path, key.pem()):
            hint = "name another, or remove it with `fleek-edge key rm`"
            raise Conflict("there is a key of this name", where=name, hint=hint)

    def remove(self, name: str) -> None:
        """Forget a key for good. Raises NotFound."""
        try:
            os.unlink(self._path(name))
            self._path(name, _LIFETIME).unlink(missing_ok=True)
        except FileNotFoundError:
            raise NotFound("there is no key of this name", where=name) from None
        except OSError as fault:
            raise translated(fault, name) from None

    def set_lifetime(self, name: str, lifetime_s: float) -> None:
        """Remember for how long records of a key are made, so that they are renewed for as long."""
        replace_file_durably(self._path(name, _LIFETIME), f"{lifetime_s:.0f}\n".encode())

    def lifetime_s(self, name: str) -> float | None:
        """For how long the last record was made; None when none was."""
        try:
            with self._path(name, _LIFETIME).open("rb") as file:
                return float(file.read(_LIFETIME_BYTES_MAX))
        except (OSError, ValueError):
            return None

    def published(self) -> Iterator[tuple[str, PrivateKey, float]]:
        """Every key that a record was made with, and for how long, in seconds."""
        for name in self.names()[:KEYS_MAX]:
            lifetime_s = self.lifetime_s(name)
            if lifetime_s is not None:
                yield name, self.get(name), lifetime_s

    def _path(self, name: str, suffix: str = _SUFFIX) -> Path:
        if _NAME.fullmatch(name) is None:
            hint = "letters, digits, dot, dash and underscore; 64 at most, no dot first"
            raise UsageError("not a name for a key", where=name[:80], hint=hint)
        return self._folder / f"{name}{suffix}"


def generate(kind: KeyKind, rsa_bits: int = RSA_BITS) -> PrivateKey:
    """A fresh key; RSA takes a tenth of a second and more."""
    if kind is KeyKind.ED25519:
        return private_key.wrap(ed25519.Ed25519PrivateKey.generate())
    if kind is KeyKind.SECP256K1:
        return private_key.wrap(ec.generate_private_key(ec.SECP256K1()))
    return private_key.wrap(rsa.generate_private_key(65537, rsa_bits))
