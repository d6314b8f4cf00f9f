"""`fleek-pin size`: how large a DAG is, before it is pinned."""

import click

from tools.frame.output import human_size
from tools.pin.asking import checked_cid
from tools.pin.invocation import Invocation, command


@click.command()
@click.argument("cids", metavar="CID...", nargs=-1, required=True)
@command
def size(invocation: Invocation, cids: tuple[str, ...]) -> None:
    """Show how large a DAG is, before it is pinned.

    What the node can tell without fetching all of it; a Fleek Edge node or a store here knows.

    \b
    Example:
      fleek-pin size bafybei…
      fleek-pin size bafybei… --json | jq .size_bytes
    """
    checked = [checked_cid(cid) for cid in cids]
    with invocation.book() as book:
        for cid in checked:
            found = book.size(cid)
            known = found.get("size_bytes")
            text = human_size(known) if isinstance(known, int) else "not known"
            how = found.get("how")
            plain = f"{cid}  {text}{f'  ({how})' if isinstance(how, str) and how else ''}"
            invocation.out.record({"cid": cid, **found}, plain, flush=True)
