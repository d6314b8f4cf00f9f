"""`fleek-edge put`: files, directories and standard input into the store.

Several files are on their way to the disk at once, so that small ones share commits (one fsync for
many); results are shown in the order of the files, each only once it is durable.
"""

import os
import re
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

import click

from blockstore import Ingest, Put, Root, Store
from content import names
from content.bao.geometry import SEGMENT_BYTES
from runtime.errors import EdgeError, UsageError
from tools.edge.came_from import came_from
from tools.edge.invocation import Invocation, command
from tools.frame import walk
from tools.frame.completing import completed_path
from tools.frame.output import Output, Progress, human_size

# type "/" subtype and parameters, RFC 9110 §8.3.1; visible ASCII only, as it becomes a header field
_MEDIA_TYPE: Final = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}/[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}( *;[ -~]{1,120})?"
)
_READ_BYTES: Final = 1 << 20  # four segments: few calls, and nothing beside the store's own queue
# Puts that wait for their commit: enough small ones to fill it, and a bound on what they hold in memory
# beside the store's own queue (the last segment of each).
_UNDERWAY_MAX: Final = 4096
_UNDERWAY_BYTES_MAX: Final = 16 << 20


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=completed_path)
@click.option("--no-pin", is_flag=True, help="Keep for the lease time only; gc may take it afterwards.")
@click.option("--name", metavar="NAME", default="", help="Name of the pin.")
@click.option("--content-type", metavar="TYPE", help="Media type to serve it as (default: octet-stream).")
@command
def put(
    invocation: Invocation, paths: tuple[str, ...], no_pin: bool, name: str, content_type: str | None
) -> None:
    """Store files, directories or standard input.

    Directories are stored with all below them; - is standard input. Prints a hash and a path per file.
    What is stored is pinned, so that gc leaves it alone.

    \b
    Example:
      fleek-edge put movie.mp4 photos/
      tar c site | fleek-edge put - --name site.tar --json
    """
    if content_type is not None and _MEDIA_TYPE.fullmatch(content_type) is None:
        raise UsageError(
            "not a media type", where=f"--content-type {content_type[:64]}", hint="such as text/html"
        )
    walk.check_named(paths)
    root = None if no_pin else Root.pin(name)
    skipped = 0

    def skip(path: str, why: str) -> None:
        nonlocal skipped
        skipped += 1
        invocation.out.warn(f"left out: {path} ({why})")

    watched = sys.stderr.isatty() and not invocation.out.as_json
    total_bytes = walk.total_bytes(paths) if watched else None
    with (
        invocation.store(create=True) as store,
        invocation.out.progress("storing", total_bytes) as progress,
        _Line(invocation.out) as line,
    ):
        for path in walk.files(paths, skip):
            with opened(path) as file:
                line.add(path, *_send(file, path, store, progress, root, content_type))
    invocation.out.note(f"{line.count} stored, {human_size(line.size_bytes)}, {skipped} left out")


def _send(
    file: BinaryIO, path: str, store: Store, progress: Progress, root: Root | None, content_type: str | None
) -> "tuple[int, Future[Put]]":
    """Feed one file to the store: its size, and a future that is done when it is durable."""
    ingest = store.ingest()
    try:
        for data in _pieces(file, path):
            ingest.write(data)
            progress.advance(len(data))
    except BaseException:
        ingest.abort()
        raise
    return ingest.size_bytes, _finished(store, ingest, path, root, content_type)


def _finished(
    store: Store, ingest: Ingest, path: str, root: Root | None, content_type: str | None
) -> "Future[Put]":
    stored: Future[Put] = Future()
    also = store.origins.noting(came_from(store, path, ingest.size_bytes))

    def done(outcome: Put | EdgeError) -> None:
        if isinstance(outcome, EdgeError):
            stored.set_exception(outcome)
        else:
            stored.set_result(outcome)

    ingest.finish_soon(root=root, content_type=content_type, done=done, also=also)
    return stored


def _pieces(file: BinaryIO, path: str) -> Iterator[bytes]:
    try:
        while data := file.read(_READ_BYTES):
            yield data
    except OSError as fault:
        raise walk.translated(fault, path) from None


@contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file to read, or standard input. Raises NotFound, UsageError."""
    if path == walk.STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by the with below
    except OSError as fault:
        raise walk.translated(fault, path) from None
    with file:
        with suppress(OSError):  # a pipe, such as a shell's <(command), takes no advice
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield file  # a FileIO reads like a BinaryIO


class _Line:
    """Puts on their way to the disk, in order; a bounded queue that tells of what arrived."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._underway: deque[tuple[str, int, Future[Put]]] = deque()
        self._held_bytes = 0
        self.count = 0
        self.size_bytes = 0

    def __enter__(self) -> "_Line":
        return self

    def __exit__(self, *_: object) -> None:
        """Also after a failure or Ctrl-C: what is durable all the same is told."""
        while self._underway:
            self._tell_first()

    def add(self, path: str, size_bytes: int, stored: "Future[Put]") -> None:
        """Queue one; waits for the oldest while too many, or too much, is underway."""
        held_bytes = min(size_bytes, SEGMENT_BYTES)
        self._underway.append((path, held_bytes, stored))
        self._held_bytes += held_bytes
        while self._underway and (self._underway[0][2].done() or self._is_full()):
            self._tell_first()

    def _is_full(self) -> bool:
        return len(self._underway) > _UNDERWAY_MAX or self._held_bytes > _UNDERWAY_BYTES_MAX

    def _tell_first(self) -> None:
        path, held_bytes, stored = self._underway.popleft()
        self._held_bytes -= held_bytes
        done = stored.result()
        self.count += 1
        self.size_bytes += done.size_bytes
        name = names.hex(done.root)
        record = {"path": path, "blake3": name, "cid": names.cid(done.root), "size_bytes": done.size_bytes}
        self._out.record(record, f"{name}  {path}", flush=True)
