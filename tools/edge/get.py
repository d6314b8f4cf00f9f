"""`fleek-edge get`: out of the store or from a URL; nothing unproven is written anywhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from blockstore import Blob
from content import names
from content.bao.geometry import SEGMENT_BYTES
from content.ranges import parse_entity_bytes
from runtime.errors import UsageError
from tools.edge.address import RemoteBlob, is_url, remote_blob, remote_path
from tools.edge.delivery import keep, show, tell_replaced
from tools.edge.download import Remote, describe, download
from tools.edge.get_path import Wanted, get_local, get_remote
from tools.edge.invocation import Invocation, command
from tools.edge.named import ContentPath, named
from tools.edge.partial_file import output_at
from tools.edge.token_file import token_of

_STDOUT: Final = ("-", "/dev/stdout")
_SPAN: Final = re.compile(r"([0-9]{1,19}):([0-9]{1,19}|\*)", re.ASCII)


@click.command()
@click.argument("wanted", metavar="HASH|CID[/PATH]|URL")
@click.option("-o", "--output", metavar="FILE|DIR", help="Write here when all is proven; - is stdout.")
@click.option("--range", "span", metavar="FROM:TO", help="Only these bytes; TO is inclusive, * is the end.")
@click.option("--archive", is_flag=True, help="Write a file or directory as a TAR to stdout.")
@click.option("--force", is_flag=True, help="Write binary data to a terminal all the same.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="Bearer token for the URL [env: FLEEK_EDGE_TOKEN]."
)
@command
def get(
    invocation: Invocation,
    /,
    wanted: str,
    output: str | None,
    span: str | None,
    archive: bool,
    force: bool,
    token_file: Path | None,
) -> None:
    """Fetch a blob, file or directory from the store or a URL, verified.

    A URL holds /blake3/HASH, /ipfs/CID/PATH or /ipns/KEY/PATH. What comes from it is proven against that name
    while it streams; a server that sends anything else is refused at the first bad group or block (exit 4).

    Without -o a file goes to stdout and a directory to ./NAME. With -o FILE an interrupted download is
    resumed from FILE.part, and a FILE that is there is replaced once all is proven. A directory is never
    written over or into: it appears whole, with the modes and times that the DAG records; where a URL broke
    off, the same command goes on with what is in DIR.part, proven anew. Names and symlinks that lead out of
    it are refused (exit 5).

    \b
    Example:
      fleek-edge get <hash> -o movie.mp4
      fleek-edge get https://edge.example/blake3/<hash> -o movie.mp4
      fleek-edge get https://edge.example/ipfs/<cid>/photos -o photos
      fleek-edge get <hash> --range 0:1023 | xxd
      fleek-edge get <cid> --archive | tar tv
    """
    to_stdout = output in _STDOUT
    target = None if output is None or to_stdout else Path(output)
    if archive and (target is not None or span is not None):
        raise UsageError("--archive goes to stdout, whole", where="get", hint="drop -o and --range")
    choices = Wanted(target, span, archive=archive, to_terminal=force or to_stdout, to_stdout=to_stdout)
    if is_url(wanted) and not wanted.startswith(("ipfs://", "ipns://")):
        token = token_of(token_file)
        path = remote_path(wanted)
        if path is not None:
            get_remote(invocation, path, token, choices)
            return
        _get_remote_blob(invocation, remote_blob(wanted), token, choices)
        return
    found = named(wanted)
    if isinstance(found, ContentPath):
        get_local(invocation, found, choices)
    else:
        _get_blob(invocation, found, choices)


def _get_remote_blob(invocation: Invocation, blob: RemoteBlob, token: str | None, choices: Wanted) -> None:
    _no_archive(choices)
    remote = Remote(blob, token, invocation.out)
    target = choices.target
    if target is None:
        pieces = (data for _, data in remote.pieces(*_remote_span(choices.span)))
        show(pieces, to_terminal=choices.to_terminal)
        return
    tell_replaced(invocation.out, target)
    with output_at(target) as part:
        if choices.span is None:
            record = describe(remote, download(remote, part), str(target))
        else:
            pieces = (data for _, data in remote.pieces(*_remote_span(choices.span)))
            record = _record(target, blob.root, keep(pieces, part))
    invocation.out.record(record, f"{record['blake3']}  {target}")


def _get_blob(invocation: Invocation, root: bytes, choices: Wanted) -> None:
    _no_archive(choices)
    target = choices.target
    with invocation.store() as store:
        pieces = _local(store.blob(root), choices.span)
        if target is None:
            show(pieces, to_terminal=choices.to_terminal)
            return
        tell_replaced(invocation.out, target)
        with output_at(target) as part:
            record = _record(target, root, keep(pieces, part))
    invocation.out.record(record, f"{record['blake3']}  {target}")


def _record(target: Path, root: bytes, size_bytes: int) -> dict[str, object]:
    return {
        "path": str(target),
        "blake3": names.hex(root),
        "cid": names.cid(root),
        "size_bytes": size_bytes,
    }


def _no_archive(choices: Wanted) -> None:
    if choices.archive:
        raise UsageError("a blob is one byte sequence, no archive", where="--archive", hint="name a CID")


def _local(blob: Blob, span: str | None) -> Iterator[bytes]:
    """Bytes of a stored blob, each segment checked against its hash before it is handed on."""
    start, stop = (0, blob.size_bytes) if span is None else parse_entity_bytes(span, blob.size_bytes)
    for index in range(start // SEGMENT_BYTES, -(-stop // SEGMENT_BYTES)):
        first = index * SEGMENT_BYTES
        begin, end = max(start, first), min(stop, first + SEGMENT_BYTES)
        yield blob.read(begin, end)


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
