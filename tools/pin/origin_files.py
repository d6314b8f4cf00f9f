"""`fleek-pin origins export | import`: all that a store knows of where content came from, as lines."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click

from blockstore.origin import Origin
from blockstore.origin_lines import LINE_BYTES_MAX, line, parsed
from blockstore.origin_rows import cleaned
from runtime.errors import BadRequest, NotImplementedHere, Unreachable
from tools.frame.completing import completed_path
from tools.pin.invocation import Invocation, command
from tools.pin.local import opened
from tools.pin.twice import Twice, Written, file_named

Row = tuple[bytes, Origin]  # a multihash, and one place where its content is
_ELSEWHERE: Final = (
    "give --data DIR; a service learns origins with pins: `fleek-pin add CID --origin ADDRESS`"
)


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="[default: standard output]"
)
@command
def export(invocation: Invocation, output: Path | None) -> None:
    """Write every origin that is known, as lines that `import` reads.

    JSON, an origin a line, in the order of content: of a service those that your account named or sent, with
    --data those of every account, whether a node runs or not. No secret is in them, as none is kept. FILE
    appears when all of it is written.

    \b
    Example:
      fleek-pin origins export > mine.ndjson
      fleek-pin origins export --data /srv/edge -o origins.ndjson
      fleek-pin origins export --data /srv/edge | jq -r 'select(.kind == "http") | .address'
    """
    count, output = 0, file_named(output)
    with invocation.book() as book, Written(output) as file:
        told = book.every_origin()
        for text in told if invocation.service() is None else _told(told, book.where):
            file.write(text)
            count += 1
    if output is not None:
        invocation.out.record({"path": str(output), "origins": count}, f"{count} origins in {output}")


@click.command("import")
@click.argument("path", metavar="FILE", shell_complete=completed_path)
@command
def import_(invocation: Invocation, path: str) -> None:
    """Merge origins into a store: nothing known there is lost.

    FILE is what `export`, or `fleek-pin origins CID --json`, wrote; - is standard input. Every line is
    checked before the first is taken, and a bad one is named. Times only widen; of one content at most 64
    origins are kept, the best. Rows stay those of the account they say. Those of none count as the
    operator's own: import what you trust.

    \b
    Example:
      fleek-pin origins import origins.ndjson --data /srv/other
      fleek-pin origins export --data /srv/edge | fleek-pin origins import - --data /srv/other
    """
    service = invocation.service()
    if service is not None:
        raise NotImplementedHere(
            "origins are imported into a store of this machine", where=service.endpoint, hint=_ELSEWHERE
        )
    with ExitStack() as stack:
        file = Twice(path, stack)
        for _ in rows(file.first(), path):
            pass
        with opened(invocation.data, create=True) as book:
            merge = book.store.origins.merge(rows(file.again(), path))
    told = {"added": merge.added, "known": merge.known, "refused": merge.refused}
    plain = f"{merge.added} new, {merge.known} known already"
    invocation.out.record(
        told, f"{plain}, {merge.refused} worse than the 64 kept" if merge.refused else plain
    )


def _told(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Lines of a service, looked at before they are sent on. Raises Unreachable: one is no origin."""
    try:
        for row in rows(pieces, where):
            yield line(*row)
    except BadRequest as error:
        raise Unreachable(
            f"the service sent an origin that is none: {error.message}", where=error.where
        ) from None


def rows(pieces: Iterable[bytes], path: str) -> Iterator[Row]:
    """The origins of a file; lines without anything are passed over. Raises BadRequest, naming the line."""
    for number, text in enumerate(_lines(pieces), 1):
        if not text.strip():
            continue
        try:
            name, origin = parsed(text)
            row = name, cleaned(origin)
        except BadRequest as error:
            error.where = f"{path}, line {number}" + (f": {error.where}" if error.where else "")
            raise
        yield row


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; of one that is too long as much as tells that."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        yield from whole
        if len(held) > LINE_BYTES_MAX:
            break
    if held:
        yield held
