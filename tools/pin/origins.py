"""`fleek-pin origins`: where content came from."""

from datetime import UTC, datetime
from typing import Any

import click

from runtime.errors import NotFound
from tools.pin.asking import checked_cid
from tools.pin.invocation import Invocation, command


@click.command()
@click.argument("cid", metavar="CID")
@command
def origins(invocation: Invocation, cid: str) -> None:
    """Show where content came from.

    Kept for ever, also when the content was unpinned or lost: it is how a node finds it again. Kind and
    address a line, best first. Exit 3 when nothing is known.

    \b
    Example:
      fleek-pin origins bafybei…
      fleek-pin origins bafybei… --json | jq -r .address
    """
    checked = checked_cid(cid)
    with invocation.book() as book:
        found = False
        for row in book.origins(checked):
            found = True
            invocation.out.record({"cid": checked, **row}, _line(row))
        if not found:
            hint = "origins are kept of what was stored, pinned or fetched here"
            raise NotFound("no origin is known", where=checked, hint=hint)


def _line(row: dict[str, Any]) -> str:
    seen_s = row.get("last_success_s") or 0
    when = f"  last good {datetime.fromtimestamp(seen_s, UTC):%Y-%m-%d %H:%MZ}" if _is_time(seen_s) else ""
    return f"{row.get('kind', '?'):<9} {row.get('address', '')}{when}"


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < 1 << 35
