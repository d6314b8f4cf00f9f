"""Bytes of this machine on their way into a store here, where they are pinned at once."""

from collections.abc import Iterator
from dataclasses import replace

from blockstore.adding.adding import Adding
from blockstore.adding.reading import Keep
from blockstore.adding.recipe import CAR, Recipe
from content.cid import Cid
from tools.edge.add_tree import add_path
from tools.edge.came_from import came_from
from tools.edge.dag import import_car
from tools.frame import walk
from tools.frame.output import Output
from tools.pin.adding import Content
from tools.pin.book import Order
from tools.pin.local import LocalBook
from tools.pin.record import PinRecord


def add_here(out: Output, book: LocalBook, content: Content, order: Order) -> Iterator[PinRecord]:
    """Store content and pin it; a pin for each root. Raises what the store refuses with."""
    path = content.path
    total_bytes = walk.total_bytes((path,)) if out.is_watched else None
    with out.progress("adding", total_bytes) as progress:
        if content.as_car:
            roots, _, size_bytes = import_car(book.store, path, progress)
        else:
            keep, told_bytes = Keep(mode=False, mtime=False), [0]

            def tell(cid: Cid, shown: str, size_bytes: int) -> None:
                told_bytes[0] = size_bytes  # the root's in the end

            with Adding(book.store, content.profile, keep, progress, out.warn, tell) as adding:
                roots = (add_path(adding, path, hidden=content.hidden),)
            (size_bytes,) = told_bytes
    profile = CAR if content.as_car else Recipe(content.profile.name, no_hidden=not content.hidden).text
    for root in roots:
        book.store.origins.note_soon(root.multihash, came_from(book.store, path, size_bytes, profile))
        yield book.add(replace(order, cid=root.text()))
