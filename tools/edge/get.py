"""`fleek-edge get`: a blob out of the store or from a URL; nothing unproven is written anywhere."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from blockstore import Blob
from content import names
from content.bao.geometry import SEGMENT_BYTES
from content.ranges import parse_entity_bytes
from runtime.errors import UsageError
from tools.edge.address import is_url, remote_blob
from tools.edge.download import Piece, Remote, describe, download
from tools.edge.invocation import Invocation, command
from tools.edge.partial_file import PartialFile
from tools.edge.walk import translated

_STDOUT: Final = "-"
_SPAN: Final = re.compile(r"([0-9]{1,19}):([0-9]{1,19}|\*)", re.ASCII)
_TOKEN_BYTES_MAX: Final = 4096


@click.command()
@click.argument("wanted", metavar="HASH|URL")
@click.option("-o", "--output", metavar="FILE", help="Write here, by way of FILE.part; - is stdout.")
@click.option("--range", "span", metavar="FROM:TO", help="Only these bytes; TO is inclusive, * is the end.")
@click.option("--force", is_flag=True, help="Write binary data to a terminal all the same.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="Bearer token for the URL [env: FLEEK_EDGE_TOKEN]."
)
@command
def get(
    invocation: Invocation,
    wanted: str,
    output: str | None,
    span: str | None,
    force: bool,
    token_file: Path | None,
) -> None:
    """Fetch a blob from the store or a URL, verified.

    A URL ends in /blake3/<hash>. What comes from it is proven against the hash while it streams; a
    server that sends anything else is refused at the first bad group (exit 4). With -o an interrupted
    download is resumed.

    \b
    Example:
      fleek-edge get <hash> -o movie.mp4
      fleek-edge get https://edge.example/blake3/<hash> -o movie.mp4
      fleek-edge get <hash> --range 0:1023 | xxd
    """
    target = None if output in (None, _STDOUT) else Path(str(output))
    to_terminal = force or output == _STDOUT
    if is_url(wanted):
        remote = Remote(remote_blob(wanted), _token(token_file), invocation.out)
        if target is None:
            _show(remote.pieces(*_remote_span(span)), to_terminal)
            return
        with PartialFile(target) as part:
            if span is None:
                fetched = download(remote, part)
                record = describe(remote, fetched, str(target))
            else:
                record = _keep(remote.pieces(*_remote_span(span)), part, remote.blob.root)
    else:
        root = names.parse(wanted)
        with invocation.store() as store:
            blob = store.blob(root)
            if target is None:
                _show(_local(blob, span), to_terminal)
                return
            with PartialFile(target) as part:
                record = _keep(_local(blob, span), part, root)
    invocation.out.record(record, f"{record['blake3']}  {target}")


def _keep(pieces: Iterable[Piece], part: PartialFile, root: bytes) -> dict[str, object]:
    """The pieces, one behind the other, as the file that `part` becomes."""
    part.restart()
    size_bytes = 0
    try:
        for _, data in pieces:
            part.write(size_bytes, data)
            size_bytes += len(data)
    except BaseException:
        part.discard()  # not the beginning of the blob, so nothing that could be resumed
        raise
    part.publish(size_bytes)
    return {
        "path": str(part.target),
        "blake3": names.hex(root),
        "cid": names.cid(root),
        "size_bytes": size_bytes,
    }


def _show(pieces: Iterable[Piece], to_terminal: bool) -> None:
    """The pieces on stdout; binary data not on a terminal (as curl), which it could reprogram."""
    guarded = sys.stdout.isatty() and not to_terminal
    for _, data in pieces:
        if guarded and b"\0" in bytes(data):
            hint = "use -o FILE, or --force to have it on the terminal"
            raise UsageError("this is binary data", where="stdout", hint=hint)
        written = 0
        while written < len(data):  # one write may take a part where Python runs unbuffered
            written += sys.stdout.buffer.write(data[written:])
    sys.stdout.buffer.flush()


def _local(blob: Blob, span: str | None) -> Iterator[Piece]:
    """Bytes of a stored blob, each segment checked against its hash before it is handed on."""
    start, stop = (0, blob.size_bytes) if span is None else parse_entity_bytes(span, blob.size_bytes)
    for index in range(start // SEGMENT_BYTES, -(-stop // SEGMENT_BYTES)):
        first = index * SEGMENT_BYTES
        begin, end = max(start, first), min(stop, first + SEGMENT_BYTES)
        yield begin, memoryview(blob.read(begin, end))


def _remote_span(span: str | None) -> tuple[int | None, int | None]:
    """Start and stop of a range of a blob whose size is not known yet."""
    if span is None:
        return None, None
    match = _SPAN.fullmatch(span)
    if match is None:
        hint = "whole numbers, TO inclusive or *; counting from the end needs a blob in the store"
        raise UsageError("the range is not FROM:TO", where=f"--range {span[:64]}", hint=hint)
    start, stop = int(match[1]), None if match[2] == "*" else int(match[2]) + 1
    if stop is not None and stop <= start:
        raise UsageError("the range ends before it starts", where=f"--range {span}")
    return start, stop


def _token(token_file: Path | None) -> str | None:
    """The bearer token: from a file or the environment, never from the command line, which `ps` shows."""
    if token_file is None:
        return os.environ.get("FLEEK_EDGE_TOKEN") or None
    try:
        with token_file.open("rb") as file:
            text = file.read(_TOKEN_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError as fault:
        raise translated(fault, token_file) from None
    if not text.isascii() or not text.isprintable() or not text:
        raise UsageError("the file holds no token", where=str(token_file), hint="one line, flk_<id>_<secret>")
    return text
