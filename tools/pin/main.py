"""The entry of `fleek-pin`: its commands, and the options that every one of them has."""

from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

import click

from tools.frame.program import EXIT_CODES, Commands, CommandTable, Program

# name -> (module, one line of help). The module holds the click command under the same name.
COMMANDS: Final[Commands] = {
    "add": ("add", "Pin CIDs; or files, directories and CARs, which are uploaded first."),
    "ls": ("ls", "List pins, newest first."),
    "status": ("following", "Show what has become of pins."),
    "wait": ("following", "Wait until pins are pinned."),
    "watch": ("watch", "Show pins while they come."),
    "rm": ("rm", "Remove pins."),
    "replace": ("replace", "Put a pin in the place of another; what both share stays."),
    "verify": ("verify", "Have it proven that a pin's content is there."),
    "origins": ("origins", "Show where content came from; export, import and merge what is known of that."),
    "size": ("size", "Show how large a DAG is, before it is pinned."),
    "export": ("manifest", "Write pins as a signed manifest."),
    "import": ("manifest", "Add the pins of a manifest."),
    "service": ("service", "Add, list, choose and remove pinning services."),
    "login": ("service", "Keep the token of a service."),
    "completion": ("completion", "Print a shell completion script."),
}


def _completed_service(context: click.Context, parameter: click.Parameter, beginning: str) -> list[str]:
    """By name: only who completes loads it."""
    found: list[str] = import_module("tools.pin.invocation").completed_service(context, parameter, beginning)
    return found


@click.group(
    cls=CommandTable,
    package="tools.pin",
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.option(
    "--service", metavar="NAME", shell_complete=_completed_service, help="Pinning service, for every command."
)
@click.option("--data", type=click.Path(), help="Data folder of a store here, for every command.")
@click.option("--json", "as_json", is_flag=True, help="JSON output, for every command.")
@click.version_option(package_name="fleek-edge", prog_name="fleek-pin", message="%(prog)s %(version)s")
def pin(service: str | None, data: str | None, as_json: bool) -> None:
    """Pin content at any IPFS pinning service, and know what became of it.

    A command asks the service named by --service, else $FLEEK_PIN_ENDPOINT, else the one in use; with
    --data, or with $FLEEK_EDGE_DATA and no service at all, it works on the store there, with or without
    a running node.

    \b
    Example:
      fleek-pin service add mine http://127.0.0.1:8080/pinning/v1
      fleek-pin login mine < token.txt
      fleek-pin add photos/ --name photos --wait   # upload and pin
      fleek-pin add bafybei…                       # or pin what is elsewhere
      fleek-pin ls
    """


PROGRAM: Final = Program("fleek-pin", pin, "_FLEEK_PIN_COMPLETE")


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    PROGRAM.main()


def run(argv: Sequence[str]) -> int:
    """Carry out `argv`; the exit code."""
    return PROGRAM.run(argv)
