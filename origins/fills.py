"""One fetch of a thing over all workers: a lock on a byte of a file, freed by the kernel with its owner.

The byte is told by a hash of the name; two names that share one only wait for each other.
Open-file-description locks (Linux, `fcntl(2)`) belong to the open file, not to the process.
"""

import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from xxhash import xxh3_64_intdigest

_FLOCK: Final = struct.Struct("hhqqi4x")
_OFD_SETLK: Final = 37  # F_OFD_SETLK of linux/fcntl.h, which not every build of the module names
_SPACE: Final = (1 << 62) - 1


class Fills:
    """The lock file of one store."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self, name: bytes) -> bool:
        """Become the one who fetches `name`; False while another worker is."""
        try:
            self._set(name, fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def give(self, name: bytes) -> None:
        """Be done with it."""
        self._set(name, fcntl.F_UNLCK)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self._fd)

    def _set(self, name: bytes, kind: int) -> None:
        place = xxh3_64_intdigest(name) & _SPACE
        fcntl.fcntl(self._fd, _OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, place, 1, 0))
