"""`fleek-edge stat | ls | verify | rm`: what is known of blobs, and their removal."""

from datetime import UTC, datetime
from typing import Any

import click

from blockstore import BlobStat, Root, Store
from blockstore.upper import UPPER_SEGMENT
from content import names
from runtime.errors import NotFound, Unverified
from tools.edge.invocation import Invocation, command, hashes
from tools.edge.output import human_size


@click.command()
@hashes
@command
def stat(invocation: Invocation, roots: tuple[bytes, ...]) -> None:
    """Show what is known of a blob.

    \b
    Example:
      fleek-edge stat af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 --json
    """
    with invocation.store() as store:
        for root in roots:
            known = found(store, root)
            record = _record(known)
            lines = [f"{key:<17} {_text(value)}" for key, value in record.items() if key != "roots"]
            lines += [f"{'kept by':<17} {_kept(keeper)}" for keeper in record["roots"]]
            for line in lines[:-1] if not invocation.out.as_json else ():
                invocation.out.record({}, line)
            invocation.out.record(record, lines[-1])


@click.command()
@command
def ls(invocation: Invocation) -> None:
    """List stored blobs.

    In the order of their hashes, printed as they are read.

    \b
    Example:
      fleek-edge ls
      fleek-edge ls --json | jq -r 'select(.size_bytes > 1e9) | .blake3'
    """
    with invocation.store() as store:
        for known in store.list():
            marks = "" if known.state == "present" else f"  {known.state}"
            marks += "  DAMAGED" if known.damaged_segments else ""
            plain = f"{names.hex(known.hash)}  {human_size(known.size_bytes):>10}{marks}"
            invocation.out.record(_record(known), plain, color="red" if known.damaged_segments else None)


@click.command()
@hashes
@command
def verify(invocation: Invocation, roots: tuple[bytes, ...]) -> None:
    """Re-read blobs and check every byte.

    Exit 4 when one does not match its hash.

    \b
    Example:
      fleek-edge verify bafkr4ifpcne3t5pzugtkaqcn5i3nzskjtpfslsnnyejlptfjspfoihzsmi
    """
    damaged = []
    with invocation.store() as store:
        for root in roots:
            report = store.verify(root)
            damaged += [] if report.intact else [names.hex(root)]
            found_bad = _damage(report.damaged_segments)
            record = {
                "blake3": names.hex(root),
                "ok": report.intact,
                "size_bytes": report.size_bytes,
                **found_bad,
            }
            verdict = "ok" if report.intact else f"DAMAGED: segments {found_bad['damaged_segments']}"
            verdict += ", tree" if found_bad["damaged_tree"] else ""
            color = None if report.intact else "red"
            invocation.out.record(record, f"{names.hex(root)}  {verdict}", flush=True, color=color)
    if damaged:
        hint = "the damaged segments are quarantined; store the content again to heal them"
        raise Unverified(f"{len(damaged)} of {len(roots)} blobs are damaged", where=damaged[0], hint=hint)


@click.command()
@hashes
@click.option("--force", is_flag=True, help="Even where an account or another owner keeps it.")
@command
def rm(invocation: Invocation, roots: tuple[bytes, ...], force: bool) -> None:
    """Remove blobs.

    Local pins go with them. Once this returns, no worker answers them any more.

    \b
    Example:
      fleek-edge rm af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262
    """
    with invocation.store() as store:
        for root in roots:
            store.rm(root, force=force)
            invocation.out.record({"blake3": names.hex(root), "removed": True}, names.hex(root), flush=True)


def found(store: Store, root: bytes) -> BlobStat:
    """What the store knows of `root`. Raises NotFound."""
    known = store.stat(root)
    if known is None:
        raise NotFound("no such blob in the store", where=names.hex(root))
    return known


def _record(known: BlobStat) -> dict[str, Any]:
    return {
        "blake3": names.hex(known.hash),
        "cid": names.cid(known.hash),
        "size_bytes": known.size_bytes,
        "created_s": known.created_s,
        "content_type": known.content_type or None,
        "state": known.state,
        **_damage(known.damaged_segments),
        "roots": [_root(keeper) for keeper in known.roots],
    }


def _damage(numbers: tuple[int, ...]) -> dict[str, Any]:
    """Damaged segments by number; the tree above the segments, which the store numbers too, apart."""
    return {
        "damaged_segments": [number for number in numbers if number != UPPER_SEGMENT],
        "damaged_tree": UPPER_SEGMENT in numbers,
    }


def _root(keeper: Root) -> dict[str, Any]:
    return {
        "kind": keeper.kind.name.lower(),
        "owner": keeper.owner,
        "name": keeper.name,
        "created_s": keeper.created_s,
        "expires_s": keeper.expires_s,
    }


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _kept(keeper: dict[str, Any]) -> str:
    expires_s = keeper["expires_s"]
    until = f" until {datetime.fromtimestamp(expires_s, UTC):%Y-%m-%d %H:%M:%SZ}" if expires_s else ""
    owner = keeper["owner"] if keeper["owner"] != keeper["name"] else ""
    return " ".join(part for part in (keeper["kind"], owner, keeper["name"]) if part) + until
