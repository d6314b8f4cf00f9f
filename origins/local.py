"""Content that a file or a folder of this machine is the origin of."""

import asyncio
import threading
from dataclasses import replace
from typing import BinaryIO, Final, cast

from blockstore import Store
from blockstore.adding.recipe import Recipe
from blockstore.origin import OPERATOR, Origin, OriginKind
from content.cid import Cid
from content.unixfs.profile import PROFILES
from origins.archive import Archive
from origins.byte_stream import BYTES_MAX
from origins.disk import spot
from origins.folder import Folder
from origins.places import Fit
from origins.steps import driven, settled
from runtime.clock import Clock
from runtime.errors import NotFound, Unverified

_GONE: Final = "not a file that may be read"


async def from_disk(store: Store, clock: Clock, origin: Origin, cid: Cid, wanted: Cid | None) -> Fit:
    """Have `cid` from what is at the origin's address: what is needed for the block `wanted`, or all of it.

    Returns how it was added, where that was not on record. Raises as `Folder.steps`.
    """
    if origin.kind is not OriginKind.LOCAL or origin.account != OPERATOR:
        raise NotFound(_GONE)
    recipe = Recipe.parsed(origin.profile)
    if recipe.tar:
        stop = threading.Event()
        work = asyncio.to_thread(_from_archive, store, origin, cid, wanted, stop)
        return await settled(asyncio.ensure_future(work), stop)
    problem: Unverified | None = None
    for profile in recipe.profiles:
        try:
            folder = Folder(store, origin, cid, profile, wanted)
            await driven(folder.steps(), clock.tick_s)
        except Unverified as error:
            problem = error
        else:
            known = recipe.profile in PROFILES
            return Fit("" if known else replace(recipe, profile=profile.name).text, folder.size_bytes)
    assert problem is not None, "there is a profile"
    raise problem


def _from_archive(store: Store, origin: Origin, cid: Cid, wanted: Cid | None, stop: threading.Event) -> Fit:
    """As `from_disk`, from a TAR, also a compressed one. Blocking. Raises as `Archive.restore`."""
    with (
        spot(origin.address, ()) as at,
        at.opened() as fd,
        open(fd, "rb", buffering=0, closefd=False) as file,
    ):
        recipe = Recipe.parsed(origin.profile)
        archive = Archive(store, cast(BinaryIO, file), recipe, stop, most_bytes=BYTES_MAX, packed=True)
        return archive.restore(cid, wanted)
