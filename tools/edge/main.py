"""The entry of `fleek-edge`, and the only place that turns errors into output and exit codes.

Modules of commands are loaded by name when their command is called, so that `--help`, completion
and a mistyped command cost no more than click itself (about 60 ms).
"""

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

import click
from click.shell_completion import shell_complete

from runtime.errors import OUTCOMES, EdgeError, Kind, UsageError
from tools.edge.output import painted, printable
from tools.edge.walk import translated

PROGRAM: Final = "fleek-edge"
COMPLETE_VARIABLE: Final = "_FLEEK_EDGE_COMPLETE"
_INTERRUPTED: Final = OUTCOMES[Kind.INTERRUPTED].exit_code

# name -> (module, one line of help). The module holds the click command under the same name.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("serve", "Run a node in the foreground."),
    "put": ("put", "Store files, directories or standard input."),
    "add": ("add", "Store files and directories as UnixFS, under the CIDs that other IPFS tools give them."),
    "cat": ("cat", "Write a file by CID or path to standard output."),
    "get": ("get", "Fetch a blob, file or directory from the store or a URL, verified."),
    "dag": ("dag", "Bring whole DAGs in and out as CAR files."),
    "name": ("name", "Publish, keep and resolve IPNS names."),
    "key": ("key", "Make, list and move the keys of IPNS names."),
    "stat": ("blobs", "Show what is known of a blob or DAG."),
    "ls": ("ls", "List the entries of directories, or all stored blobs."),
    "verify": ("blobs", "Re-read blobs and DAGs and check every byte."),
    "rm": ("blobs", "Remove blobs and DAGs."),
    "pin": ("roots", "Keep blobs and DAGs until unpinned."),
    "unpin": ("roots", "Let go of local pins."),
    "evict": ("roots", "Drop the bytes of blobs and DAGs, keep the record."),
    "gc": ("upkeep", "Sweep what nothing keeps."),
    "scrub": ("upkeep", "Re-read everything stored and report damage."),
    "token": ("token", "Make, list and revoke access tokens."),
    "config": ("config", "Explain or check the configuration."),
    "doctor": ("doctor", "Check this machine and data folder."),
    "completion": ("completion", "Print a shell completion script."),
}


class CommandTable(click.Group):
    """A group whose commands are loaded when called; help and completion see stand-ins."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The real command in place of its stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name is None or stand_in is None:
            return name, stand_in, rest
        module = importlib.import_module(f"tools.edge.{COMMANDS[name][0]}")
        loaded: click.Command = getattr(module, name)
        return name, loaded, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order people need them in."""
        return list(COMMANDS)


@click.group(
    cls=CommandTable,
    commands={name: click.Command(name, short_help=line) for name, (_, line) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 ok, 1 internal fault, 2 usage or configuration, 3 not found, "
    "4 verification failed, 5 refused, 6 source unreachable, 7 store full, "
    "8 store damaged or newer, 130 interrupted.",
)
@click.option("--data", type=click.Path(), help="Data folder, for every command.")
@click.option("--config", "config_file", type=click.Path(), help="Configuration file, for every command.")
@click.option("--json", "as_json", is_flag=True, help="JSON output, for every command that has one.")
@click.version_option(package_name="fleek-edge", prog_name=PROGRAM, message="%(prog)s %(version)s")
def edge(data: str | None, config_file: str | None, as_json: bool) -> None:
    """Keep content by BLAKE3 hash, and serve any range of it, verified.

    \b
    Example:
      fleek-edge put photos/            # store a directory, print a hash a file
      fleek-edge serve                  # serve it on http://127.0.0.1:8080/blake3/<hash>
      fleek-edge get <hash> -o one.jpg  # fetch and verify
    """


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        sys.exit(shell_complete(edge, {}, PROGRAM, COMPLETE_VARIABLE, instruction))
    for stream in (sys.stdout, sys.stderr):
        # A path that is no text of the locale is shown escaped, never a reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # SIGTERM means stop, as Ctrl-C does: what is half done is given up in order. `serve` drains instead.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _leave(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Carry out `argv`; the exit code. All output of failures happens here."""
    as_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
    try:
        with edge.make_context(PROGRAM, list(argv)) as context:
            code = edge.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as fault:
        sys.stderr.write(f"{fault.format_message()}\n")
        return fault.exit_code
    except click.ClickException as fault:
        return _fail(_usage(fault), as_json)
    except EdgeError as error:
        return _fail(error, as_json)
    except BrokenPipeError:
        return _INTERRUPTED  # whoever read our output went away: no need to tell anybody
    except OSError as fault:
        if fault.filename is not None:
            return _fail(_internal(fault, as_json), as_json)
        return _fail(
            translated(fault, "standard output"), as_json
        )  # files are translated where they are opened
    except (KeyboardInterrupt, click.Abort):
        sys.stderr.write("\n" if sys.stderr.isatty() else "")
        return _INTERRUPTED
    except Exception as fault:  # noqa: BLE001  # the last line: a bug becomes exit code 1 and a report
        return _fail(_internal(fault, as_json), as_json)
    return code if isinstance(code, int) else 0


def _usage(fault: click.ClickException) -> UsageError:
    """click's complaint in our words: where, and the nearest thing that exists."""
    message = " ".join(fault.format_message().split())
    context = getattr(fault, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    hint = f"`{path} --help` shows how it is used"
    near = getattr(fault, "possibilities", None)
    if near:
        message = str(fault.message)
        hint = f"did you mean {' or '.join(sorted(near))}?"
    return UsageError(message[:1].lower() + message[1:].rstrip("."), where=path, hint=hint)


def _internal(fault: Exception, as_json: bool) -> EdgeError:
    if isinstance(fault, ImportError) and fault.name == "content.bao._native":
        hint = "build it with `make setup`, or install a wheel for this platform"
        return EdgeError("the native module is missing or does not load", where=str(fault), hint=hint)
    if not as_json:
        sys.stderr.write("".join(traceback.format_exception(fault)))
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return EdgeError(
        f"internal fault: {type(fault).__name__}: {fault}",
        where=f"{os.path.basename(last.filename)}:{last.lineno} in {last.name}",
        hint="this is a bug; please report it with the lines above",
    )


def _fail(error: EdgeError, as_json: bool) -> int:
    if as_json:
        text = json.dumps(error.as_json())
    else:
        lines = [f"{painted('error:', 'red', sys.stderr)} {printable(error.message)}"]
        lines += [f"  where: {printable(error.where)}"] if error.where else []
        lines += [f"  hint: {printable(error.hint)}"] if error.hint else []
        text = "\n".join(lines)
    try:
        sys.stdout.flush()
    except OSError:
        pass  # closed or full: the error below is still worth saying
    sys.stderr.write(f"{text}\n")
    return error.outcome.exit_code


def _leave(code: int) -> NoReturn:
    """Exit with `code`, quietly even when stdout is closed or full."""
    try:
        sys.stdout.flush()
    except OSError:
        # The interpreter flushes once more on its way out and would complain (signal module docs).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
