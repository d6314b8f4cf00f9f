"""`fleek-edge pin | unpin | evict`: what is kept, and what need not take room."""

import click

from blockstore import Root, Store
from blockstore.dag_removal import evict as evict_dag
from blockstore.dag_removal import spellings
from blockstore.records import RootKind
from content import names
from content.block import BlockMissing
from content.cid import Cid
from runtime.errors import NotFound
from tools.edge.blobs import found
from tools.edge.extent import measured
from tools.edge.invocation import Invocation, command
from tools.edge.named import ContentPath, Named, things
from tools.edge.naming import resolved
from tools.frame.output import human_size


@click.command()
@things
@click.option("--name", metavar="NAME", default="", help="Name of the pin.")
@command
def pin(invocation: Invocation, things_: tuple[Named, ...], name: str) -> None:
    """Keep blobs and DAGs until unpinned.

    gc leaves them alone. A hash names a blob, a CID or path a DAG: all of it is kept, and all of it must be
    here (exit 3, naming the first block that is not).

    \b
    Example:
      fleek-edge pin bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi --name manual.pdf
      fleek-edge pin bafybei… --name site
    """
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                text = _pin_dag(store, resolved(invocation, store, thing), name)
                record: dict[str, object] = {"cid": text, "pinned": True, "name": name}
            else:
                found(store, thing)
                store.pin(thing, name=name)
                text = names.hex(thing)
                record = {"blake3": text, "pinned": True, "name": name}
            invocation.out.record(record, text, flush=True)


@click.command()
@things
@click.option("--name", metavar="NAME", help="Only the pin of this name; default: every local pin.")
@command
def unpin(invocation: Invocation, things_: tuple[Named, ...], name: str | None) -> None:
    """Let go of local pins.

    A blob or DAG stays until gc takes it, or for as long as something else keeps it.

    \b
    Example:
      fleek-edge unpin bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
      fleek-edge unpin bafybei… --name site
    """
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                cid = resolved(invocation, store, thing)
                removed, text = _unpin_dag(store, cid, name), cid.text()
                record: dict[str, object] = {"cid": text, "pins_removed": removed}
            else:
                found(store, thing)
                removed, text = store.unpin(thing, name=name), names.hex(thing)
                record = {"blake3": text, "pins_removed": removed}
            if name is not None and not removed:
                raise NotFound(f"no pin is named {name!r}", where=text, hint="`fleek-edge stat` shows them")
            invocation.out.record(record, f"{text}  {removed} pins removed", flush=True)


@click.command()
@things
@command
def evict(invocation: Invocation, things_: tuple[Named, ...]) -> None:
    """Drop the bytes of blobs and DAGs, keep the record.

    Pins and names stay, so that the bytes can be fetched again. Of a DAG the leaves go, raw and dag-pb ones,
    which are nearly all of its bytes; blocks with links stay, because gc reads them.

    \b
    Example:
      fleek-edge evict bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
      fleek-edge evict bafybei…
    """
    with invocation.store() as store:
        for thing in things_:
            if isinstance(thing, ContentPath):
                cid = resolved(invocation, store, thing)
                done = evict_dag(store.backing, store.dag, cid)
                record: dict[str, object] = {"cid": cid.text(), "evicted": True, "blobs": done.blobs}
                record |= {"size_bytes": done.size_bytes, "blocks_kept": done.kept}
                plain = f"{cid}  {human_size(done.size_bytes)} dropped, {done.kept} blocks with links kept"
            else:
                found(store, thing)
                store.evict(thing)
                plain = names.hex(thing)
                record = {"blake3": plain, "evicted": True}
            invocation.out.record(record, plain, flush=True)


def _pin_dag(store: Store, cid: Cid, name: str) -> str:
    pinned = any(root.kind is RootKind.PIN and root.owner == name for root in store.dag.roots_of(cid))
    store.dag.pin(cid, Root.pin(name))  # first the pin: then no gc can take what was just found to be here
    extent = measured(store.dag, cid)
    if extent.first_missing is not None:
        if not pinned:
            store.dag.unpin(cid, Root.pin(name))
        hint = "`dag import` the rest first; no pin was added"
        raise BlockMissing(extent.first_missing, hint=hint)
    return cid.text()


def _unpin_dag(store: Store, cid: Cid, name: str | None) -> int:
    pins = [
        (each, root)
        for each in spellings(cid)
        for root in store.dag.roots_of(each)
        if root.kind is RootKind.PIN and (name is None or root.owner == name)
    ]
    if not pins and not store.dag.has(cid):
        raise NotFound("no block is stored under this CID", where=cid.text())
    return sum(store.dag.unpin(each, root) for each, root in pins)
