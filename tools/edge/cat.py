"""`fleek-edge cat`: a UnixFS file by CID or path."""

import sys
from collections.abc import Iterator

import click

from blockstore import Store
from content.cid import Cid
from content.path import resolve
from content.unixfs.file import leaves
from runtime.errors import BadRequest
from tools.edge.invocation import Invocation, command

_PIECE_BYTES = 1 << 20


@click.command()
@click.argument("paths", metavar="CID[/PATH]...", nargs=-1, required=True)
@command
def cat(invocation: Invocation, paths: tuple[str, ...]) -> None:
    """Write a file by CID or path to standard output.

    Exit 3, naming the block, when a part is not here.

    \b
    Example:
      fleek-edge cat bafybei…/docs/readme.md | less
    """
    out = sys.stdout.buffer
    with invocation.store() as store:
        for path in paths:
            for piece in file_pieces(store, resolved(store, path)):
                out.write(piece)
    out.flush()


def resolved(store: Store, path: str) -> Cid:
    """The CID at the end of `[/ipfs/]CID[/path]`. Raises BadRequest, NotFound."""
    root_text, *segments = [part for part in path.removeprefix("/ipfs/").split("/") if part]
    if not root_text:
        raise BadRequest("neither a CID nor a path behind one", where=path[:80])
    found = resolve(Cid.parse(root_text), segments, store.dag.read)
    if found.remainder:
        raise BadRequest("the path ends inside a block", where=path[:200])
    return found.terminal


def file_pieces(store: Store, cid: Cid) -> Iterator[bytes]:
    """The bytes of a file, checked, a megabyte at a time. Raises BlockMissing, BadRequest."""
    blob = store.dag.file(cid)
    if blob is not None:
        for start in range(0, blob.size_bytes, _PIECE_BYTES):
            yield blob.read(start, min(blob.size_bytes, start + _PIECE_BYTES))
        return
    for leaf in leaves(cid, store.dag.read):
        yield store.dag.read(leaf.cid)[leaf.block_start : leaf.block_stop]
