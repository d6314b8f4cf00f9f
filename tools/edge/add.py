"""`fleek-edge add`: files, directories, symlinks, standard input and TARs as UnixFS.

One pass over the bytes: they are chunked and hashed for their CIDs while the store takes them as one blob a
file. Each argument is one DAG; it is pinned when all of it is durable.
"""

import gc
import sys
from functools import partial

import click

from blockstore import Root
from blockstore.adding.adding import Adding
from blockstore.adding.reading import Keep
from blockstore.adding.recipe import Recipe
from blockstore.adding.tar import add_tar
from content.cid import Cid
from content.unixfs.profile import PROFILES, UNIXFS_V1_2025
from tools.edge.add_tree import add_path
from tools.edge.came_from import came_from
from tools.edge.invocation import Invocation, command
from tools.edge.put import opened
from tools.frame import walk
from tools.frame.completing import completed_path

# Entries live until their directory is made; looking for cycles every 700 of them costs 3 to 5 % of the CPU
_GC_EVERY = 50_000


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, shell_complete=completed_path)
@click.option(
    "--profile", "profile_name", type=click.Choice(sorted(PROFILES)), default=UNIXFS_V1_2025.name,
    show_default=True, help="Decides which CIDs the same bytes get.",
)  # fmt: skip
@click.option("-Q", "--quieter", is_flag=True, help="Print the last root only.")
@click.option("--hidden/--no-hidden", "-H/ ", default=True, show_default=True, help="Names with a dot first.")
@click.option("--preserve-mode", is_flag=True, help="Keep permissions in the DAG.")
@click.option("--preserve-mtime", is_flag=True, help="Keep times of change in the DAG.")
@click.option("--tar", "as_tar", is_flag=True, help="PATHs are TAR archives: add what is in them.")
@click.option("--no-pin", is_flag=True, help="Keep for the lease time only; gc may take it afterwards.")
@click.option("--name", metavar="NAME", default="", help="Name of the pin.")
@command
def add(
    invocation: Invocation,
    /,
    paths: tuple[str, ...],
    profile_name: str,
    quieter: bool,
    **flags: bool | str,
) -> None:
    """Store files and directories as UnixFS, under the CIDs that other IPFS tools give them.

    - is standard input. Prints a CID and a path per file and directory, the root last. Roots are pinned, so
    that gc leaves them alone.

    \b
    Example:
      fleek-edge add site/ -Q
      tar c site | fleek-edge add --tar - --json
      fleek-edge add --profile unixfs-v0-2015 photo.jpg
    """
    walk.check_named(paths)
    kept = None if flags["no_pin"] else Root.pin(str(flags["name"]))
    gc.freeze()
    gc.set_threshold(_GC_EVERY)
    as_json = invocation.out.as_json
    total_bytes = walk.total_bytes(paths) if sys.stderr.isatty() and not as_json else None
    keep = Keep(mode=bool(flags["preserve_mode"]), mtime=bool(flags["preserve_mtime"]))
    add_one = _add_tar if flags["as_tar"] else partial(add_path, hidden=bool(flags["hidden"]))
    told_bytes = [0]

    def tell(cid: Cid, shown: str, size_bytes: int) -> None:
        told_bytes[0] = size_bytes  # the root's in the end
        if not quieter:
            record = {"path": shown, "cid": cid.text(), "size_bytes": size_bytes}
            invocation.out.record(record, f"{cid}  {shown}")

    with (
        invocation.store(create=True) as store,
        invocation.out.progress("adding", total_bytes) as progress,
    ):
        last = ""
        for path in paths:
            with Adding(store, PROFILES[profile_name], keep, progress, invocation.out.warn, tell) as adding:
                root = add_one(adding, path)
            origin = came_from(store, path, told_bytes[0], _how(profile_name, flags))
            store.origins.note_soon(root.multihash, origin)
            if kept is not None:
                store.dag.pin(root, kept)
            last = root.text()
        if quieter:
            invocation.out.record({"cid": last}, last, flush=True)


def _add_tar(adding: Adding, path: str) -> Cid:
    with opened(path) as file:
        return add_tar(adding, file, path)


def _how(profile_name: str, flags: dict[str, bool | str]) -> str:
    """The profile and whatever else decides which CID the same path gets."""
    mode, mtime = bool(flags["preserve_mode"]), bool(flags["preserve_mtime"])
    return Recipe(profile_name, bool(flags["as_tar"]), mode, mtime, not flags["hidden"]).text
