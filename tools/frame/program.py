"""A command line as a program: commands that are loaded when called, and the only place that turns errors
into output and exit codes.

Modules of commands are loaded by name when their command is called, so that `--help`, completion
and a mistyped command cost no more than click itself (about 60 ms).
"""

import errno
import importlib
import json
import keyword
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import click
from click.shell_completion import get_completion_class, shell_complete

from runtime.errors import OUTCOMES, EdgeError, Kind, UsageError
from tools.frame.output import painted, printable
from tools.frame.walk import translated

EXIT_CODES: Final = (
    "Exit codes: 0 ok, 1 internal fault, 2 usage or configuration, 3 not found, "
    "4 verification failed, 5 refused, 6 source unreachable, 7 store full, "
    "8 store damaged or newer, 130 interrupted."
)
_OF_THE_SYSTEM: Final = frozenset((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT))
_INTERRUPTED: Final = OUTCOMES[Kind.INTERRUPTED].exit_code
Commands = Mapping[str, tuple[str, str]]


class CommandTable(click.Group):
    """A group whose commands are loaded when called; help and completion see stand-ins."""

    def __init__(self, name: str | None = None, *, package: str, table: Commands, **options: Any) -> None:
        """`table`: name -> (module of `package` that holds the click command under that name, its help)."""
        stand_ins = {word: click.Command(word, short_help=line) for word, (_, line) in table.items()}
        super().__init__(name, commands=stand_ins, **options)
        self._package, self._table = package, table

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The real command in place of its stand-in."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name is None or stand_in is None:
            return name, stand_in, rest
        module = importlib.import_module(f"{self._package}.{self._table[name][0]}")
        loaded: click.Command = getattr(module, attribute(name))
        return name, loaded, rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table, which is the order people need them in."""
        return list(self._table)


def attribute(name: str) -> str:
    """What a module calls its command `name`: words of Python have a `_` behind them."""
    return f"{name}_" if keyword.iskeyword(name) else name


@dataclass(frozen=True, slots=True)
class Program:
    """One command line. `complete_variable`: the variable by which a shell asks it for completions."""

    name: str
    group: click.Group
    complete_variable: str

    def main(self) -> NoReturn:
        """Run the command line of this process and exit."""
        instruction = os.environ.get(self.complete_variable)
        if instruction:
            sys.exit(shell_complete(self.group, {}, self.name, self.complete_variable, instruction))
        _fill_streams()
        for stream in (sys.stdout, sys.stderr):
            # A path that is no text of the locale is shown escaped, never a reason to fail.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        # SIGTERM means stop, as Ctrl-C does: what is half done is given up in order. `serve` drains instead.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _leave(self.run(sys.argv[1:]))

    def completion(self, shell: str) -> str:
        """The script that makes `shell` (bash, zsh, fish) complete our commands."""
        script = get_completion_class(shell)
        assert script is not None, "click knows the three shells of the choice"
        return script(self.group, {}, self.name, self.complete_variable).source()

    def run(self, argv: Sequence[str]) -> int:
        """Carry out `argv`; the exit code. All output of failures happens here."""
        as_json = "--json" in (argv[: argv.index("--")] if "--" in argv else argv)
        try:
            with self.group.make_context(self.name, list(argv)) as context:
                code = self.group.invoke(context)
            sys.stdout.flush()
        except click.exceptions.Exit as leave:
            return leave.exit_code
        except click.exceptions.NoArgsIsHelpError as fault:
            sys.stderr.write(f"{fault.format_message()}\n")
            return fault.exit_code
        except click.ClickException as fault:
            return _fail(self._usage(fault), as_json)
        except EdgeError as error:
            return _fail(error, as_json)
        except BrokenPipeError:
            return _INTERRUPTED  # whoever read our output went away: no need to tell anybody
        except OSError as fault:
            if fault.filename is None:
                return _fail(translated(fault, "standard output"), as_json)
            # Files are translated where they are opened; what their owner forbids may show up anywhere
            known = fault.errno in _OF_THE_SYSTEM
            told = translated(fault, str(fault.filename)) if known else _internal(fault, as_json)
            return _fail(told, as_json)
        except (KeyboardInterrupt, click.Abort):
            sys.stderr.write("\n" if sys.stderr.isatty() else "")
            return _INTERRUPTED
        except Exception as fault:  # noqa: BLE001  # the last line: a bug becomes exit code 1 and a report
            return _fail(_no_text(fault, argv) or _internal(fault, as_json), as_json)
        return code if isinstance(code, int) else 0

    def _usage(self, fault: click.ClickException) -> UsageError:
        """click's complaint in our words: where, and the nearest thing that exists."""
        message = " ".join(fault.format_message().split())
        context = getattr(fault, "ctx", None)
        path = context.command_path if context is not None else self.name
        hint = f"`{path} --help` shows how it is used"
        near = getattr(fault, "possibilities", None)
        if near:
            message = str(fault.message)
            hint = f"did you mean {' or '.join(sorted(near))}?"
        return UsageError(message[:1].lower() + message[1:].rstrip("."), where=path, hint=hint)


def _fill_streams() -> None:
    """Open /dev/null where a standard stream is closed (`>&-`): the next file that is opened, a database
    perhaps, would get its number, and what is written to the stream or handed on by a child would go there.

    The other way round, so that what is read from it or written to it fails: nobody takes it for an empty
    file, or for one that was written. Complaints go nowhere.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is not None:
            continue
        descriptor = os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
        if descriptor != number:
            os.dup2(descriptor, number)
            os.close(descriptor)
        setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _no_text(fault: Exception, argv: Sequence[str]) -> EdgeError | None:
    """The refusal of an argument whose bytes are no text; None when something else went wrong."""
    for word in argv if isinstance(fault, UnicodeEncodeError) else ():
        if not word.isascii() and any("\udc80" <= letter <= "\udcff" for letter in word):
            hint = "paths may have any bytes, names and labels are text"
            return UsageError("an argument is not text in UTF-8", where=word[:200], hint=hint)
    return None


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
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except OSError:
        pass  # closed or full: the exit code is left to say it
    return error.outcome.exit_code


def _leave(code: int) -> NoReturn:
    """Exit with `code`, quietly even when stdout or stderr is closed or full."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The interpreter flushes once more on its way out and would complain (signal module docs).
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
