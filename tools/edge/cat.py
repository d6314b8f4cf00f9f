"""`fleek-edge cat`: UnixFS files by CID or path."""

import click

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
        for path in paths:
            show(LocalBlocks(store).pieces(resolved(invocation, store, path)), to_terminal=True)
