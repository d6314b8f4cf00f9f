"""`fleek-pin watch`: pins while they come; a picture that changes on a terminal, lines in a pipe."""

import importlib
import sys

import click

from runtime.errors import NotFound
from tools.frame.output import printable
from tools.pin.asking import pins_named
from tools.pin.book import Wanted
from tools.pin.following import changes, checked_timeout_s, failure
from tools.pin.invocation import Invocation, command
from tools.pin.record import PinRecord, color, details, line


@click.command()
@click.argument("pins", metavar="[REQUESTID|CID]...", nargs=-1)
@click.option("--timeout", metavar="TIME", help="Give up after so long, such as 90s or 2h.")
@click.option("--no-progress", is_flag=True, help="Lines also on a terminal.")
@command
def watch(invocation: Invocation, pins: tuple[str, ...], timeout: str | None, no_progress: bool) -> None:
    """Show pins while they come.

    Those named, else all that are queued or pinning now; ends with the last of them. A line whenever one
    changes; on a terminal they change in place. Exit 6 when one failed, or when the time is over.

    \b
    Example:
      fleek-pin watch
      fleek-pin watch 0f2b… --json
    """
    timeout_s = checked_timeout_s(timeout)
    out = invocation.out
    live = sys.stdout.isatty() and sys.stderr.isatty() and not no_progress and not out.as_json
    failed: PinRecord | None = None
    with invocation.book() as book:
        wanted = Wanted(statuses=("queued", "pinning"))
        records = pins_named(book, pins) if pins else list(book.pins(wanted))
        if not records:
            hint = "`fleek-pin ls` shows all pins"
            raise NotFound("nothing is queued or pinning", where=book.where, hint=hint)
        if live:
            with importlib.import_module("tools.pin.live").Live() as picture:
                for record in changes(book, records, timeout_s):
                    failed = record if record["status"] == "failed" and failed is None else failed
                    picture.show(record["requestid"], record["status"], printable(shown(record)))
        else:
            last: dict[str, str] = {}
            for record in changes(book, records, timeout_s):
                failed = record if record["status"] == "failed" and failed is None else failed
                text = shown(record)
                if out.as_json or last.get(record["requestid"]) != text:  # what changed may be cut off
                    out.record(record, text, color=color(record), flush=True)
                last[record["requestid"]] = text
    if failed is not None:
        raise failure(failed)


def shown(record: PinRecord) -> str:
    """A pin's line, with how far it has come."""
    come = record["info"].get("progress")
    said = details(record)
    plain = line(record)
    return f"{plain}  {come}" if isinstance(come, str) and come and come != said else plain
