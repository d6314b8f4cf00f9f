"""The files that paths on a command line stand for.

Directories are walked depth first in the order of their names, holding one listing per level.
Symbolic links are followed where they are named and not inside directories: a link there may lead
anywhere, and in circles. Devices, sockets and pipes inside directories are left out.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from runtime.errors import EdgeError, NotFound, UsageError, file_fault

STDIN: Final = "-"
_DEPTH_MAX: Final = 256  # far above real trees; a bound for descriptors and the recursion


def check_named(paths: Sequence[str]) -> None:
    """Raise NotFound for the first of `paths` that does not exist, before any work is done."""
    for path in paths:
        if path != STDIN and not os.path.lexists(path):
            raise NotFound("no such file or directory", where=path)


def files(paths: Sequence[str], skipped: Callable[[str, str], None]) -> Iterator[str]:
    """The regular files that `paths` stand for, each named as the user would; `-` stays `-`.

    `skipped(path, why)` is told what is left out. Raises NotFound, Forbidden.
    """
    for path in paths:
        if path != STDIN and os.path.isdir(path):
            yield from _below(path, skipped, 0)
        else:
            yield path


def _below(folder: str, skipped: Callable[[str, str], None], depth: int) -> Iterator[str]:
    if depth > _DEPTH_MAX:
        raise UsageError(f"directories are nested more than {_DEPTH_MAX} deep", where=folder)
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as fault:
        raise translated(fault, folder) from None
    for entry in entries:
        if entry.is_symlink():
            skipped(entry.path, "symbolic link")
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, skipped, depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path
        else:
            skipped(entry.path, "not a regular file")


def total_bytes(paths: Sequence[str]) -> int | None:
    """What `paths` hold together, for a progress bar; None when standard input or a pipe is among them."""
    total = 0
    for path in files(paths, lambda _path, _why: None):
        try:
            if path == STDIN or not os.path.isfile(path):
                return None
            total += os.stat(path).st_size
        except OSError:
            continue  # put will say so when it gets there
    return total


def translated(fault: OSError, path: str | Path) -> EdgeError:
    """An operating system error about a user's file, in our words."""
    return file_fault(fault, str(path))
