"""Content that a file or a folder of this machine is the origin of."""

from dataclasses import replace
from typing import Final

from blockstore import Store
from blockstore.adding.recipe import Recipe
from blockstore.origin import OPERATOR, Origin, OriginKind
from content.cid import Cid
from content.unixfs.profile import PROFILES
from origins.folder import Folder
from origins.places import Fit
from origins.steps import driven
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
