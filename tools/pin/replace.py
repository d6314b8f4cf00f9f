"""`fleek-pin replace`: a newer version in the place of an older one."""

import click

from runtime.clock import SystemClock
from tools.pin.asking import checked_cid, checked_order_words, expiry_s, pairs
from tools.pin.book import Order
from tools.pin.following import checked_timeout_s, waited_for
from tools.pin.invocation import Invocation, command
from tools.pin.record import color, line


@click.command()
@click.argument("request_id", metavar="REQUESTID")
@click.argument("cid", metavar="CID")
@click.option("--name", metavar="NAME", help="Name of the new pin [default: that of the old one].")
@click.option("--meta", metavar="KEY=VALUE", multiple=True, help="Labels [default: those of the old one].")
@click.option("--origin", "origins", metavar="ADDRESS", multiple=True, help="Where the content is.")
@click.option("--expires", metavar="TIME", help="Let it go by itself after so long, such as 30d.")
@click.option("--wait", "waits", is_flag=True, help="Wait until it is pinned; exit 6 when that fails.")
@click.option("--timeout", metavar="TIME", help="How long --wait waits.")
@click.option("-q", "--quiet", is_flag=True, help="Print the new request id only.")
@command
def replace(
    invocation: Invocation,
    /,
    request_id: str,
    cid: str,
    name: str | None,
    waits: bool,
    quiet: bool,
    **options: tuple[str, ...] | str | None,
) -> None:
    """Put a pin in the place of another; what both share stays.

    In one step: blocks of both are never collected in between. The new pin has an id of its own; the old id
    is of no more use.

    \b
    Example:
      fleek-pin replace 0f2b… bafybei…
      fleek-pin replace 0f2b… bafybei… --name site-v2 --wait
    """
    origins, meta = tuple(options["origins"] or ()), tuple(options["meta"] or ())
    expires, timeout = options["expires"], options["timeout"]
    assert not isinstance(expires, tuple)
    assert not isinstance(timeout, tuple)
    checked_order_words(name or "", origins)
    timeout_s = checked_timeout_s(timeout)
    checked, labels = checked_cid(cid), pairs(meta, "--meta")
    with invocation.book() as book:
        old = book.get(request_id)
        expires_s = expiry_s(expires, SystemClock().now_s())
        order = Order(
            checked, old["name"] if name is None else name, origins, labels or old["meta"], expires_s
        )
        record = book.replace(request_id, order)
        invocation.out.record(
            record,
            record["requestid"] if quiet else line(record),
            color=None if quiet else color(record),
            flush=True,
        )
        if waits:
            waited_for(invocation, book, [record], timeout_s, quiet=quiet)
