"""`fleek-pin export | import`: sets of pins as signed documents (docs/formats/manifest.md)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

import click

from content import multibase, public_key
from content.cid import Cid
from content.private_key import PrivateKey
from node.identity import signing_key
from pinning import timestamps
from pinning.manifest import Reader, Signed, Writer, check
from pinning.pin import Wish
from runtime.clock import SystemClock
from runtime.errors import BadRequest, Unreachable, Unverified, UsageError
from tools.frame import walk
from tools.frame.completing import completed_path
from tools.pin.asking import check_origin, filters
from tools.pin.book import Book, Order, Wanted
from tools.pin.invocation import Invocation, command
from tools.pin.record import PinRecord, color, line
from tools.pin.twice import Twice, Written, file_named

KEY_FILE: Final = "pin.key"
_SECOND_MS: Final = 1000
_NANOS: Final = 1_000_000_000
_ENDS: Final = "pinned_until"


@click.command()
@filters
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="[default: standard output]"
)
@command
def export(invocation: Invocation, output: Path | None, wanted: Wanted) -> None:
    """Write pins as a signed manifest.

    A line a pin, with its name, labels, origins and end, newest first; the last line signs all before it.
    With --data it is signed by the node's key, else by a key of yours, kept beside the configuration.

    \b
    Example:
      fleek-pin export > pins.manifest
      fleek-pin export --meta app=blog -o blog.manifest
    """
    out, output = invocation.out, file_named(output)
    with invocation.book() as book, Written(output) as file:
        key = _key(invocation, book)
        writer = Writer(key.public, key.sign, int(SystemClock().now_s() * _SECOND_MS))
        count, records = 0, book.pins(wanted)
        first = next(records, None)  # what refuses does so before a byte is written
        file.write(writer.header())
        for record in chain(() if first is None else (first,), records):
            file.write(writer.entry(_wish(record, book.where)))
            count += 1
        file.write(writer.end())
    if output is not None:
        told = {"path": str(output), "pins": count, "signer": _name(key.public)}
        out.record(told, f"{count} pins in {output}, signed by {_name(key.public)}")


@click.command("import")
@click.argument("path", metavar="FILE", shell_complete=completed_path)
@click.option("--signer", metavar="PEERID", help="Refuse what anybody else has signed.")
@click.option("--missing", "only_missing", is_flag=True, help="Pass over what is pinned under the same name.")
@click.option("-q", "--quiet", is_flag=True, help="Print request ids only.")
@command
def import_(invocation: Invocation, path: str, signer: str | None, only_missing: bool, quiet: bool) -> None:
    """Add the pins of a manifest.

    All of it is read and its signature checked before the first pin is added; - is standard input. Pins whose
    time is over are passed over. Exit 4 when it is not what its signer signed: a line too many, too few or
    changed, or no end. Exit 2 when it is no manifest at all.

    \b
    Example:
      fleek-pin import pins.manifest --service other
      fleek-pin import blog.manifest --missing --signer 12D3KooW…
    """
    with ExitStack() as stack:
        file = Twice(path, stack)
        signed = _checked(file, path, signer)
        invocation.out.note(f"{signed.count} pins, signed by {_name(signed.signer)}")
        now_s = SystemClock().now_s()
        with invocation.book() as book:
            for wish in _wishes(file):
                if wish.expires_s is not None and wish.expires_s <= now_s:
                    invocation.out.warn(f"passed over: {wish.cid} (its time is over)")
                elif not (only_missing and _has(book, wish)):
                    record = book.add(_order(_fetchable(wish, invocation.out.warn)))
                    plain = record["requestid"] if quiet else line(record)
                    invocation.out.record(record, plain, color=None if quiet else color(record), flush=True)


def _key(invocation: Invocation, book: Book) -> PrivateKey:
    if invocation.service() is None:
        return signing_key(Path(book.where))
    folder = invocation.settings.path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise walk.translated(fault, folder) from None
    return signing_key(folder, KEY_FILE)


def _wish(record: PinRecord, where: str) -> Wish:
    """What a pin asks for. Raises Unreachable: the service lists what cannot be."""
    meta = {key: value for key, value in record["meta"].items() if key != _ENDS}
    ends = record["info"].get(_ENDS)
    try:
        expires_s = timestamps.read(ends, _ENDS) / _NANOS if isinstance(ends, str) else None
        cid = Cid.parse(record["cid"])
        return Wish(cid, record["name"] or None, tuple(record["origins"]), meta, expires_s)
    except BadRequest as error:
        why = f"the service lists a pin that cannot be: {error.message}"
        raise Unreachable(why, where=f"{where}, {record['requestid']}") from None


def _fetchable(wish: Wish, warn: Callable[[str], None]) -> Wish:
    """A wish without origins that no service fetches from: older ones took these."""
    kept = []
    for each in wish.origins:
        try:
            check_origin(each)
            kept.append(each)
        except UsageError as error:
            warn(f"an origin of {wish.cid} is left out: {error.message}")
    return replace(wish, origins=tuple(kept))


def _order(wish: Wish) -> Order:
    return Order(wish.cid.text(), wish.name or "", wish.origins, wish.meta, wish.expires_s)


def _has(book: Book, wish: Wish) -> bool:
    return book.count(Wanted(cids=(wish.cid.text(),), name=wish.name)) > 0


def _checked(file: Twice, path: str, signer: str | None) -> Signed:
    try:
        signed = check(file.first())
    except (BadRequest, Unverified) as error:
        error.where = f"{path}, {error.where}".rstrip(", ")
        raise
    if signer is not None and _name(signed.signer) != signer:
        raise Unverified(
            f"the manifest is signed by {_name(signed.signer)}", where=path, hint=f"not by {signer}"
        )
    return signed


def _wishes(file: Twice) -> Iterator[Wish]:
    """The pins of a manifest that was checked; checked again, as the file may have changed meanwhile."""
    reader = Reader()
    for data in file.again():
        yield from reader.feed(data)
    reader.end()


def _name(signer: bytes) -> str:
    return multibase.encode("z", public_key.decode(signer).name)[1:]
