"""`fleek-edge doctor`: is this machine, and this data folder, fit to serve."""

from typing import Final

import click

from tools.edge.checks import Check, run_checks
from tools.edge.invocation import Invocation, command

_COLORS: Final = {"ok": None, "warn": "yellow", "fail": "red"}


@click.command()
@command
def doctor(invocation: Invocation) -> None:
    """Check this machine and data folder.

    Looks at the folder, disk, limits, clock, native module, kernel sizes and ports. Exit 0 unless a check
    fails; then the code of the first failure (8 for a newer store, 2 for a taken port).

    \b
    Example:
      fleek-edge doctor
      fleek-edge doctor --data /srv/edge --json | jq 'select(.status != "ok")'
    """
    failed: list[Check] = []
    for check in run_checks(invocation.config()):
        record = {"check": check.name, "status": check.status, "detail": check.detail, "hint": check.hint}
        plain = f"{check.status:<5} {check.name:<16} {check.detail}"
        invocation.out.record(record, plain, flush=True, color=_COLORS[check.status])
        if check.hint and not invocation.out.as_json:
            invocation.out.record({}, f"{'':<22} {check.hint}")
        failed += [check] if check.error is not None else []
    if failed:
        error = failed[0].error
        assert error is not None
        names = ", ".join(check.name for check in failed)
        raise type(error)(f"failed: {names}", where=error.where, hint=error.hint)
