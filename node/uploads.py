"""What takes uploads in this data folder: the workers' service, and the keeper's care for what was left."""

from collections.abc import Callable
from typing import Final

from blockstore import Store
from blockstore.origin import Origin, OriginKind
from content.cid import Cid
from gateway.denylist import Denylist
from net.bearer import TokenBook
from node.start import Start
from pinning.arrival import Note
from pinning.finish import Finisher
from pinning.pins import Pins
from pinning.spool import Spools
from pinning.upload_app import Uploads
from runtime.clock import Clock

PATHS: Final = ("/car", "/tar", "/form")


def upload_service(
    start: Start, store: Store, pins: Pins, tokens: TokenBook, deny: Denylist, clock: Clock
) -> Uploads:
    """What answers `/car`, `/tar` and `/form`."""
    return Uploads(store, pins, _noting(store, clock), tokens, spools_of(start), _refusing(deny), clock)


def finisher_of(start: Start, store: Store, pins: Pins, deny: Denylist, clock: Clock) -> Finisher:
    """What ends uploads that a crash left, and sweeps abandoned ones."""
    return Finisher(store, pins, spools_of(start), _refusing(deny), _noting(store, clock))


def spools_of(start: Start) -> Spools:
    """The uploads of the data folder; kept as long as everything else that nobody has pinned yet."""
    return Spools(start.node.data / "uploads", start.store.lease_s)


def _noting(store: Store, clock: Clock) -> Note:
    def note(form: str, account: str, root: Cid, size_bytes: int | None) -> None:
        now_s = clock.now_s()
        origin = Origin(OriginKind.UPLOAD, f"/{form}", account, now_s, size_bytes, now_s, now_s)
        store.origins.note_soon(root.multihash, origin)

    return note


def _refusing(deny: Denylist) -> Callable[[tuple[Cid, ...]], None]:
    def check(roots: tuple[Cid, ...]) -> None:
        for root in roots:
            deny.check(root)

    return check
