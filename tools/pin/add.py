"""`fleek-pin add`: what is to be pinned, by name or by its bytes."""

import os

import click

from content.unixfs.profile import PROFILES, UNIXFS_V1_2025
from runtime.clock import SystemClock
from runtime.errors import UsageError
from tools.frame import walk
from tools.frame.completing import completed_path
from tools.pin.adding import Content, add_content
from tools.pin.asking import checked_cid, checked_order_words, expiry_s, is_cid, pairs
from tools.pin.book import Book, Order
from tools.pin.following import checked_timeout_s, waited_for
from tools.pin.invocation import Invocation, command
from tools.pin.record import PinRecord, color, line
from tools.pin.remote import RemoteBook


@click.command()
@click.argument("things", metavar="CID|PATH...", nargs=-1, required=True, shell_complete=completed_path)
@click.option("--name", metavar="NAME", default="", help="Name of the pin [default: a file's own].")
@click.option("--meta", metavar="KEY=VALUE", multiple=True, help="A label; repeat for more.")
@click.option(
    "--origin",
    "origins",
    metavar="ADDRESS",
    multiple=True,
    help="Where the content is: multiaddr, or URL without user info.",
)
@click.option("--expires", metavar="TIME", help="Let it go by itself after so long, such as 30d.")
@click.option(
    "--car/--no-car", "as_car", default=None, help="PATHs are CAR files [default: those named .car]."
)
@click.option(
    "--profile", "profile_name", type=click.Choice(sorted(PROFILES)), default=UNIXFS_V1_2025.name,
    show_default=True, help="Decides which CIDs the same bytes get.",
)  # fmt: skip
@click.option("--hidden/--no-hidden", "-H/ ", default=True, show_default=True, help="Names with a dot first.")
@click.option("--wait", "waits", is_flag=True, help="Wait until all is pinned; exit 6 when that fails.")
@click.option("--timeout", metavar="TIME", help="How long --wait waits.")
@click.option("--no-progress", is_flag=True, help="No bar on a terminal.")
@click.option("-q", "--quiet", is_flag=True, help="Print request ids only.")
@command
def add(invocation: Invocation, /, things: tuple[str, ...], **options: object) -> None:
    """Pin CIDs; or files, directories and CARs, which are uploaded first.

    A CID is fetched by the service from wherever it is; what is on this machine is named by a path (./NAME
    for a file whose name is a CID), - is standard input. An upload that was interrupted goes on where it was
    when the same command is given again. Uploads need a Fleek Edge node, or --data.

    \b
    Example:
      fleek-pin add bafybei… --name site --wait
      fleek-pin add photos/ backup.car --meta owner=me
      tar c site | fleek-pin add - --name site.tar --expires 30d -q
    """
    quiet, waits = bool(options["quiet"]), bool(options["waits"])
    timeout_s = checked_timeout_s(_text(options["timeout"]))
    template = _template(options)
    named = [(thing, _is_path(thing)) for thing in things]
    uploads = any(is_path for _, is_path in named)
    added: list[PinRecord] = []
    invocation.out.shows_progress = not options["no_progress"]
    with invocation.book(create=uploads) as book:
        if uploads and template.origins and isinstance(book, RemoteBook):
            hint = "pin the CID with --origin in a command of its own"
            raise UsageError("what is uploaded comes from here", where="--origin", hint=hint)
        for thing, is_path in named:
            if is_path:
                content = Content(
                    thing,
                    _as_car(thing, options["as_car"]),
                    PROFILES[str(options["profile_name"])],
                    bool(options["hidden"]),
                )
                records = add_content(invocation.out, book, content, template)
            else:
                records = [_pinned(book, thing, template)]
            for record in records:
                tell(invocation, record, quiet=quiet)
            added += records
        waiting = [record for record in added if record["status"] != "pinned"]
        if waits and waiting:
            waited_for(invocation, book, waiting, timeout_s, quiet=quiet)


def tell(invocation: Invocation, record: PinRecord, *, quiet: bool) -> None:
    """Print a pin that was just made."""
    plain = record["requestid"] if quiet else line(record)
    invocation.out.record(record, plain, color=None if quiet else color(record), flush=True)


def _pinned(book: Book, cid: str, template: Order) -> PinRecord:
    order = Order(checked_cid(cid), template.name, template.origins, template.meta, template.expires_s)
    return book.add(order)


def _template(options: dict[str, object]) -> Order:
    """What every pin of this command has in common."""
    origins, meta = options["origins"], options["meta"]
    assert isinstance(origins, tuple)
    assert isinstance(meta, tuple)
    name = str(options["name"])
    checked_order_words(name, origins)
    expires_s = expiry_s(_text(options["expires"]), SystemClock().now_s())
    return Order("", name, origins, pairs(meta, "--meta"), expires_s)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _is_path(thing: str) -> bool:
    """Whether `thing` names a file rather than content. Raises UsageError: it is neither."""
    if is_cid(thing):
        return False
    if thing == walk.STDIN or os.path.lexists(thing):
        return True
    raise UsageError("neither a CID nor a path that exists", where=thing[:200])


def _as_car(path: str, wanted: object) -> bool:
    return bool(wanted) if wanted is not None else path.lower().endswith(".car")
