"""`fleek-edge gc | scrub`: what the node's keeper does by itself, done now and to the end."""

import dataclasses

import click

from content import names
from runtime.errors import BlobDamaged
from tools.edge.invocation import Invocation, command
from tools.frame.output import human_size


@click.command()
@command
def gc(invocation: Invocation) -> None:
    """Sweep what nothing keeps.

    That is unpinned blobs, expired leases and remains of broken transfers. Reads and writes go on
    meanwhile, of this node and of other commands.

    \b
    Example:
      fleek-edge gc --json
    """
    with invocation.store() as store:
        report = store.sweep()
    plain = (
        f"{report.removed_blocks} blocks and {report.removed_blobs} blobs removed, "
        f"{human_size(report.removed_bytes)} freed, "
        f"{report.looked_at - report.removed_blobs} kept"
    )
    invocation.out.record(dataclasses.asdict(report), plain)
    if report.unreadable:
        invocation.out.note(
            f"no block was removed: {report.unreadable} cannot be read, so nobody knows what it links to; "
            "put it again, or unpin the DAGs above it"
        )


@click.command()
@command
def scrub(invocation: Invocation) -> None:
    """Re-read everything stored and report damage.

    Everything is checked against its hash; exit 8 if anything is damaged.

    \b
    Example:
      fleek-edge scrub
      fleek-edge scrub --json | jq -r '.damaged[]'
    """
    blobs = size_bytes = damaged_count = 0
    damaged: list[bytes] = []
    with invocation.store() as store:
        total_bytes = store.usage().bytes_
        with invocation.out.progress("reading", total_bytes) as bar:
            for report in store.scrub_steps():
                bar.advance(report.bytes_ - size_bytes)
                blobs, size_bytes = report.blobs, report.bytes_
                damaged_count, damaged = report.damaged_blobs, report.damaged
    hexes = [names.hex(root) for root in damaged]
    record = {"blobs": blobs, "size_bytes": size_bytes, "damaged_blobs": damaged_count, "damaged": hexes}
    for line in hexes if not invocation.out.as_json else ():
        invocation.out.record({}, f"{line}  DAMAGED", color="red")
    invocation.out.record(record, f"{blobs} blobs read, {human_size(size_bytes)}, {damaged_count} damaged")
    if damaged_count:
        hint = "the damaged segments are quarantined; store the content again to heal it"
        raise BlobDamaged(f"{damaged_count} of {blobs} blobs are damaged", where=hexes[0], hint=hint)
