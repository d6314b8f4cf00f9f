"""Pins for what has just arrived: made when it is here, `pinned` at once where nothing lacks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from content.cid import Cid
from pinning.measure import Blocks, Measured, measured
from pinning.pin import Filter, Pin, Status, Wish
from pinning.ports import PinBook, PinWork
from runtime.errors import EdgeError

# Of pins that may be meant by a finish that is done again after a crash
_LOOK_BACK: int = 100


Note: TypeAlias = Callable[[str, str, Cid, int | None], None]
"""Puts on record that an account sent this root (form "car", "tar" or "form", account, root), and how many
bytes its DAG has, None while some lack."""


class Book(PinBook, PinWork, Protocol):
    """Pins, both as those who ask and as those who work see them; `pinning.pins.Pins` is one."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose content it is, and what the pins of it are to be called.

    `quota_bytes`: of the account; None for no limit. `expires_s`: see `Wish`.
    """

    account: str
    quota_bytes: int | None = None
    name: str | None = None
    meta: tuple[tuple[str, str], ...] = ()
    expires_s: float | None = None

    def wish(self, cid: Cid) -> Wish:
        """What is asked for one root."""
        return Wish(cid, self.name, (), dict(self.meta), self.expires_s)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One root, its pin, and the first block of it that is not here."""

    pin: Pin
    missing: Cid | None

    def as_json(self) -> dict[str, Any]:
        """As answers tell it."""
        told: dict[str, Any] = {
            "requestid": self.pin.request_id,
            "cid": self.pin.wish.cid.text(),
            "status": self.pin.status.value,
        }
        if self.missing is not None:
            told["missing"] = self.missing.text()
        if self.pin.dag_bytes is not None:
            told["dag_size"] = self.pin.dag_bytes
        return told


def pin_arrived(
    blocks: Blocks,
    book: Book,
    note: Note,
    sender: Sender,
    roots: Sequence[Cid],
    since_ns: int | None = None,
    *,
    form: str = "car",
) -> list[Arrived]:
    """Pin each root: pinned when all of it is here, else queued for the worker to fetch the rest.

    With `since_ns`, pins of the same wish that are younger are taken for these: what was cut off by a crash
    can be done again. All or none: what fails leaves no pin of this call behind. Raises QuotaExceeded,
    BadRequest, BlobDamaged. Cost: reads every block with links.
    `blocks` must not remember (`presence.SureBlocks`).
    """
    found: list[Arrived] = []
    made: list[Pin] = []
    try:
        for root in roots:
            pin = _known(book, sender, root, since_ns)
            if pin is None:
                pin = book.add(sender.account, sender.wish(root), quota_bytes=sender.quota_bytes)
                made.append(pin)
            # looked at only now that the pin keeps it: what gc has taken before is seen to lack
            size = measured(root, blocks)
            if size.missing is None and pin.status is not Status.PINNED:
                pin = _complete(book, sender, pin, size)
            found.append(Arrived(pin, size.missing))
    except EdgeError:
        for pin in made:
            book.remove(sender.account, pin.request_id)
        raise
    for each in found:
        note(form, sender.account, each.pin.wish.cid, each.pin.dag_bytes)
    return found


def _complete(book: Book, sender: Sender, pin: Pin, size: Measured) -> Pin:
    book.begin(pin.request_id)
    book.pinned(pin.request_id, size.dag_bytes, size.raw_bytes, quota_bytes=sender.quota_bytes)
    return book.get(sender.account, pin.request_id)


def _known(book: Book, sender: Sender, root: Cid, since_ns: int | None) -> Pin | None:
    """The pin that an earlier try has made."""
    if since_ns is None:
        return None
    page = book.page(sender.account, Filter(cids=(root,), after_ns=since_ns), _LOOK_BACK)
    wish = sender.wish(root)
    same = [
        pin
        for pin in page.pins
        if (pin.wish.name, pin.wish.meta) == (wish.name, wish.meta)
        and pin.status is not Status.FAILED  # keeps nothing
    ]
    return same[-1] if same else None
