"""`fleek-edge key gen | ls | rm | import | export`: the keys that IPNS names are published with."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from content import ipns, private_key
from content.private_key import PrivateKey
from content.public_key import KeyKind
from durable import write_file_durably
from node.keystore import Keystore, generate
from runtime.errors import Conflict, UsageError
from tools.edge.invocation import Invocation, command
from tools.frame import walk
from tools.frame.completing import completed_path

_KINDS: Final = {"ed25519": KeyKind.ED25519, "rsa": KeyKind.RSA, "secp256k1": KeyKind.SECP256K1}
_FORMATS: Final = ("pem", "libp2p")


@click.group()
def key() -> None:
    """Make, list and move the keys of IPNS names.

    Kept in keys/ of the data folder, readable by their owner only.

    \b
    Example:
      fleek-edge key gen site
      fleek-edge name publish --key site /ipfs/bafybei…
    """


@key.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--type", "kind", type=click.Choice(sorted(_KINDS)), default="ed25519", show_default=True,
    help="Ed25519 makes the shortest names and records.",
)  # fmt: skip
@command
def gen(invocation: Invocation, name: str, kind: str) -> None:
    """Make a key and print the IPNS name that it signs for.

    \b
    Example:
      fleek-edge key gen site
      fleek-edge key gen old-clients --type rsa
    """
    made = generate(_KINDS[kind])
    _keystore(invocation, create=True).put(name, made)
    _tell(invocation, name, made)


@key.command()
@command
def ls(invocation: Invocation) -> None:
    """List keys and their IPNS names.

    \b
    Example:
      fleek-edge key ls --json
    """
    keys = _keystore(invocation)
    for name in keys.names():
        _tell(invocation, name, keys.get(name), listed=True)


@key.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@command
def rm(invocation: Invocation, names: tuple[str, ...]) -> None:
    """Forget keys for good: nobody can publish their names any more.

    \b
    Example:
      fleek-edge key rm site
    """
    keys = _keystore(invocation)
    for name in names:
        keys.remove(name)
        invocation.out.record({"key": name, "removed": True}, name, flush=True)


@key.command("import")
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE", shell_complete=completed_path)
@command
def import_(invocation: Invocation, name: str, file: str) -> None:
    """Take in a key: PEM (PKCS#8) or the libp2p protobuf, as `ipfs key export` writes them; - is stdin.

    \b
    Example:
      fleek-edge key import site site.pem
      ipfs key export site -o - | fleek-edge key import site -
    """
    taken = private_key.decode(_read(file))
    _keystore(invocation, create=True).put(name, taken)
    _tell(invocation, name, taken)


@key.command()
@click.argument("name", metavar="NAME")
@click.option("-o", "--output", metavar="FILE", help="Write here, for its owner only; default: stdout.")
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default="pem", show_default=True,
    help="PEM (PKCS#8) in the clear, or libp2p's protobuf.",
)  # fmt: skip
@command
def export(invocation: Invocation, name: str, output: str | None, form: str) -> None:
    """Write a key out, in the clear. Whoever reads it can publish its name.

    \b
    Example:
      fleek-edge key export site -o site.pem
      fleek-edge key export site --format libp2p -o site.key && ipfs key import site site.key
    """
    found = _keystore(invocation).get(name)
    raw = found.pem() if form == "pem" else found.protobuf()
    if output is None or output == walk.STDIN:
        if sys.stdout.isatty() and form != "pem":
            raise UsageError("this is binary data", where="stdout", hint="use -o FILE")
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return
    if not Path(output).parent.is_dir():
        raise UsageError("no such folder", where=os.path.dirname(output))
    if not write_file_durably(Path(output), raw):
        raise Conflict("it exists already", where=output, hint="nothing is overwritten; name another")
    _tell(invocation, name, found)


def _keystore(invocation: Invocation, *, create: bool = False) -> Keystore:
    """The keys of a data folder; opening its store first makes the folder, or refuses a newer one."""
    with invocation.store(create=create):
        return Keystore(invocation.config().node.data)


def _read(file: str) -> bytes:
    if file == walk.STDIN:
        return sys.stdin.buffer.read(private_key.FILE_BYTES_MAX + 1)
    try:
        with open(file, "rb") as opened:
            return opened.read(private_key.FILE_BYTES_MAX + 1)
    except OSError as fault:
        raise walk.translated(fault, file) from None


def _tell(invocation: Invocation, name: str, known: PrivateKey, *, listed: bool = False) -> None:
    text = ipns.name_text(known.name)
    record = {"key": name, "name": text, "type": known.kind.name.lower()}
    invocation.out.record(record, f"{text}  {name}" if listed else text, flush=True)
