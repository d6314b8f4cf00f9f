"""`fleek-edge stat | verify | rm`: what is known of blobs and DAGs, and their removal.

A hash names a blob, a CID or path a DAG (`tools.edge.named`); each command acts on what is named, whole.
"""

import click

from blockstore import BlobStat, Store
from blockstore.dag_removal import remove
from content import names
from content.block import BlockMissing
from pinning.losing import fail_pins_of, fail_pins_of_blob
from runtime.errors import NotFound, Unverified
from tools.edge.blob_record import blob_record, damage_record, show_fields
from tools.edge.dag_care import dag_record, verified_dag
from tools.edge.invocation import Invocation, command
from tools.edge.named import ContentPath, Named, things
from tools.edge.naming import resolved
from tools.frame.output import human_size


@click.command()
@things
@command
def stat(invocation: Invocation, things_: tuple[Named, ...]) -> None:
    """Show what is known of a blob or DAG.

    A hash names a blob: one byte sequence. A CID or path names a DAG: a block and all below it.

    \b
    Example:
      fleek-edge stat af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 --json
      fleek-edge stat bafybei…/photos/cat.jpg
    """
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                record = dag_record(store, resolved(invocation, store, thing))
            else:
                record = blob_record(found(store, thing))
            show_fields(invocation.out, record)


@click.command()
@things
@command
def verify(invocation: Invocation, things_: tuple[Named, ...]) -> None:
    """Re-read blobs and DAGs and check every byte.

    Exit 4 when one does not match its hash or CID, 3 when blocks of a DAG are missing.

    \b
    Example:
      fleek-edge verify bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
      fleek-edge verify bafybei…
    """
    damaged: list[str] = []
    missing: BlockMissing | None = None
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                missing = _verify_dag(invocation, store, thing, damaged) or missing
            else:
                _verify_blob(invocation, store, thing, damaged)
    if damaged:
        hint = "what is damaged is quarantined; store the content again to heal it"
        text = f"{len(damaged)} of {len(things_)} are damaged"
        raise Unverified(text, where=damaged[0], hint=hint)
    if missing is not None:
        raise missing


@click.command()
@things
@click.option("--force", is_flag=True, help="Even where an account or another owner keeps it.")
@command
def rm(invocation: Invocation, things_: tuple[Named, ...], force: bool) -> None:
    """Remove blobs and DAGs.

    Local pins go with them; accounts' pins fail, with --force, of directories around a blob too. Of a DAG
    the blocks go that no other kept DAG needs. Once this returns, no worker answers them any more; a CID is
    fetched anew when somebody asks for it, unless the node is offline or its denylist names it. (`unpin`
    lets go and leaves the rest to gc; `evict` drops bytes and keeps the pin.)

    \b
    Example:
      fleek-edge rm af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262
      fleek-edge rm bafybei…
    """
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                cid = resolved(invocation, store, thing)
                if force and store.dag.has(cid):
                    fail_pins_of(store, cid)
                done = remove(store.backing, store.dag, cid, force=force)
                record: dict[str, object] = {"cid": cid.text(), "removed": True}
                record |= {"blocks_removed": done.removed, "blocks_kept": done.kept}
                kept = f"  {done.kept} blocks kept: other DAGs need them" if done.kept else ""
                invocation.out.record(record, f"{cid}{kept}", flush=True)
            else:
                if force:
                    fail_pins_of_blob(store, thing)
                store.rm(thing, force=force)
                name = names.hex(thing)
                invocation.out.record({"blake3": name, "removed": True}, name, flush=True)


def found(store: Store, root: bytes) -> BlobStat:
    """What the store knows of `root`. Raises NotFound."""
    known = store.stat(root)
    if known is None:
        raise NotFound("no such blob in the store", where=names.hex(root))
    return known


def _verify_blob(invocation: Invocation, store: Store, root: bytes, damaged: list[str]) -> None:
    report = store.verify(root)
    name = names.hex(root)
    damaged += [] if report.intact else [name]
    bad = damage_record(report.damaged_segments)
    record = {"blake3": name, "ok": report.intact, "size_bytes": report.size_bytes, **bad}
    verdict = "ok" if report.intact else f"DAMAGED: segments {bad['damaged_segments']}"
    verdict += ", tree" if bad["damaged_tree"] else ""
    invocation.out.record(record, f"{name}  {verdict}", flush=True, color=None if report.intact else "red")


def _verify_dag(
    invocation: Invocation, store: Store, path: ContentPath, damaged: list[str]
) -> BlockMissing | None:
    cid = resolved(invocation, store, path)
    report = verified_dag(store, cid)
    intact = not report.damaged_blocks and not report.missing
    damaged += [cid.text()] if report.damaged_blocks else []
    record = {
        "cid": cid.text(),
        "ok": intact,
        "blocks": report.blocks,
        "size_bytes": report.size_bytes,
        "damaged_blocks": report.damaged_blocks,
        "damaged": report.damaged,
        "missing": report.missing,
    }
    verdict = f"ok, {report.blocks} blocks, {human_size(report.size_bytes)}" if intact else ""
    verdict += f"DAMAGED: {report.damaged_blocks} blocks" if report.damaged_blocks else ""
    verdict += (
        f"{' and ' if verdict and not intact else ''}{report.missing} missing" if report.missing else ""
    )
    invocation.out.record(record, f"{cid}  {verdict}", flush=True, color=None if intact else "red")
    return None if report.first_missing is None else BlockMissing(report.first_missing)
