"""`fleek-pin origins`: where content came from. Its files are `origin_files`."""

from datetime import UTC, datetime
from typing import Any, Final

import click

from runtime.errors import NotFound
from tools.frame.program import Commands, CommandTable
from tools.pin.asking import checked_cid
from tools.pin.invocation import Invocation, command

_COMMANDS: Final[Commands] = {
    "show": ("origins", "Show where content came from; the word may be left out."),
    "export": ("origin_files", "Write every origin that is known, as lines that `import` reads."),
    "import": ("origin_files", "Merge origins into a store: nothing known there is lost."),
}


class _Origins(CommandTable):
    """The group. What begins with none of its words is a CID to show, or an option of that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click."""
        is_ours = not args or args[0] in self.commands or args[0] in self.get_help_option_names(ctx)
        return super().parse_args(ctx, args if is_ours or ctx.resilient_parsing else ["show", *args])


@click.group(cls=_Origins, package="tools.pin", table=_COMMANDS)
def origins() -> None:
    """Show where content came from; export, import and merge what is known of that.

    \b
    Example:
      fleek-pin origins bafybei…
      fleek-pin origins export --data /srv/edge -o origins.ndjson
      fleek-pin origins import origins.ndjson --data /srv/other
    """


@click.command()
@click.argument("cid", metavar="CID")
@command
def show(invocation: Invocation, cid: str) -> None:
    """Show where content came from; the word may be left out.

    Kept for ever, also when the content was unpinned or lost: it is how a node finds it again. Kind and
    address a line, best first, and when it was last good or failed. Exit 3 when nothing is known.

    \b
    Example:
      fleek-pin origins bafybei…
      fleek-pin origins show bafybei… --json | jq -r .address
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
    good_s, failed_s = row.get("last_success_s") or 0, row.get("last_failure_s") or 0
    when = f"  last good {_time(good_s)}" if _is_time(good_s) else ""
    if _is_time(failed_s) and not (_is_time(good_s) and good_s >= failed_s):
        when += f"  last failed {_time(failed_s)}"
    return f"{row.get('kind', '?'):<9} {row.get('address', '')}{when}"


def _time(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%Y-%m-%d %H:%MZ}"


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < 1 << 35
