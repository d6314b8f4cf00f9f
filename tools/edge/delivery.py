"""Bytes on their way out of a command: to standard output, or to a file that appears when it is whole."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from runtime.errors import UsageError
from tools.edge.partial_file import PartialFile
from tools.frame.output import Output


def show(pieces: Iterable[bytes | memoryview], *, to_terminal: bool) -> None:
    """The pieces on stdout; binary data not on a terminal (as curl), which it could reprogram."""
    guarded = sys.stdout.isatty() and not to_terminal
    for data in pieces:
        if guarded and b"\0" in bytes(data):
            hint = "use -o FILE, or --force to have it on the terminal"
            raise UsageError("this is binary data", where="stdout", hint=hint)
        written = 0
        while written < len(data):  # one write may take a part where Python runs unbuffered
            written += sys.stdout.buffer.write(data[written:])
    sys.stdout.buffer.flush()


def keep(pieces: Iterable[bytes | memoryview], part: PartialFile) -> int:
    """The pieces, one behind the other, as the file that `part` becomes; returns its size."""
    part.restart()
    size_bytes = 0
    try:
        for data in pieces:
            part.write(size_bytes, data)
            size_bytes += len(data)
    except BaseException:
        part.discard()  # not the beginning of the whole, or too cheap to have again: nothing to resume
        raise
    part.publish(size_bytes)
    return size_bytes


def tell_replaced(out: Output, target: Path) -> None:
    """Say that a file which is there will be another one when all is proven."""
    if os.path.isfile(target):
        out.note(f"{target} is there and will be replaced")
