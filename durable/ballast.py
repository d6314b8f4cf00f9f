"""Room on the disk that is kept back, so that a full disk can still be emptied.

LMDB writes a changed page to a free place of its file before it lets go of the old one. On a full disk with
no free place in the file even a deletion finds none, and nothing can ever be freed (kubo's users met that:
ipfs/kubo#5041). So a file of a few MiB lies in the data folder and means nothing: when a deletion has
no room it is unlinked, and made again once there is room.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

_NAME: Final = "ballast"
# A step of a sweep changes some hundred pages of each environment, twice (rows, then content)
BYTES: Final = 2 << 20


class Ballast:
    """The file of one data folder; any process may give it up or make it again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME

    def make(self) -> None:
        """Make it where it is missing and the disk has room; quietly not where it has none."""
        if self._path.exists():
            return
        partial = self._path.with_name(f"{_NAME}.{os.getpid()}")
        try:
            descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, BYTES)
            finally:
                os.close(descriptor)
            os.rename(partial, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                partial.unlink()

    def give(self) -> bool:
        """Free its room; False when there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
