"""Files and folders that the operator named, and what lies below them: no symlink is followed on the way.

Only the address itself may be one, as where it is named on a command line. Everything is opened relative to
the descriptor of the folder that it is in, so that nothing that is exchanged meanwhile leads out of it.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from runtime.errors import NotFound, Unreachable, Unverified

PIECE_BYTES: Final = 1 << 20
DEPTH_MAX: Final = 400  # as `add` has it; a descriptor a level
_FILE_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # what is a pipe by now is not waited for
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder, or (`folder` None) an address."""

    folder: int | None
    name: str

    def status(self) -> os.stat_result:
        """What it is. Raises OSError."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=self.folder is None)

    def target(self) -> str:
        """Where the symlink that it is points at. Raises OSError."""
        return os.readlink(self.name, dir_fd=self.folder)

    @contextmanager
    def opened(self, *, folder: bool = False) -> Iterator[int]:
        """A descriptor of a file or a folder, to read from. Raises OSError; Unverified for neither."""
        follow = 0 if self.folder is None else os.O_NOFOLLOW
        fd = os.open(self.name, (_FOLDER_FLAGS if folder else _FILE_FLAGS) | follow, dir_fd=self.folder)
        try:
            if not folder and not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unverified("what was a file is none any more")
            yield fd
        finally:
            os.close(fd)


@contextmanager
def spot(address: str, parts: Sequence[str]) -> Iterator[Spot]:
    """What lies at `parts` below an address. Raises NotFound, Unverified, Unreachable, also for what is done
    with it: those of `told`.
    """
    with told():
        if not parts:
            yield Spot(None, address)
            return
        if len(parts) > DEPTH_MAX or not all(map(_is_name, parts)):
            raise NotFound("no folder has such a name in it")
        fd = os.open(address, _FOLDER_FLAGS)
        try:
            for part in parts[:-1]:
                below = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = below
            yield Spot(fd, parts[-1])
        finally:
            os.close(fd)


@contextmanager
def told() -> Iterator[None]:
    """Errors of the operating system in our words, without the path: readers from anywhere see them."""
    try:
        yield
    except (FileNotFoundError, ValueError):  # ValueError: a NUL in the address
        raise NotFound("what it was added from is not there any more") from None
    except (NotADirectoryError, IsADirectoryError):
        raise Unverified("what it was added from is something else by now") from None
    except OSError as fault:
        raise Unreachable(f"what it was added from cannot be read: {fault.strerror}") from None


def pieces(fd: int) -> Iterator[bytes]:
    """A file from where it is read to its end. Raises OSError."""
    while data := os.read(fd, PIECE_BYTES):
        yield data


def _is_name(part: str) -> bool:
    """Directories come from anywhere: a name of theirs need not be one here."""
    return part not in ("", ".", "..") and "/" not in part and "\0" not in part
