"""What takes the bytes of an origin, by what is on record of it, and how they are given to it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from blockstore import Store
from blockstore.adding.recipe import CAR, Recipe
from blockstore.origin import OPERATOR, Origin
from content import cid as codecs
from content import multihash
from content.cid import Cid
from origins.byte_stream import BYTES_MAX
from origins.guess import Guess
from origins.places import Fit
from origins.rebuild import Rebuild
from origins.sinks import BlobSink, CarSink, Sink
from origins.steps import settled, step
from origins.tar_sink import TarSink

Opened = AbstractAsyncContextManager[AsyncIterator[bytes]]
# From a place that an account named, that never gave anything, and of who has no quota: what a file of
# 256 KiB leaves may have at most
_UNPROVEN_BYTES_MAX: Final = 1 << 36


def most_from(origin: Origin, room_bytes: int | None = None) -> int:
    """As many bytes as an origin may send."""
    if room_bytes is not None:
        return min(BYTES_MAX, room_bytes)
    return BYTES_MAX if origin.account == OPERATOR or origin.has_worked else _UNPROVEN_BYTES_MAX


def blake3_of(cid: Cid) -> bytes | None:
    """The blob that a CID names by its hash."""
    code, digest = multihash.split(cid.multihash)
    return digest if cid.codec == codecs.RAW and code == multihash.BLAKE3 and len(digest) == 32 else None


def sink_for(store: Store, origin: Origin, cid: Cid, room_bytes: int | None, stop: threading.Event) -> Sink:
    """What becomes the content of `cid`, by the profile on record, or by all that come into question.

    `stop`: set when nobody waits any more. Compressed archives are the operator's alone to name: a few bytes
    of one may be very many. Raises BadRequest for a profile that is not known here.
    """
    car = partial(CarSink, store, cid, None, room_bytes)
    if origin.profile == CAR:
        return car()
    root = blake3_of(cid)
    if root is not None:
        return BlobSink(store, root)
    recipe, packed = Recipe.parsed(origin.profile), origin.account == OPERATOR
    tar = partial(
        TarSink,
        store,
        cid,
        recipe,
        stop,
        most_bytes=most_from(origin, room_bytes),
        packed=packed,
    )
    if recipe.tar:
        return tar()
    plain = Rebuild(store, cid, recipe.profiles)
    return plain if recipe.profile else Guess(plain, car, tar, packed=packed)


async def pour(opened: Opened, sink: Sink, stop: threading.Event | None = None) -> Fit:
    """Everything into a sink; it is given up when something breaks. `stop`: set when this is cancelled."""
    try:
        async with opened as pieces:
            async for data in pieces:
                await step(sink.write, data)
        profile = await settled(asyncio.ensure_future(asyncio.to_thread(sink.finish)), stop)
        sub_path = sink.sub_path if isinstance(sink, (Guess, TarSink)) else ""
        return Fit(profile, sink.size_bytes, sub_path)
    except BaseException:
        await step(sink.abort)
        raise
