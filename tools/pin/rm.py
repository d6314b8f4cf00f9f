"""`fleek-pin rm`: pins that are not wanted any more."""

import click

from runtime.errors import Conflict, NotFound, UsageError
from tools.pin.asking import filters, pins_named
from tools.pin.book import Wanted
from tools.pin.invocation import Invocation, command


@click.command()
@click.argument("pins", metavar="[REQUESTID|CID]...", nargs=-1)
@filters
@click.option("--force", is_flag=True, help="Remove although more than one pin is meant.")
@click.option("-q", "--quiet", is_flag=True, help="Print request ids only.")
@command
def rm(invocation: Invocation, pins: tuple[str, ...], force: bool, quiet: bool, wanted: Wanted) -> None:
    """Remove pins.

    By request id, by CID, or all that match filters. When that is more than one pin, nothing is removed
    without --force. The content stays until the service clears what no pin keeps.

    \b
    Example:
      fleek-pin rm 0f2b…
      fleek-pin rm --name draft --match partial --force
      fleek-pin rm --status failed --before 30d --force --json
    """
    if bool(pins) == wanted.is_narrow:
        what = "give pins or filters, not both" if pins else "nothing says which pins"
        raise UsageError(what, where="fleek-pin rm", hint="`fleek-pin rm --help` shows how it is used")
    out = invocation.out
    with invocation.book() as book:
        records = pins_named(book, pins) if pins else list(book.pins(wanted))
        if not records:
            raise NotFound("no pin matches", where=book.where, hint="`fleek-pin ls` takes the same filters")
        if len(records) > 1 and not force:
            hint = "--force removes all of them; `fleek-pin ls` with the same filters shows them"
            raise Conflict(f"{len(records)} pins are meant; nothing was removed", where=book.where, hint=hint)
        for record in records:
            book.remove(record["requestid"])
            removed = {"requestid": record["requestid"], "cid": record["cid"], "removed": True}
            plain = f"removed {record['requestid']}  {record['cid']}  {record['name']}".rstrip()
            out.record(removed, record["requestid"] if quiet else plain, flush=True)
