"""`fleek-edge cat`: UnixFS files by CID or path."""

import click

from content.unixfs.directory import is_directory, kind_of
from runtime.errors import UsageError
from tools.edge.delivery import show
from tools.edge.invocation import Invocation, command
from tools.edge.local_blocks import LocalBlocks
from tools.edge.named import ContentPath, Path
from tools.edge.naming import resolved


@click.command()
@click.argument("paths", metavar="CID[/PATH]...", type=Path(), nargs=-1, required=True)
@command
def cat(invocation: Invocation, paths: tuple[ContentPath, ...]) -> None:
    """Write a file by CID or path to standard output.

    Several are joined. Exit 3, naming the block, when a part is not here.

    \b
    Example:
      fleek-edge cat bafybei…/docs/readme.md | less
      fleek-edge cat /ipns/k51q…/index.html
    """
    with invocation.store() as store:
        blocks = LocalBlocks(store)
        for path in paths:
            cid = resolved(invocation, store, path)
            if is_directory(kind_of(cid, blocks.read(cid))):
                hint = "`fleek-edge ls` lists it, `fleek-edge get` writes it down"
                raise UsageError("it is a directory", where=cid.text(), hint=hint)
            show(blocks.pieces(cid), to_terminal=True)
