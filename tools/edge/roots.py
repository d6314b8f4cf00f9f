"""`fleek-edge pin | unpin | evict`: what is kept, and what need not take room."""

import click

from content import names
from runtime.errors import NotFound
from tools.edge.blobs import found
from tools.edge.invocation import Invocation, command, hashes


@click.command()
@hashes
@click.option("--name", metavar="NAME", default="", help="Name of the pin.")
@command
def pin(invocation: Invocation, roots: tuple[bytes, ...], name: str) -> None:
    """Keep blobs until unpinned.

    gc leaves them alone.

    \b
    Example:
      fleek-edge pin bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi --name manual.pdf
    """
    with invocation.store() as store:
        for root in roots:
            found(store, root)
            store.pin(root, name=name)
            record = {"blake3": names.hex(root), "pinned": True, "name": name}
            invocation.out.record(record, names.hex(root), flush=True)


@click.command()
@hashes
@click.option("--name", metavar="NAME", help="Only the pin of this name; default: every local pin.")
@command
def unpin(invocation: Invocation, roots: tuple[bytes, ...], name: str | None) -> None:
    """Let go of local pins.

    The blob stays until gc takes it, or for as long as something else keeps it.

    \b
    Example:
      fleek-edge unpin bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
    """
    with invocation.store() as store:
        for root in roots:
            found(store, root)
            removed = store.unpin(root, name=name)
            if name is not None and not removed:
                raise NotFound(
                    f"no pin is named {name!r}", where=names.hex(root), hint="`fleek-edge stat` shows them"
                )
            record = {"blake3": names.hex(root), "pins_removed": removed}
            invocation.out.record(record, f"{names.hex(root)}  {removed} pins removed", flush=True)


@click.command()
@hashes
@command
def evict(invocation: Invocation, roots: tuple[bytes, ...]) -> None:
    """Drop the bytes of blobs, keep the record.

    \b
    Example:
      fleek-edge evict bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
    """
    with invocation.store() as store:
        for root in roots:
            found(store, root)
            store.evict(root)
            invocation.out.record({"blake3": names.hex(root), "evicted": True}, names.hex(root), flush=True)
