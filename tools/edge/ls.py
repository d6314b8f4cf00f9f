"""`fleek-edge ls`: the entries of a directory, or the blobs of the store."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from blockstore import Store
from content import names
from content.block import BlockMissing
from content.cid import DAG_PB, RAW, Cid
from content.dag_pb import Link
from content.unixfs import directory
from content.unixfs.file import is_file, node, size_of
from content.unixfs.message import Kind
from runtime.errors import BadRequest, UsageError
from tools.edge.blob_record import blob_record
from tools.edge.invocation import Invocation, command
from tools.edge.local_blocks import LocalBlocks
from tools.edge.named import ContentPath, Name, Named
from tools.edge.naming import resolved
from tools.edge.tree import entries
from tools.frame.output import human_size


@dataclass(frozen=True, slots=True)
class _Known:
    """What an entry turns out to be; None where its block is not here."""

    kind: str | None
    size_bytes: int | None
    target: str | None = None


@click.command()
@click.argument("paths", metavar="[CID[/PATH]]...", type=Name(), nargs=-1)
@command
def ls(invocation: Invocation, paths: tuple[Named, ...]) -> None:
    """List the entries of directories, or all stored blobs.

    With CID/PATH or /ipns/NAME: CID, size and name of each entry, in the order in which the directory has
    them, printed as they are read. A file or symlink is its own entry. Without: blobs in the order of their
    hashes.

    \b
    Example:
      fleek-edge ls bafybei…/photos
      fleek-edge ls /ipns/k51q… --json | jq -r 'select(.type == "directory") | .name'
      fleek-edge ls --json | jq -r 'select(.size_bytes > 1e9) | .blake3'
    """
    with invocation.store() as store:
        for path in paths:
            if isinstance(path, bytes):
                hint = "`fleek-edge stat HASH` shows a blob; a directory has a CID"
                raise UsageError("a blob has no entries", where=names.hex(path), hint=hint)
            _list(invocation, store, path, headed=len(paths) > 1)
        if not paths:
            _list_blobs(invocation, store)


def _list_blobs(invocation: Invocation, store: Store) -> None:
    for known in store.list():
        marks = "" if known.state == "present" else f"  {known.state}"
        marks += "  DAMAGED" if known.damaged_segments else ""
        plain = f"{names.hex(known.hash)}  {human_size(known.size_bytes):>10}{marks}"
        invocation.out.record(blob_record(known), plain, color="red" if known.damaged_segments else None)


def _list(invocation: Invocation, store: Store, path: ContentPath, *, headed: bool) -> None:
    cid = resolved(invocation, store, path)
    if headed and not invocation.out.as_json:
        invocation.out.record({}, f"{path}:")
    for link in _entries(store, cid, path.name):
        known = _known(store, link)
        mark = {"directory": "/", "symlink": f" -> {known.target}"}.get(known.kind or "", "")
        size = "-" if known.size_bytes is None or known.kind == "directory" else human_size(known.size_bytes)
        record: dict[str, Any] = {
            "name": link.name or "",
            "cid": link.cid.text(),
            "type": known.kind,
            "size_bytes": known.size_bytes,
        }
        record |= {"target": known.target} if known.target is not None else {}
        plain = f"{link.cid}  {size:>10}  {link.name}{mark}"
        invocation.out.record(record, plain + ("" if known.kind else "  (not here)"))


def _entries(store: Store, cid: Cid, name: str) -> Iterator[Link]:
    blocks = LocalBlocks(store)
    block = blocks.read(cid)
    try:
        kind = directory.kind_of(cid, block)
    except BadRequest as error:
        hint = "`fleek-edge dag stat` counts any DAG"
        raise BadRequest(f"no directory and no file: {error.message}", where=cid.text(), hint=hint) from None
    if directory.is_directory(kind):
        yield from entries(node(cid, block), cid, blocks)
    else:
        yield Link(cid, name)


def _known(store: Store, link: Link) -> _Known:
    """Kind and size of an entry: bytes of a file, of all below a directory as its writer says."""
    cid = link.cid
    if cid.codec != DAG_PB:
        size = store.dag.size(cid)
        kind = "file" if size is not None or cid.codec == RAW else None
        return _Known(kind, link.size_bytes if size is None else size)
    try:
        block = store.dag.read(cid)
        message = node(cid, block).message
    except BlockMissing:
        return _Known(None, link.size_bytes)
    except BadRequest:
        return _Known("dag-pb", link.size_bytes)
    if is_file(message):
        return _Known("file", size_of(cid, block))
    if message.kind is Kind.SYMLINK:
        target = (message.data or b"").decode("utf-8", "surrogateescape")
        return _Known("symlink", len(message.data or b""), target)
    return _Known("directory" if directory.is_directory(message.kind) else "metadata", link.size_bytes)
