"""`fleek-edge dag import | export | stat`: whole DAGs as CAR files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import click

from blockstore import Root, Store
from blockstore.importing import Importing, ImportReport
from content import car
from content.block import BlockMissing
from content.cid import Cid
from content.dag_walk import walk
from runtime.errors import BadRequest, NotFound, StoreFull, TooLarge, Unverified, UsageError
from tools.edge.came_from import came_from
from tools.edge.extent import Extent, measured
from tools.edge.invocation import Invocation, command
from tools.edge.named import ContentPath, Path
from tools.edge.naming import resolved
from tools.edge.put import opened
from tools.frame import walk as paths_walk
from tools.frame.completing import completed_path
from tools.frame.output import Progress, human_size

_READ_BYTES: Final = 1 << 20


@click.group()
def dag() -> None:
    """Bring whole DAGs in and out as CAR files.

    \b
    Example:
      fleek-edge dag import site.car
      fleek-edge dag export bafybei… > site.car
    """


@dag.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=completed_path)
@click.option("--allow-incomplete", is_flag=True, help="Keep DAGs although some of their blocks are missing.")
@click.option("--no-pin", is_flag=True, help="Keep for the lease time only; gc may take it afterwards.")
@click.option("--name", metavar="NAME", default="", help="Name of the pins.")
@command
def import_(
    invocation: Invocation, files: tuple[str, ...], allow_incomplete: bool, no_pin: bool, name: str
) -> None:
    """Store every block of CAR files (version 1 or 2), each checked against its CID.

    - is standard input. Files in the DAG are kept as one blob each. The roots are pinned, so that gc leaves
    them alone. Exit 2: the file is no CAR. 3, naming the block: a root is not complete. 4: a CAR that is cut
    short, broken or untrue. 5: it announces a block above 2 MiB or a header above 1 MiB.

    \b
    Example:
      fleek-edge dag import site.car photos.car
      curl -s https://example.com/ipfs/bafy…?format=car | fleek-edge dag import - --json
    """
    kept = None if no_pin else Root.pin(name)
    total_bytes = paths_walk.total_bytes(files) if sys.stderr.isatty() else None
    with (
        invocation.store(create=True) as store,
        invocation.out.progress("importing", total_bytes) as progress,
    ):
        for path in files:
            roots, report, car_bytes = import_car(store, path, progress)
            missing = {root: _first_missing(store, root) for root in roots}
            for root, absent in missing.items():
                if absent is not None and not allow_incomplete:
                    raise NotFound(
                        f"the DAG is not complete: block {absent} is in neither the file nor the store",
                        where=f"{path}, root {root}",
                        hint="--allow-incomplete keeps what is there",
                    )
                store.origins.note_soon(root.multihash, came_from(store, path, car_bytes, "car"))
                if kept is not None:
                    store.dag.pin(root, kept)
            _tell(invocation, path, missing, report)


def import_car(store: Store, path: str, progress: Progress) -> tuple[tuple[Cid, ...], ImportReport, int]:
    """Store every block of the CAR at `path`; its roots, what there was, and its length in bytes.

    Raises NoCar for what is something else, Unverified for a CAR that is cut, broken or untrue, TooLarge
    for a header or block above the bounds, StoreFull, and as `open`.
    """
    reader, car_bytes = car.CarReader(), 0
    with _kept_so_far(), opened(path) as file, Importing(store.dag) as importing:
        try:
            for data in _pieces(file, path):
                for block in reader.feed(data):
                    importing.add(block)
                car_bytes += len(data)
                progress.advance(len(data))
            reader.end()
        except (BadRequest, TooLarge, Unverified) as error:
            error.where = f"{path}, {error.where}"
            if isinstance(error, BadRequest) and not isinstance(error, car.NoCar):
                # It says of itself what it does not hold: whoever made or sent it, it is damaged
                raise Unverified(error.message, where=error.where, hint=error.hint) from None
            raise
        report = importing.finish()
    assert reader.roots is not None, "end() has checked"
    return reader.roots, report, car_bytes


@contextmanager
def _kept_so_far() -> Iterator[None]:
    """Say of a full store what became of the blocks that came before: they take room, and are no waste."""
    try:
        yield
    except StoreFull as error:
        error.hint = "make room and import it again; what came is kept for store.lease_s, then gc takes it"
        raise


def _pieces(file: BinaryIO, path: str) -> Iterator[bytes]:
    try:
        while data := file.read(_READ_BYTES):
            yield data
    except OSError as fault:
        raise paths_walk.translated(fault, path) from None


def _first_missing(store: Store, root: Cid) -> Cid | None:
    try:
        for cid in walk(root, store.dag.read):
            if not store.dag.has(cid):
                return cid
    except BlockMissing as missing:
        return missing.cid
    return None


def _tell(invocation: Invocation, path: str, missing: dict[Cid, Cid | None], report: ImportReport) -> None:
    record = {
        "path": path,
        "roots": [root.text() for root in missing],
        "missing": [absent.text() for absent in missing.values() if absent is not None],
        "blocks": report.blocks,
        "new_blocks": report.new_blocks,
        "size_bytes": report.bytes_,
    }
    invocation.out.record(record, "\n".join(root.text() for root in missing), flush=True)
    invocation.out.note(
        f"{path}: {report.blocks} blocks, {report.new_blocks} of them new, {human_size(report.bytes_)}"
    )


@dag.command()
@click.argument("path", metavar="CID[/PATH]", type=Path())
@command
def export(invocation: Invocation, path: ContentPath) -> None:
    """Write a DAG as a CAR to standard output.

    Blocks in depth-first order, each once. Exit 3, naming the block, when one is missing; what was
    written until then is no whole CAR.

    \b
    Example:
      fleek-edge dag export bafybei… > site.car
    """
    out = sys.stdout.buffer
    if sys.stdout.isatty():
        raise UsageError("a CAR is binary data", where="stdout", hint="redirect it: > FILE")
    with invocation.store() as store:
        cid = resolved(invocation, store, path)
        store.dag.read(cid)
        out.write(car.header((cid,)))
        for each in walk(cid, store.dag.read):
            data = store.dag.read(each)
            out.write(car.frame(each, len(data)))
            out.write(data)
        out.flush()


@dag.command()
@click.argument("paths", metavar="CID[/PATH]...", type=Path(), nargs=-1, required=True)
@command
def stat(invocation: Invocation, paths: tuple[ContentPath, ...]) -> None:
    """Count the blocks of DAGs and their bytes.

    Each block of a DAG counts once. Behind several DAGs a line says what they are together: every different
    block once, and what they share. Exit 3, naming the first, when blocks are missing.

    \b
    Example:
      fleek-edge dag stat bafybei… --json
      fleek-edge dag stat bafybei… bafybeih…
    """
    together: set[bytes] = set()
    total_bytes = unique_blocks = unique_bytes = 0
    missing: Cid | None = None
    with invocation.store() as store:
        for path in paths:
            cid = resolved(invocation, store, path)
            extent = measured(store.dag, cid, together)
            total_bytes += extent.size_bytes
            unique_blocks, unique_bytes = unique_blocks + extent.new_blocks, unique_bytes + extent.new_bytes
            missing = missing or extent.first_missing
            _tell_extent(invocation, cid, extent)
    if len(paths) > 1:
        record = {
            "unique_blocks": unique_blocks,
            "unique_size_bytes": unique_bytes,
            "total_size_bytes": total_bytes,
            "shared_size_bytes": total_bytes - unique_bytes,
        }
        plain = f"together {unique_blocks} different blocks, {human_size(unique_bytes)}; "
        plain += f"{human_size(total_bytes - unique_bytes)} of {human_size(total_bytes)} shared"
        invocation.out.record(record, plain)
    if missing is not None:
        raise BlockMissing(missing, hint="what is counted above is what is here")


def _tell_extent(invocation: Invocation, cid: Cid, extent: Extent) -> None:
    record = {
        "cid": cid.text(),
        "blocks": extent.blocks,
        "size_bytes": extent.size_bytes,
        "missing": extent.missing,
    }
    plain = f"{cid}  {extent.blocks} blocks, {human_size(extent.size_bytes)}"
    plain += f", {extent.missing} missing" if extent.missing else ""
    invocation.out.record(record, plain, color="yellow" if extent.missing else None, flush=True)
