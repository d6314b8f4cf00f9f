"""The entry of `fleek-edge`: its commands, and the options that every one of them has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from tools.frame.program import EXIT_CODES, Commands, CommandTable, Program

# name -> (module, one line of help). The module holds the click command under the same name.
COMMANDS: Final[Commands] = {
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


@click.group(
    cls=CommandTable,
    package="tools.edge",
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
@click.option("--data", type=click.Path(path_type=Path), help="Data folder, for every command.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file, for every command."
)
@click.option("--json", "as_json", is_flag=True, help="JSON output, for every command that has one.")
@click.version_option(package_name="fleek-edge", prog_name="fleek-edge", message="%(prog)s %(version)s")
def edge(data: Path | None, config_file: Path | None, as_json: bool) -> None:
    """Keep content by BLAKE3 hash, and serve any range of it, verified.

    \b
    Example:
      fleek-edge put photos/            # store a directory, print a hash a file
      fleek-edge serve                  # serve it on http://127.0.0.1:8080/blake3/<hash>
      fleek-edge get <hash> -o one.jpg  # fetch and verify
    """


PROGRAM: Final = Program("fleek-edge", edge, "_FLEEK_EDGE_COMPLETE")


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    PROGRAM.main()


def run(argv: Sequence[str]) -> int:
    """Carry out `argv`; the exit code."""
    return PROGRAM.run(argv)
