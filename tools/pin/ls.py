"""`fleek-pin ls`: pins as they come, page by page."""

import gc
from itertools import islice
from typing import Final

import click

from tools.pin.asking import filters
from tools.pin.book import Wanted
from tools.pin.invocation import Invocation, command
from tools.pin.record import color, encoded, line

# A page is thousands of objects that live until it is printed: looking for cycles among them finds none
_GC_EVERY: Final = 50_000


@click.command()
@filters
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="The newest N only.")
@click.option("--count", "only_count", is_flag=True, help="Print only how many match, as the service says.")
@click.option("-q", "--quiet", is_flag=True, help="Print request ids only.")
@command
def ls(invocation: Invocation, limit: int | None, only_count: bool, quiet: bool, wanted: Wanted) -> None:
    """List pins, newest first.

    Request id, status, CID and name a line, whatever the status. Lines are printed while the next page is on
    its way.

    \b
    Example:
      fleek-pin ls
      fleek-pin ls --status failed,queued --after 1d
      fleek-pin ls --name report --match ipartial --json | jq -r .cid
      fleek-pin ls -q --meta app=blog | xargs fleek-pin rm --force
    """
    out = invocation.out
    gc.freeze()
    gc.set_threshold(_GC_EVERY)
    with invocation.book() as book:
        if only_count:
            count = book.count(wanted)
            out.record({"count": count}, str(count))
            return
        if out.as_json and not quiet and limit is None:
            for text in book.lines(wanted):
                out.encoded(text)
            return
        for record in islice(book.pins(wanted), limit):
            if quiet:
                out.record({"requestid": record["requestid"]}, record["requestid"])
            elif out.as_json:
                out.encoded(f"{encoded(record)}\n")
            else:
                out.record(record, line(record), color=color(record))
