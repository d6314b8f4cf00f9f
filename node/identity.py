"""The node's own key, which names it towards other nodes (its libp2p peer id). Made once and kept.

The file is a private key in PEM (PKCS #8), readable by its owner alone.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from content import multibase
from content.private_key import PrivateKey, wrap
from content.public_key import decode, ed25519_key
from runtime.errors import StoreFull, UsageError, file_fault

FILE: Final = "node.key"
_BYTES_MAX: Final = 4096  # an Ed25519 key in PEM has 119


def peer_id(data: Path) -> str:
    """The peer id of the node in a data folder, its key made when there is none. Raises UsageError."""
    public = _key(data / FILE).public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return multibase.encode("z", decode(ed25519_key(raw)).name)[1:]


def signing_key(folder: Path, file: str = FILE) -> PrivateKey:
    """The node's key, for what it signs: manifests and proofs. Made when there is none. Raises UsageError.

    `file`: the name of another key, of somebody who runs no node.
    """
    return wrap(_key(folder / file))


def _key(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make(path)
        with path.open("rb") as file:
            key = serialization.load_pem_private_key(file.read(_BYTES_MAX), None)
    except OSError as fault:
        error = file_fault(fault, str(path))
        if isinstance(error, StoreFull):
            raise error from None
        raise UsageError(f"the node's key cannot be kept: {fault.strerror}", where=str(path)) from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        hint = "move it away: the node makes a new key, and with it has another peer id"
        raise UsageError("not an Ed25519 private key in PEM", where=str(path), hint=hint)
    return key


def _make(path: Path) -> None:
    """Write a new key under another name, then link it: of two processes that race the first one wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, pem)
        os.fsync(fd)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        draft.unlink(missing_ok=True)
